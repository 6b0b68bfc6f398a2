"""The house's public doors, and both practice processors in front of them, under one clock."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import time_machine
from django.core.management import call_command
from django.db import models
from django.test import Client
from django.utils import timezone

from connectors import webhooks
from connectors.contract import Secret
from connectors.models import ConnectorAccount
from connectors.processors.adyen.settings import Credentials as ReportCredentials
from connectors.sandbox.config import AdyenAccount, RegistrationTarget, SandboxConfig, StripeAccount
from connectors.sandbox.courier import Habits, OutgoingDelivery
from connectors.sandbox.sandbox import Sandbox
from refunds import services
from refunds.facts import CLAIM_KEY
from refunds.models import ApiToken, Refund, Scope, StatusReport
from refunds.reconciliation.models import LedgerImport, Payout, Run, SetAsideLine, SettledLine
from tests.house.processors import ADYEN_KEY, STRIPE_KEY, STRIPE_SECRET, open_account

PROCESSORS = ("stripe", "adyen")
_NOT_OF_REFUNDS = frozenset({"charge.refunded", "charge.refund.updated"})
"""Stripe says each thing twice; once is enough here."""
_AT_ONCE = 1000
_DATED_BY_THE_DATABASE: tuple[tuple[type[models.Model], str], ...] = (
    (SettledLine, "received_at"), (SetAsideLine, "received_at"), (Payout, "first_seen_at"),
    (LedgerImport, "created_at"), (StatusReport, "created_at"),
)  # fmt: skip


class Doors:
    """Needs an empty database and a clock that `traveller` turns. Accounts are called stripe-shop and adyen-shop."""

    def __init__(self, traveller: time_machine.Traveller, folder: Path, *, seed: int = 1, **habits: Any) -> None:
        self._traveller, self._folder = traveller, folder
        self.client = Client(SERVER_NAME="127.0.0.1")
        self.counts: Counter[str] = Counter()
        self.accounts: dict[str, ConnectorAccount] = {}
        scopes = [scope.value for scope in (Scope.REFUNDS_WRITE, Scope.REFUNDS_READ, Scope.REFUNDS_SYNC)]
        _, token = ApiToken.issue(name="shop", scopes=scopes, all_accounts=True)
        self._headers = {"Authorization": f"Bearer {token}"}
        self.sandbox = Sandbox(
            self._open(token), seed=seed, clock=timezone.now, habits=Habits(lost_types=_NOT_OF_REFUNDS, **habits),
            requests_per_second=None,
        )  # fmt: skip

    def _open(self, token: str) -> SandboxConfig:
        paths = {}
        for name in PROCESSORS:
            paths[name], self.accounts[name] = open_account(name, name=f"{name}-shop", requests_per_second=1000.0)
        adyen = self.accounts["adyen"]
        adyen.credentials = ReportCredentials(api_key=Secret("report-api-key"))
        adyen.save()
        return SandboxConfig(
            stripe=StripeAccount(
                account="stripe-shop", webhook_url=paths["stripe"], api_key=STRIPE_KEY, webhook_secrets=[STRIPE_SECRET]
            ),
            adyen=AdyenAccount(
                account="adyen-shop", webhook_url=paths["adyen"], hmac_keys=[ADYEN_KEY], report_base_url=adyen.base_url
            ),
            registration=RegistrationTarget(url="/api/refunds/", token=token),
        )

    def move_to(self, moment: dt.datetime) -> None:
        self._traveller.move_to(moment, tick=False)

    # What comes in.

    def bring(self) -> None:
        """Everything that is due by now: registrations, webhooks, and the reports they announce."""
        self._register()
        for delivery in self.sandbox.deliveries_due():
            self.sandbox.delivered(delivery, self.deliver(delivery))
        self.apply()
        self._fetch_reports()
        self._date()

    def _register(self) -> None:
        registrations = iter(self.sandbox.registrations_due())
        while some := list(islice(registrations, _AT_ONCE)):
            claims = [json.loads(each.body) for each in some]
            answer = self.client.post("/api/refunds/", claims, content_type="application/json", headers=self._headers)
            told = answer.json()
            assert told["invalid"] == told["conflict"] == 0, told
            for each in some:
                self.sandbox.registered(each, answer.status_code)
            self.counts["registrations"] += len(some)

    def deliver(self, delivery: OutgoingDelivery) -> int:
        # The receiver remembers an endpoint for five seconds of a clock that nobody turns here.
        webhooks.forget_doors()
        sent = {name: value for name, value in delivery.headers.items() if name != "Content-Type"}
        self.counts["webhooks"] += 1
        answer = self.client.post(delivery.url, delivery.body, content_type="application/json", headers=sent)
        return int(answer.status_code)

    @staticmethod
    def apply() -> None:
        while services.apply_deliveries():
            pass

    def _fetch_reports(self) -> None:
        with services.processors_replaced_by(self.sandbox.transport()):
            for report in StatusReport.objects.filter(pk__in=services.reports_to_fetch()).order_by("pk"):
                assert services.fetch_report(report), report.name
                while services.import_report(report):
                    pass
                self.counts["reports fetched"] += 1

    @staticmethod
    def _date() -> None:
        """The database's clock cannot be turned: what it has dated since is dated by ours."""
        now = timezone.now()
        for model, field in _DATED_BY_THE_DATABASE:
            model._default_manager.filter(**{f"{field}__gt": now}).update(**{field: now})

    def check_silent(self) -> None:
        """Somebody asks Stripe about the refunds that it never spoke of."""
        silent = Refund.objects.filter(account=self.accounts["stripe"], winning_key=CLAIM_KEY)
        with services.processors_replaced_by(self.sandbox.transport()):
            for pk in silent.values_list("pk", flat=True):
                self.client.post(f"/api/refunds/{pk}/sync/", headers=self._headers)
                self.counts["questions"] += 1

    # What people hand in and ask for.

    def settlement(self, processor: str, content: str, name: str = "settlement.csv") -> str:
        return self._file("report", processor, content, name)

    def ledger(self, processor: str, content: str, name: str = "books.csv") -> str:
        return self._file("ledger", processor, content, name)

    def _file(self, command: str, processor: str, content: str, name: str) -> str:
        path = self._folder / name
        path.write_text(content)
        self.counts["files"] += 1
        try:
            return self.command(command, "import", str(path), "--account", f"{processor}-shop")
        finally:
            self._date()

    def agree(self, processor: str, terms: Mapping[str, str]) -> None:
        agreed = [part for name, value in terms.items() for part in ("--set", f"{name}={value}")]
        self.command("terms", "add", f"{processor}-shop", "--since", "2026-01-01", *agreed)

    def reconcile(
        self, since: dt.datetime, until: dt.datetime, *, as_of: dt.datetime, parties: str, of: Iterable[str] = ()
    ) -> tuple[Run, str]:
        """The run, and what the command printed of it."""
        accounts = [part for name in of for part in ("--account", f"{name}-shop")]
        said = self.command(
            "reconcile", "--from", f"{since:%Y-%m-%d}", "--to", f"{until:%Y-%m-%d}", "--as-of", as_of.isoformat(),
            "--parties", parties, *accounts,
        )  # fmt: skip
        return Run.objects.latest("id"), said

    @staticmethod
    def command(*arguments: str) -> str:
        out = io.StringIO()
        call_command(*arguments, stdout=out, stderr=io.StringIO())
        return out.getvalue()
