"""What the lock costs an import, and how long a close takes against the run it rests on.

An import keeps 100,000 lines in batches of 500, with the triggers and without them by turns, beside 24 locked periods.
A close is done by a process of its own, whose peak memory is measured; on PostgreSQL and on SQLite.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SIZES = {"smoke": (10_000, 3, 10_000), "full": (100_000, 5, 1_000_000)}
_BATCH = 500
_LOCKED = 24
_MIB = 1024


def run(size: str) -> None:
    lines, rounds, refunds = SIZES[size]
    for name, sqlite in (("PostgreSQL", False), ("SQLite", True)):
        found = _measure(lines, rounds, refunds, sqlite=sqlite)
        ratios = [with_locks / without for with_locks, without in found["imports"]]
        print(
            f"lock on {name}: importing {lines:,} lines beside {_LOCKED} locked periods takes "
            f"{statistics.median(ratios):.3f} of the time without triggers (rounds: "
            f"{', '.join(f'{ratio:.3f}' for ratio in ratios)})"
        )
        print(
            f"close on {name}: {refunds:,} refunds with as many lines in {found['close']:.1f} s, "
            f"{found['close'] / found['run']:.1f} of the run it rests on; verified in {found['verify']:.1f} s; peak "
            f"memory {found['peak'] / _MIB:.0f} MiB"
        )


def _measure(lines: int, rounds: int, refunds: int, *, sqlite: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ)
        if sqlite:
            environment["REFUNDDASH_DATABASE_URL"] = f"sqlite:///{Path(folder) / 'close.sqlite3'}"
        answer = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.close", str(lines), str(rounds), str(refunds)],
            env=environment, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def _in_a_process_of_its_own(lines: int, rounds: int, refunds: int) -> None:
    import resource

    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    settings.DEBUG = False
    call_command("migrate", verbosity=0)
    _import(lines // 10, locks=True)
    imports = [(_import(lines, locks=True), _import(lines, locks=False)) for _ in range(rounds)]
    took = _close(refunds)
    print(json.dumps({"imports": imports, **took, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


def _import(number: int, *, locks: bool) -> float:
    from django.db import connection, transaction

    from refunds.reconciliation import locking
    from refunds.reconciliation.settlement import lines as keeping
    from tests.factories import AccountFactory

    account = AccountFactory.create(name=f"bench-{time.monotonic_ns()}")
    with connection.cursor() as cursor:
        for statement in locking.removals(connection.vendor):
            cursor.execute(statement)
        _lock_periods(account)
        if locks:
            for statement in locking.statements(connection.vendor):
                cursor.execute(statement)
    batches = [[_booked(account, n) for n in range(at, at + _BATCH)] for at in range(0, number, _BATCH)]
    started = time.perf_counter()
    for batch in batches:
        with transaction.atomic():
            keeping.keep(batch, report=None)
    return time.perf_counter() - started


def _booked(account: Any, number: int) -> Any:
    from connectors.contract import Money, Movement, SettlementLine
    from refunds.services.settling import BookedLine

    booked_at = dt.datetime(2026, 3, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=number)
    line = SettlementLine(
        line_id=f"txn_{number}", movement=Movement.REFUND, connector_refund_id=f"re_{number}",
        amount=Money(1000, "EUR"), net=Money(-1000, "EUR"), booked_at=booked_at,
    )  # fmt: skip
    return BookedLine(account.pk, line)


def _lock_periods(account: Any) -> None:
    """Two years of locked months before what is imported; the rows they rest on do not matter to a trigger."""
    from django.contrib.auth.models import User

    from refunds.reconciliation.models import Closing, Period, Run

    user, _ = User.objects.get_or_create(username="bench")
    until = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    run = Run.objects.create(since=until, until=until + dt.timedelta(days=1), parties="RP", as_of=until, rule_version=1)
    for _ in range(_LOCKED):
        since = until - dt.timedelta(days=30)
        period = Period.objects.create(account=account, since=since, until=until)
        closing = Closing.objects.create(
            period=period, run=run, known_until=until, decided_until=until, asked_by=user, source="command",
            state="done", version=1,
        )  # fmt: skip
        Period.objects.filter(pk=period.pk).update(
            state="locked", closing=closing, run=run, known_until=until, decided_until=until
        )
        until = since


def _close(refunds: int) -> dict[str, float]:
    from django.contrib.auth.models import Group, User
    from django.db import connection

    from refunds.reconciliation import locking
    from refunds.reconciliation.closing.close import ask_to_close, perform, verify
    from refunds.reconciliation.models import Period
    from refunds.reconciliation.runs import perform as perform_run
    from refunds.reconciliation.runs import start_run
    from tests.benchmarks import match

    with connection.cursor() as cursor:
        for statement in locking.removals(connection.vendor):
            cursor.execute(statement)
        for table in ("openitem", "periodevent"):
            cursor.execute(f"DELETE FROM reconciliation_{table}")
        Period.objects.update(state="open", closing=None, run=None, known_until=None, decided_until=None)
        cursor.execute("DELETE FROM reconciliation_closing")
        cursor.execute("DELETE FROM reconciliation_period")
    account = match.fill(refunds)
    with connection.cursor() as cursor:
        cast = "::jsonb" if connection.vendor == "postgresql" else ""
        cursor.execute(
            "UPDATE refunds_observation SET attributes = (SELECT ('{\"amount\": [' || r.processor_minor_amount || "
            f"', \"EUR\"]}}'){cast} FROM refunds_refund r WHERE r.id = refund_id)"
        )
        for statement in locking.statements(connection.vendor):
            cursor.execute(statement)
    user = User.objects.get(username="bench")
    user.groups.add(Group.objects.get(name="finance"))
    since, until = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
    period = Period.objects.create(account=account, since=since, until=until)
    asked = start_run([account], since=since, until=until, parties="RPS", as_of=until + dt.timedelta(days=5))
    started = time.perf_counter()
    perform_run(asked)
    ran = time.perf_counter()
    closing = ask_to_close(period, by=user, source="command")
    assert perform(closing), closing.blockers
    closed = time.perf_counter()
    assert verify(closing) == []
    # A close that did not do the work must not print a figure.
    assert closing.rollforward[0]["settled"] < 0
    assert closing.rollforward[0]["items"] >= refunds // 400
    return {"run": ran - started, "close": closed - ran, "verify": time.perf_counter() - closed}


if __name__ == "__main__":
    _in_a_process_of_its_own(*map(int, sys.argv[1:4]))
