"""Bringing in the practice processors' month: what a person would download and hand in, then one run.

Webhooks, registrations and announced reports come by themselves; everything here goes by the same commands that
people use.
"""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from django.conf import settings
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper

from connectors.management.console import table
from connectors.models import DeliveryState, WebhookDelivery
from refunds.models import Refund, ReportState, StatusReport
from refunds.reconciliation.codes import Code
from refunds.reconciliation.models import AccountTerms, Break, Run

_PATIENCE_SECONDS = 900.0
_LATE = "what was on its way a week after the month is late by today: B01 became B04 or B32"
_BECAUSE_IT_IS_TODAY = {
    Code.TIMING_IN_TRANSIT: _LATE,
    Code.MISSING_IN_SETTLEMENT: _LATE,
    Code.STUCK_PENDING: _LATE,
    Code.STALE_LOCAL: "the poll that was first was today, not in that month",
    Code.UNPARSED_ROW: "an unreadable row is of the day its file came: today, not that month",
}
"""The month is played in minutes and compared today; what follows from that by itself."""


def bring(out: OutputWrapper) -> None:
    """CommandError where the practice processors are not running, or have no month."""
    told = _ask("month").json()
    _wait_for(told, out)
    _agree(told["terms"], told["since"])
    with TemporaryDirectory() as folder:
        for file in told["files"]:
            path = Path(folder) / file["name"]
            path.write_bytes(_ask("month/file", name=file["name"]).content)
            _hand_in(file, path, out)
    accounts = [part for name in told["terms"] for part in ("--account", name)]
    call_command("reconcile", "--from", told["since"][:10], "--to", told["until"][:10], *accounts, stdout=out)
    out.write(_side_by_side(told["planted"]))


def _ask(path: str, **params: str) -> httpx.Response:
    try:
        answer = httpx.get(f"{settings.SANDBOX_URL}/_sandbox/{path}", params=params, trust_env=False, timeout=60)
    except httpx.TransportError as error:
        raise CommandError(f"the practice processors do not answer at {settings.SANDBOX_URL}: {error}") from error
    if answer.status_code != 200:
        raise CommandError("the practice processors have no month. Stop them, remove var/ and: make run MONTH=500")
    return answer


def _wait_for(told: dict[str, Any], out: OutputWrapper) -> None:
    """Until every refund of the month is here and every delivery and report is applied."""
    period = Refund.objects.filter(
        account__name__in=told["terms"], created_at__gte=told["since"], created_at__lt=told["until"]
    )
    deadline, before = time.monotonic() + _PATIENCE_SECONDS, ""
    while True:
        here = period.count()
        waiting = WebhookDelivery.objects.filter(state=DeliveryState.WAITING).count()
        reports = StatusReport.objects.filter(state__in=[ReportState.ANNOUNCED, ReportState.STORED]).count()
        line = f"{here:,} of {told['refunds']:,} refunds, {waiting:,} webhooks and {reports:,} reports to go"
        if here >= told["refunds"] and not waiting and not reports:
            return
        if time.monotonic() > deadline:
            raise CommandError(f"the month did not arrive in time ({line}); is everything running (make run)?")
        if line != before:
            out.write(line)
        before = line
        time.sleep(2)


def _agree(terms: dict[str, dict[str, str]], since: str) -> None:
    for account, agreed in terms.items():
        if not AccountTerms.objects.filter(account__name=account, since=since).exists():
            setting = [part for name, value in agreed.items() for part in ("--set", f"{name}={value}")]
            call_command("terms", "add", account, "--since", since[:10], *setting)


def _hand_in(file: dict[str, str], path: Path, out: OutputWrapper) -> None:
    command = "report" if file["kind"] == "settlement" else "ledger"
    try:
        call_command(command, "import", str(path), "--account", file["account"], stdout=out)
    except CommandError as error:
        # A row that nobody can read is among what is planted: the others were kept.
        out.write(str(error))


def _side_by_side(planted: dict[str, int]) -> str:
    found = Counter(Break.objects.filter(run=Run.objects.latest("id")).values_list("code", flat=True))
    rows = []
    for code in Code:
        there, here = planted.get(code.label, 0), found[code]
        why = _BECAUSE_IT_IS_TODAY.get(code, "NOT EXPLAINED") if there != here else ""
        rows.append((code.label, code.name, there, here, why))
    return table(("code", "break", "planted", "found", "why they differ"), rows)
