"""How fast a run matches refunds with settled lines, against PostgreSQL's own bare full join of the same rows.

One in a hundred is a break. Each run is done by a process of its own, whose peak memory is measured; the growth is
measured from a tenth of the rows to all of them, on PostgreSQL and on SQLite.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SIZES = {"smoke": (20_000, 1), "full": (1_000_000, 3)}
_MIB = 1024
_TABLES = (
    "reconciliation_break", "reconciliation_match", "reconciliation_run_accounts", "reconciliation_run",
    "reconciliation_settledline", "refunds_observation", "refunds_refund",
)  # fmt: skip


def run(size: str) -> None:
    rows, rounds = SIZES[size]
    small, large = _measure(rows // 10, rounds), _measure(rows, rounds)
    ratio = statistics.median(a / b for a, b in zip(large["ours"], large["bare"], strict=True))
    ours, bare = statistics.median(large["ours"]), statistics.median(large["bare"])
    print(
        f"match, {rows:,} refunds with {rows:,} lines, 1 % breaks: {ratio:.1f} of the bare full join"
        f" (median of {rounds} rounds; {ours:.2f} s to {bare:.2f} s), peak memory {large['peak'] / _MIB:.0f} MiB"
    )
    print(f"match, growth from {rows // 10:,} to {rows:,}: {ours / statistics.median(small['ours']):.1f} times")
    small, large = _measure(rows // 10, 1, sqlite=True), _measure(rows, 1, sqlite=True)
    print(
        f"match on SQLite, {rows:,}: {large['ours'][0]:.2f} s, {large['ours'][0] / small['ours'][0]:.1f} times that of"
        f" {rows // 10:,}, peak memory {large['peak'] / _MIB:.0f} MiB"
    )


def _measure(rows: int, rounds: int, *, sqlite: bool = False) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ)
        if sqlite:
            environment["REFUNDDASH_DATABASE_URL"] = f"sqlite:///{Path(folder) / 'match.sqlite3'}"
        answer = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.match", str(rows), str(rounds)],
            env=environment, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def _in_a_process_of_its_own(rows: int, rounds: int) -> None:
    import resource

    import django
    from django.conf import settings
    from django.core.management import call_command

    django.setup()
    settings.DEBUG = False
    call_command("migrate", verbosity=0)
    account = fill(rows)
    ours, bare = [], []
    for _ in range(rounds):
        bare.append(_bare_join())
        ours.append(_match(account, rows))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"ours": ours, "bare": bare, "peak": peak}))


def fill(rows: int, more: Mapping[str, str] | None = None) -> Any:
    """So many refunds with a line each, over one month; the same in every run. Filled by the database itself.

    `more` columns of each refund, as SQL of its number `i`.
    """
    from django.db import connection

    from tests.factories import AccountFactory

    postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        for table in _TABLES:
            cursor.execute(f"TRUNCATE {table} CASCADE" if postgres else f"DELETE FROM {table}")
        account = AccountFactory.create(name=f"bench-{time.monotonic_ns()}")
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
        source = f"FROM generate_series(1, {rows}) AS n(i)" if postgres else "FROM n"
        start = "" if postgres else numbers.format(rows=rows)
        for statement in (_REFUNDS, _LINES, _OBSERVATIONS):
            sql = statement.format(
                account=account.pk, at=moment(postgres=postgres), key=_key(), start=start, n=source,
                names="".join(f", {name}" for name in more or {}),
                values="".join(f", {value}" for value in (more or {}).values()),
            )  # fmt: skip
            cursor.execute(sql)
        if postgres:
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("CHECKPOINT")
    return account


def moment(*, postgres: bool) -> str:
    """Spread over March: 2.5 s apart at a million."""
    if postgres:
        return "(timestamptz '2026-03-02 00:00:00+00' + ((i * CAST(7919 AS bigint)) % 2160000) * interval '1 second')"
    return "strftime('%Y-%m-%d %H:%M:%S', 1772409600 + (i * CAST(7919 AS bigint)) % 2160000, 'unixepoch')"


def _key() -> str:
    seconds = "CAST(1772409600 + (i * CAST(7919 AS bigint)) % 2160000 AS text)"
    return f"'0' || {seconds} || '000000' || '73' || '0123456789abcdef'"


# What is odd of each hundredth: another amount, no line, a line that names nobody, nobody asked.
_ID = "CAST((i * 2654435761) % 4294967291 AS text)"
_REFUNDS = f"""{{start}} INSERT INTO refunds_refund (account_id, connector_refund_id, connector_transaction_id,
    merchant_order_id, winning_key, stage, status, native_status, source, as_of, received_at, first_success_key,
    claimed_minor_amount, claimed_currency, processor_minor_amount, processor_currency, created_at, requested_at,
    registered_at, first_seen_at, updated_at, attribute_keys, metadata{{names}})
    SELECT {{account}}, 're_' || {_ID}, 'pi_' || {_ID}, 'O-' || i, {{key}}, 7, 'SUCCEEDED', 'succeeded', 'webhook',
    {{at}}, {{at}}, {{key}}, 1000 + i % 500, 'EUR', 1000 + i % 500, 'EUR', {{at}}, {{at}},
    CASE WHEN i % 400 = 300 THEN NULL ELSE {{at}} END, {{at}}, {{at}}, '{{{{}}}}', '{{{{}}}}'{{values}} {{n}}"""
_LINES = f"""{{start}} INSERT INTO reconciliation_settledline (account_id, line_id, movement, connector_refund_id,
    connector_transaction_id, minor_amount, currency, net_minor_amount, net_currency, booked_at, received_at)
    SELECT {{account}}, 'txn_' || {_ID}, 1, CASE WHEN i % 400 = 200 THEN 'x_' ELSE 're_' END || {_ID},
    CASE WHEN i % 400 = 200 THEN 'x_' ELSE 'pi_' END || {_ID}, 1000 + i % 500 - CASE WHEN i % 400 = 0 THEN 3 ELSE 0 END,
    'EUR', -1000, 'EUR', {{at}}, {{at}} {{n}} WHERE i % 400 <> 100"""
_OBSERVATIONS = """INSERT INTO refunds_observation (refund_id, identity, source, standing, stage, native_status, as_of,
    last_as_of, received_at, last_received_at, first_key, key, assertion, attributes) SELECT id,
    substr(connector_refund_id, 4), 'webhook', 'counted', 7, 'succeeded', as_of, as_of, as_of, as_of, winning_key,
    winning_key, '0123456789abcdef', '{{}}' FROM refunds_refund"""


def _bare_join() -> float:
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET work_mem = '128MB'")
        started = time.perf_counter()
        cursor.execute(
            "SELECT count(*), count(r.id), count(l.id) FROM refunds_refund r FULL JOIN reconciliation_settledline l "
            "ON l.account_id = r.account_id AND l.connector_refund_id = r.connector_refund_id"
        )
        cursor.fetchone()
        return time.perf_counter() - started


def _match(account: Any, rows: int) -> float:
    import datetime as dt

    from refunds.reconciliation.runs import perform, start_run

    since, until = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
    asked = start_run([account], since=since, until=until, parties="RPS")
    started = time.perf_counter()
    perform(asked)
    took = time.perf_counter() - started
    asked.refresh_from_db()
    _check(asked, rows)
    return took


def _check(asked: Any, rows: int) -> None:
    """A run that did not do the work must not print a figure."""
    found = {line["code"]: line["breaks"] for line in asked.summary}
    each = rows // 400
    # A line that names nobody leaves its refund unsettled.
    assert found == {"B03": each, "B04": 2 * each, "B05": each, "B11": each}, (found, asked.error)
    assert asked.matches == rows, asked.matches


if __name__ == "__main__":
    _in_a_process_of_its_own(int(sys.argv[1]), int(sys.argv[2]))
