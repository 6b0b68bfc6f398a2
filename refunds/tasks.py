"""What the queue may run: find the rows, call one service. Tasks carry integer ids only, and losing one is harmless.

The doorbell rings when a delivery was kept; the one ticker finds again everything that was left undone.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import Schedule
from django_q.tasks import async_task

from connectors import registry
from connectors.models import ConnectorAccount
from refunds import services
from refunds.models import AccountPolling, CreationWindow, Heartbeat, Refund, Sighting
from refunds.supervisor import worker_name

log = logging.getLogger(__name__)

APPLY_SECONDS = 30.0
UNANSWERED_RINGS = 20
TICK_EVERY = dt.timedelta(minutes=1)
POLLED_TOGETHER = 32
"""How many accounts one task polls side by side."""
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
        wake_ticker()
        _beaten_at = time.monotonic()


def wake_ticker() -> None:
    """Let the ticker run now where it is planned too far ahead: our clock was set back, and it would sleep as long."""
    now = timezone.now()
    Schedule.objects.filter(name="tick", next_run__gt=now + 2 * TICK_EVERY).update(next_run=now)


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
    services.watch_clock(last_tick_at=Heartbeat.last_of(Heartbeat.TICKER))
    Heartbeat.beat(Heartbeat.TICKER)
    services.release_held()
    services.recognize_words()
    services.watch_endpoints()
    on_deliveries_waiting()
    _start_polls(accounts_due())


def _start_polls(account_ids: Sequence[int]) -> None:
    for start in range(0, len(account_ids), POLLED_TOGETHER):
        together = list(account_ids[start : start + POLLED_TOGETHER])
        async_task("refunds.tasks.poll_accounts", together, group="poll")


def poll_accounts(account_ids: Sequence[int]) -> int:
    """Poll accounts side by side, each in a thread of its own; returns how many questions were put.

    A processor that hangs holds its thread for one exchange, and not a worker: however many of them hang at once, the
    others are asked meanwhile, and the other workers are free for deliveries. Where there was too much for one turn,
    and the processor answers, it goes on at once.
    """
    beat()
    with ThreadPoolExecutor(max_workers=max(len(account_ids), 1), thread_name_prefix="poll") as threads:
        asked = dict(zip(account_ids, threads.map(_poll_in_thread, account_ids), strict=True))
    well = set(AccountPolling.objects.filter(failures=0).values_list("account_id", flat=True))
    _start_polls([account_id for account_id in accounts_due() if asked.get(account_id) and account_id in well])
    return sum(asked.values())


def _poll_in_thread(account_id: int) -> int:
    try:
        return poll_account(account_id)
    except Exception:
        # A bug that one account brings to light shall not end the turns of the others.
        log.exception("tasks: account %s could not be polled", account_id)
        return 0
    finally:
        connections.close_all()


def poll_account(account_id: int) -> int:
    """Poll one account for one turn; returns how many questions were put."""
    account = ConnectorAccount.objects.filter(pk=account_id, enabled=True).first()
    return services.poll_account(account) if account else 0


def accounts_due() -> list[int]:
    """Accounts that have something to ask, are not paused, and that nobody is polling; those in trouble last."""
    now = timezone.now()
    mine = {"account": OuterRef("pk")}
    paused = AccountPolling.objects.filter(**mine, paused_until__gt=now)
    being_polled = AccountPolling.objects.filter(**mine, lease_until__gt=now).exclude(lease="")
    changes_were_read = AccountPolling.objects.filter(**mine, next_changes_at__gt=now)
    today_is_listed = CreationWindow.objects.filter(**mine, day=now.date())
    due = (
        Exists(Refund.objects.filter(**mine, next_poll_at__lte=now))
        | Exists(Sighting.objects.filter(**mine, next_poll_at__lte=now))
        | Exists(CreationWindow.objects.filter(**mine, next_list_at__lte=now))
        | (Q(connector__in=_that_support("list_changes")) & ~Exists(changes_were_read))
        | (Q(connector__in=_that_support("list_refunds")) & ~Exists(today_is_listed))
    )
    accounts = ConnectorAccount.objects.filter(~Exists(paused), ~Exists(being_polled), due, enabled=True)
    return list(accounts.order_by(F("polling__failures").asc(nulls_first=True), "pk").values_list("pk", flat=True))


def _that_support(operation: str) -> list[str]:
    return [name for name, connector in registry.connectors().items() if connector.supports(operation)]
