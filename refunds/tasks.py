"""What the queue may run: find the rows, call one service. Tasks carry integer ids only, and losing one is harmless.

The doorbell rings when a delivery was kept; the one ticker finds again everything that was left undone.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.tasks import async_task

from connectors import registry
from connectors.models import ConnectorAccount
from refunds import services
from refunds.models import AccountPolling, CreationWindow, Heartbeat, Refund, Sighting, StatusReport
from refunds.supervisor import worker_name

log = logging.getLogger(__name__)

APPLY_SECONDS = 30.0
UNANSWERED_RINGS = 20
FETCH_TASK_SECONDS = 240
"""How long the queue lets a download run; less than its `retry`, after which it would be given out again."""
_beaten_at = float("-inf")


def on_deliveries_waiting(**_: Any) -> None:
    """The doorbell. One that nobody has answered so often need not ring again."""
    if get_broker().queue_size() < UNANSWERED_RINGS:
        async_task("refunds.tasks.apply_deliveries", group="apply")


def beat() -> None:
    """A sign of life of the worker that runs this, at most one a second; the supervisor listens for it."""
    global _beaten_at
    if time.monotonic() - _beaten_at >= 1:
        Heartbeat.beat(worker_name())
        _beaten_at = time.monotonic()


def apply_deliveries() -> int:
    """Apply waiting deliveries until none is left, or for so long; what remains is found again."""
    until, applied = time.monotonic() + APPLY_SECONDS, 0
    while time.monotonic() < until:
        beat()
        count = services.apply_deliveries()
        applied += count
        if not count:
            return applied
    on_deliveries_waiting()
    return applied


def tick() -> None:
    """The one schedule: sweep the inbox, let held facts out, and start a poll for each account with something due."""
    beat()
    Heartbeat.beat(Heartbeat.TICKER)
    services.release_held()
    services.recognize_words()
    services.watch_endpoints()
    on_deliveries_waiting()
    for account_id in accounts_due():
        async_task("refunds.tasks.poll_account", account_id, group="poll")
    _look_after_reports()


def poll_account(account_id: int) -> int:
    """Poll one account, and once more where there was too much for one turn."""
    beat()
    account = ConnectorAccount.objects.filter(pk=account_id, enabled=True).first()
    asked = services.poll_account(account) if account else 0
    if asked and account_id in accounts_due():
        async_task("refunds.tasks.poll_account", account_id, group="poll")
    return asked


def on_report_kept(*, report_id: int, **_: Any) -> None:
    """The doorbell for a report that was handed in."""
    async_task("refunds.tasks.import_report", report_id, group="report")


def fetch_report(report_id: int) -> None:
    """Download a report, then let it be imported."""
    beat()
    report = StatusReport.objects.select_related("account").filter(pk=report_id).first()
    if report is not None and services.fetch_report(report, alive=beat):
        async_task("refunds.tasks.import_report", report_id, group="report")


def import_report(report_id: int) -> None:
    """Import a report for a while, and once more where it was too long for one turn."""
    beat()
    report = StatusReport.objects.select_related("account").filter(pk=report_id).first()
    if report is not None and services.import_report(report, progress=lambda _: beat()):
        async_task("refunds.tasks.import_report", report_id, group="report")


def _look_after_reports() -> None:
    services.expire_reports()
    for report_id in services.reports_to_fetch():
        async_task("refunds.tasks.fetch_report", report_id, group="report", timeout=FETCH_TASK_SECONDS)
    for report_id in services.reports_to_import():
        async_task("refunds.tasks.import_report", report_id, group="report")


def accounts_due() -> list[int]:
    """Accounts that are not paused and have something to ask."""
    now = timezone.now()
    mine = {"account": OuterRef("pk")}
    paused = AccountPolling.objects.filter(**mine, paused_until__gt=now)
    changes_were_read = AccountPolling.objects.filter(**mine, next_changes_at__gt=now)
    today_is_listed = CreationWindow.objects.filter(**mine, day=now.date())
    due = (
        Exists(Refund.objects.filter(**mine, next_poll_at__lte=now))
        | Exists(Sighting.objects.filter(**mine, next_poll_at__lte=now))
        | Exists(CreationWindow.objects.filter(**mine, next_list_at__lte=now))
        | (Q(connector__in=_that_support("list_changes")) & ~Exists(changes_were_read))
        | (Q(connector__in=_that_support("list_refunds")) & ~Exists(today_is_listed))
    )
    accounts = ConnectorAccount.objects.filter(~Exists(paused), due, enabled=True)
    return list(accounts.values_list("pk", flat=True))


def _that_support(operation: str) -> list[str]:
    return [name for name, connector in registry.connectors().items() if connector.supports(operation)]
