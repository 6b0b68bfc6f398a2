"""A processor that answers as told, and an account of which only what a test is about is due."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import httpx
from django.utils import timezone

from connectors.contract import Secret
from connectors.models import ConnectorAccount
from connectors.processors.stripe.settings import Credentials
from refunds.models import AccountPolling, CreationWindow, Refund
from tests.factories import AccountFactory, RefundFactory

Handler = Callable[[httpx.Request], httpx.Response]


class Processor:
    """A processor that answers as told and remembers what it was asked."""

    def __init__(self) -> None:
        self.refunds: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.instead: Handler | None = None
        self.date: dt.datetime | None = None
        """The processor's clock; None: as ours."""

    def has(self, refund_id: str, status: str = "succeeded", *, created: dt.datetime | None = None) -> None:
        self.refunds[refund_id] = {
            "id": refund_id, "object": "refund", "amount": 500, "currency": "eur", "status": status, "charge": "ch_1",
            "payment_intent": "pi_1", "created": int((created or timezone.now()).timestamp()),
        }  # fmt: skip

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        return self.instead(request) if self.instead is not None else self.says(request)

    def says(self, request: httpx.Request) -> httpx.Response:
        status, body = self._answer(request)
        date = (self.date or timezone.now()).strftime("%a, %d %b %Y %H:%M:%S GMT")
        return httpx.Response(status, json=body, headers={"Date": date})

    def _answer(self, request: httpx.Request) -> tuple[int, Any]:
        path = request.url.path
        if path == "/v1/events":
            return 200, {"object": "list", "data": self.events, "has_more": False}
        if path == "/v1/refunds":
            return 200, {"object": "list", "data": self._created(request), "has_more": False}
        refund = self.refunds.get(path.rsplit("/", 1)[-1])
        return (200, refund) if refund else (404, {"error": {"code": "resource_missing"}})

    def _created(self, request: httpx.Request) -> list[dict[str, Any]]:
        since = int(request.url.params.get("created[gte]", 0))
        until = int(request.url.params.get("created[lt]", 10**10))
        return [refund for refund in self.refunds.values() if since <= refund["created"] < until]


def working_account() -> ConnectorAccount:
    account = AccountFactory.build(created_at=timezone.now())
    account.credentials = Credentials(Secret("rk_test_1"))
    account.save()
    # Only what a test is about is due.
    tomorrow = timezone.now() + dt.timedelta(days=1)
    AccountPolling.objects.create(account=account, next_changes_at=tomorrow, next_settlement_at=tomorrow)
    for day in (timezone.now().date(), timezone.now().date() - dt.timedelta(days=1)):
        later = timezone.now() + dt.timedelta(days=1)
        CreationWindow.objects.create(account=account, day=day, next_list_at=later)
    return account


def due(account: ConnectorAccount, refund_id: str = "re_1") -> Refund:
    return RefundFactory.create(account=account, connector_refund_id=refund_id, next_poll_at=timezone.now())
