"""Runs: asked for, taken by a worker, done in the database, written in one transaction. A run corrects nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence

import structlog
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.dispatch import Signal
from django.utils import timezone

from connectors.models import ConnectorAccount
from refunds.reconciliation.ladder import COMBINATIONS, RULE_VERSION
from refunds.reconciliation.matching import engine
from refunds.reconciliation.matching.workbench import workbench
from refunds.reconciliation.models import EntryKind, LedgerEntry, Run, RunState, SettledLine
from refunds.reconciliation.models.run import LEASE, MOST_ATTEMPTS

log = structlog.get_logger(__name__)

run_asked_for = Signal()
"""Sent with `run_id` when a run waits to be done; without it the ticker finds it too."""

LONGEST_PERIOD = dt.timedelta(days=370)


class CannotRun(ValueError):
    """What was asked for makes no sense; the message says what to ask for instead, `about` which argument it is."""

    def __init__(self, message: str, *, about: str) -> None:
        super().__init__(message)
        self.about = about


class _LeaseLost(Exception):
    """Another worker has taken the run over."""


def start_run(
    accounts: Iterable[ConnectorAccount],
    *,
    since: dt.datetime,
    until: dt.datetime,
    parties: str = "",
    as_of: dt.datetime | None = None,
    by: User | None = None,
) -> Run:
    """Ask for a run; it is done by a worker, or by `perform`. CannotRun where it makes no sense.

    Without `parties` it compares those there are; without `as_of` what is known now.
    """
    wanted, now = sorted(accounts, key=lambda account: account.pk), timezone.now()
    as_of = as_of or now
    if not wanted:
        raise CannotRun("there is no account to compare", about="accounts")
    if not since < until:
        raise CannotRun("the period must end after it begins", about="until")
    if until - since > LONGEST_PERIOD:
        raise CannotRun(f"the period must be at most {LONGEST_PERIOD.days} days", about="until")
    if as_of > now:
        raise CannotRun("nobody knows yet what will be known then: as_of lies in the future", about="as_of")
    if parties and parties not in COMBINATIONS:
        raise CannotRun(f"the parties are one of {', '.join(COMBINATIONS)}", about="parties")
    parties = parties or parties_there_are(wanted, as_of)
    with transaction.atomic(durable=True):
        run = Run.objects.create(
            since=since, until=until, parties=parties, as_of=as_of, rule_version=RULE_VERSION, created_by=by
        )
        run.accounts.set(wanted)
    return run


def parties_there_are(accounts: Sequence[ConnectorAccount], as_of: dt.datetime) -> str:
    """Which parties have ever said anything of these accounts by then."""
    settled = SettledLine.objects.filter(account__in=accounts, received_at__lte=as_of).exists()
    bank = LedgerEntry.objects.filter(account__in=accounts, kind=EntryKind.BANK, received_at__lte=as_of)
    if bank.exists():
        return "RPSB"
    return "RPS" if settled else "RP"


def runs_to_do() -> list[int]:
    """Runs nobody is at."""
    return list(Run.objects.to_do(timezone.now()).order_by("id").values_list("id", flat=True))


def perform(run: Run, *, alive: Callable[[], None] = lambda: None) -> bool:
    """Do a run; False where somebody else does, or did, or it failed. How it ended stands in its row.

    Nothing is written before the end, so a run that was killed is simply done again.
    """
    if not run.take():
        return False
    if run.attempts > MOST_ATTEMPTS:
        _fail(run, "its worker ended three times in the middle of it; look in the log")
        return False
    try:
        _compare(run, alive)
    except _LeaseLost:
        log.warning("run_taken_over", run=run.pk)
    except Exception as error:
        log.exception("run_failed", run=run.pk)
        _fail(run, f"{type(error).__name__}: {error}")
    return run.state == RunState.DONE


def _compare(run: Run, alive: Callable[[], None]) -> None:
    def step(what: str, percent: int) -> None:
        alive()
        if not run.write(step=what, percent=percent, lease_until=timezone.now() + LEASE):
            raise _LeaseLost

    account_ids = list(run.accounts.values_list("pk", flat=True))
    with workbench(run, account_ids) as bench:
        bench.count_joined()
        engine.compare(bench, step)
        with transaction.atomic(durable=True):
            counts = engine.write(bench)
            done = run.write(
                **counts, state=RunState.DONE, finished_at=timezone.now(), step="", percent=100, lease="", error=""
            )
            if not done:
                raise _LeaseLost


def _fail(run: Run, reason: str) -> None:
    if connection.needs_rollback:
        return
    run.write(state=RunState.FAILED, finished_at=timezone.now(), error=reason[:500])
