"""What the queue may run: find the rows, call one service. Tasks carry integer ids only, and losing one is harmless.

The doorbell rings when a delivery was kept; the one ticker finds again everything that was left undone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.tasks import async_task

from connectors import inbox, registry
from connectors.models import ConnectorAccount
from refunds import services, ticker
from refunds.models import AccountPolling, CreationWindow, Heartbeat, Refund, Sighting
from refunds.supervisor import worker_name

log = logging.getLogger(__name__)

APPLY_SECONDS = 30.0
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
    """Apply new deliveries until none is left, or for so long; what remains is found again.

    Those to be tried again have a task of their own, and so another process: poison among them holds up nothing new.
    """
    if inbox.tried_are_due():
        async_task("refunds.tasks.try_deliveries_again", group="apply")
    return _apply_by(services.apply_new)


def try_deliveries_again() -> int:
    """Apply deliveries that are due to be tried again, until none is left, or for so long."""
    return _apply_by(services.apply_tried)


def _apply_by(apply_some: Callable[[], int]) -> int:
    until, applied = time.monotonic() + APPLY_SECONDS, 0
    while time.monotonic() < until:
        beat()
        count = apply_some()
        applied += count
        if not count:
            return applied
    on_deliveries_waiting()
    return applied


def tick_unless_just_done() -> None:
    """What refunds.ticker puts into the queue."""
    if ticker.begin_tick():
        tick()


def tick() -> None:
    """Sweep the inbox, start a poll for each account with something due, let held facts out, purge what is old.

    A step that fails stops no other; somebody is told until it works again.
    """
    beat()
    Heartbeat.beat(Heartbeat.TICKER)
    for step in (
        on_deliveries_waiting,
        start_polls,
        services.release_held,
        services.recognize_words,
        services.watch_endpoints,
        services.purge_deliveries,
    ):
        services.take_step(step)


def start_polls() -> None:
    """A task for each account that has something to ask."""
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
