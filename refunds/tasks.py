"""What the queue may run: find the rows, call one service. Tasks carry integer ids only, and losing one is harmless.

The doorbell rings when a delivery was kept; the one ticker finds again everything that was left undone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import structlog
from django.db import connections
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.tasks import async_task

from connectors import inbox, registry
from connectors.models import ConnectorAccount
from refunds import services, ticker
from refunds.cases.purging import purge_case_work
from refunds.exports import exporting
from refunds.exports.models import Export
from refunds.models import AccountPolling, CreationWindow, Heartbeat, Refund, Sighting, StatusReport
from refunds.reconciliation import kept_files, runs
from refunds.reconciliation.closing import close
from refunds.reconciliation.models import Closing, Run
from refunds.supervisor import worker_name

log = structlog.get_logger(__name__)

APPLY_SECONDS = 5.0
"""A worker that is told to stop finishes its turn first, and a deploy waits for it."""
LINGER_SECONDS = 1.0
"""How long a worker that has applied everything looks for more: a web process rings no more often."""
LOOK_EVERY_SECONDS = 0.05
UNANSWERED_RINGS = 20
POLLED_TOGETHER = 32
"""How many accounts one task polls side by side."""
FETCH_TASK_SECONDS = 240
"""How long the queue lets a download run; less than its `retry`, after which it would be given out again."""
RUN_TASK_SECONDS = 240
"""How long the queue lets a run of reconciliation take; less than its `retry`."""
EXPORT_TASK_SECONDS = 3600
"""How long the queue lets an export take. After its `retry` it is given out again; whoever gets it finds it taken."""
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
    """Apply new deliveries until no more come, or for so long; what remains is found again.

    Those to be tried again have a task of their own, and so another process: poison among them holds up nothing new.
    """
    _take_over_once()
    if inbox.tried_are_due():
        async_task("refunds.tasks.try_deliveries_again", group="apply")
    return _apply_by(services.apply_new, linger_seconds=LINGER_SECONDS)


@cache
def _take_over_once() -> None:
    """A process that takes the place of one that died finds what that one held. Each process looks once."""
    services.take_step(services.take_over_from_the_dead)


def try_deliveries_again() -> int:
    """Apply deliveries that are due to be tried again, until none is left, or for so long."""
    return _apply_by(services.apply_tried, linger_seconds=0)


def _apply_by(apply_some: Callable[[], int], *, linger_seconds: float) -> int:
    """Whoever finds nothing at all goes at once: another is at it. Nobody lingers while other tasks wait."""
    until, leave_at, applied = time.monotonic() + APPLY_SECONDS, float("inf"), 0
    while time.monotonic() < until:
        beat()
        if count := apply_some():
            applied += count
            continue
        leave_at = min(leave_at, time.monotonic() + linger_seconds)
        if not applied or time.monotonic() >= leave_at or get_broker().queue_size():
            return applied
        time.sleep(LOOK_EVERY_SECONDS)
    on_deliveries_waiting()
    return applied


def tick_unless_just_done() -> None:
    """What refunds.ticker puts into the queue."""
    # Before this tick's beat hides when the last one was.
    services.take_step(services.watch_clock, last_tick_at=Heartbeat.last_of(Heartbeat.TICKER))
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
        services.calm_down,
        services.verify_sample,
        services.forget_tallies,
        services.learn_usual_times,
        look_after_reports,
        kept_files.expire_refused_books,
        look_after_runs,
        look_after_closings,
        look_after_exports,
        services.purge_deliveries,
        purge_case_work,
    ):
        services.take_step(step)


def start_polls() -> None:
    """Have every account polled that has something to ask."""
    _start_polls(accounts_due())


def on_checks_asked_for(**_: Any) -> None:
    """The doorbell for refunds that somebody wants to be asked about."""
    start_polls()


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
        log.exception("account_not_polled", account=account_id)
        return 0
    finally:
        connections.close_all()


def poll_account(account_id: int) -> int:
    """Poll one account for one turn; returns how many questions were put."""
    account = ConnectorAccount.objects.filter(pk=account_id, enabled=True).first()
    return services.poll_account(account) if account else 0


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


def look_after_reports() -> None:
    """A task for each report that is to be fetched or imported; those that have served their time go."""
    services.expire_reports()
    for report_id in services.reports_to_fetch():
        async_task("refunds.tasks.fetch_report", report_id, group="report", timeout=FETCH_TASK_SECONDS)
    for report_id in services.reports_to_import():
        async_task("refunds.tasks.import_report", report_id, group="report")


def on_run_asked_for(*, run_id: int, **_: Any) -> None:
    """The doorbell for a run of reconciliation."""
    async_task("refunds.tasks.reconcile", run_id, group="reconcile", timeout=RUN_TASK_SECONDS)


def reconcile(run_id: int) -> None:
    """Do a run, unless somebody else does."""
    beat()
    run = Run.objects.filter(pk=run_id).first()
    if run is not None:
        runs.perform(run, alive=beat)


def look_after_runs() -> None:
    """A task for each run that waits, or whose worker is gone."""
    for run_id in runs.runs_to_do():
        on_run_asked_for(run_id=run_id)


def on_closing_asked_for(*, closing_id: int, **_: Any) -> None:
    """The doorbell for the closing of a period."""
    async_task("refunds.tasks.close_period", closing_id, group="reconcile", timeout=RUN_TASK_SECONDS)


def close_period(closing_id: int) -> None:
    """Do a closing, unless somebody else does."""
    beat()
    closing = Closing.objects.select_related("period__account", "run", "previous").filter(pk=closing_id).first()
    if closing is not None:
        close.perform(closing, alive=beat)


def look_after_closings() -> None:
    """A task for each closing that waits, or whose worker is gone."""
    for closing_id in close.closings_to_do():
        on_closing_asked_for(closing_id=closing_id)


def on_export_asked_for(*, export_id: int, **_: Any) -> None:
    """The doorbell for an export."""
    async_task("refunds.tasks.export", export_id, group="export", timeout=EXPORT_TASK_SECONDS)


def export(export_id: int) -> None:
    """Make an export, unless somebody else does; then let the next one be made."""
    beat()
    found = Export.objects.filter(pk=export_id).first()
    if found is not None and exporting.perform(found, alive=beat):
        look_after_exports()


def look_after_exports() -> None:
    """A task for the export that waits longest, or whose worker is gone; files that have served their time go."""
    exporting.expire_exports()
    for export_id in exporting.exports_to_do()[:1]:
        on_export_asked_for(export_id=export_id)


def accounts_due() -> list[int]:
    """Accounts that have something to ask, are not paused, and that nobody is polling; those in trouble last."""
    now = timezone.now()
    mine = {"account": OuterRef("pk")}
    paused = AccountPolling.objects.filter(**mine, paused_until__gt=now)
    being_polled = AccountPolling.objects.filter(**mine, lease_until__gt=now).exclude(lease="")
    changes_were_read = AccountPolling.objects.filter(**mine, next_changes_at__gt=now)
    settlement_was_read = AccountPolling.objects.filter(**mine, next_settlement_at__gt=now)
    today_is_listed = CreationWindow.objects.filter(**mine, day=now.date())
    due = (
        Exists(Refund.objects.filter(**mine).due(now))
        | Exists(Sighting.objects.filter(**mine, next_poll_at__lte=now))
        | Exists(CreationWindow.objects.filter(**mine, next_list_at__lte=now, day__lte=now.date()))
        | (Q(connector__in=_that_support("list_changes")) & ~Exists(changes_were_read))
        | (Q(connector__in=_that_support("list_settlement")) & ~Exists(settlement_was_read))
        | (Q(connector__in=_that_support("list_refunds")) & ~Exists(today_is_listed))
    )
    accounts = ConnectorAccount.objects.filter(~Exists(paused), ~Exists(being_polled), due, enabled=True)
    return list(accounts.order_by(F("polling__failures").asc(nulls_first=True), "pk").values_list("pk", flat=True))


def _that_support(operation: str) -> list[str]:
    return [name for name, connector in registry.connectors().items() if connector.supports(operation)]
