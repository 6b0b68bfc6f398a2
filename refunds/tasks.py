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
from refunds.models import AccountPolling, CreationWindow, Heartbeat, Refund, Sighting
from refunds.supervisor import worker_name

log = logging.getLogger(__name__)

APPLY_SECONDS = 5.0
"""A worker that is told to stop finishes its turn first, and a deploy waits for it."""
UNANSWERED_RINGS = 20
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
    services.verify_sample()
    on_deliveries_waiting()
    for account_id in accounts_due():
        async_task("refunds.tasks.poll_account", account_id, group="poll")


def poll_account(account_id: int) -> int:
    """Poll one account, and once more where there was too much for one turn."""
    beat()
    account = ConnectorAccount.objects.filter(pk=account_id, enabled=True).first()
    asked = services.poll_account(account) if account else 0
    if asked and account_id in accounts_due():
        async_task("refunds.tasks.poll_account", account_id, group="poll")
    return asked


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
