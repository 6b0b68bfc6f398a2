"""How fast the refund report is exported, and in how much memory.

CSV of a million presented rows: read in its snapshot, hashed, packed, sealed and kept, against PostgreSQL's own
`COPY (the same query) TO STDOUT`, thrown away. XLSX: against the same library writing the same cells, typed already,
from a list in memory into a file. Each export is made by a process of its own, whose peak memory is measured.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from tests.benchmarks import match

SIZES = {"smoke": (20_000, 5_000, 1), "full": (1_000_000, 200_000, 3)}
"""Rows of the CSV file, rows of the workbook, rounds."""
_SETTLED = {
    "settled_at": f"{match.moment(postgres=True)} + interval '2 days'",
    "settlement_fee_minor_amount": "25",
    "settlement_net_minor_amount": "-(1000 + i % 500 + 25)",
    "settlement_currency": "'EUR'",
    "payout_id": "'po_' || i % 90",
    "acquirer_reference_number": "'74' || lpad(CAST(i AS text), 21, '0')",
    "merchant_refund_id": "'R-' || i",
    "payment_method": "'card'",
    "card_brand": "'visa'",
    "reason": "CASE WHEN i % 50 = 0 THEN '=1+1, \"quoted\"' ELSE 'requested_by_customer' END",
}
"""What a settled refund has besides what the matching looks at."""


def run(size: str) -> None:
    csv_rows, xlsx_rows, rounds = SIZES[size]
    _fill(csv_rows)
    exported = _measured("csv", csv_rows, rounds)
    copied = statistics.median(_in_seconds(_copy_presented) for _ in range(rounds))
    raw = statistics.median(_in_seconds(_copy_raw) for _ in range(rounds))
    ours = statistics.median(exported["seconds"])
    print(
        f"export, CSV of {csv_rows:,} rows, {exported['size'] / 1e6:,.0f} MB: {csv_rows / ours:,.0f} rows/s, "
        f"{copied / ours:.2f} of COPY TO of the same query ({csv_rows / copied:,.0f} rows/s), {raw / ours:.2f} of "
        f"COPY TO of the same rows unpresented; median of {rounds} rounds; {_memory(exported)}"
    )
    exported = _measured("xlsx", xlsx_rows, rounds)
    plain = statistics.median(_in_seconds(lambda: _write_plain(xlsx_rows)) for _ in range(rounds))
    ours = statistics.median(exported["seconds"])
    print(
        f"export, XLSX of {xlsx_rows:,} rows: {xlsx_rows / ours:,.0f} rows/s, {plain / ours:.2f} of XlsxWriter alone "
        f"on rows in memory ({xlsx_rows / plain:,.0f} rows/s); median of {rounds} rounds; {_memory(exported)}"
    )


def _memory(exported: dict[str, Any]) -> str:
    return f"peak memory {exported['peak']:,.0f} MB, {exported['peak'] - exported['start']:+,.0f} MB over the start"


def _fill(rows: int) -> None:
    """A settled month with one break in a hundred, as the benchmark of the matching has it."""
    import datetime as dt

    from django.db import connection

    from refunds.reconciliation.runs import perform, start_run

    account = match.fill(rows, _SETTLED)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE exports_export CASCADE")
    since, until = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
    assert perform(start_run([account], since=since, until=until, parties="RPS"))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


def _measured(form: str, rows: int, rounds: int) -> dict[str, Any]:
    answer = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.export", form, str(rows), str(rounds)],
        env=dict(os.environ), stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


def _in_a_process_of_its_own(form: str, rows: int, rounds: int) -> None:
    import django
    from django.conf import settings

    django.setup()
    settings.DEBUG = False
    from refunds.exports import exporting
    from refunds.exports.formats import WRITERS

    WRITERS[form].__name__  # noqa: B018  (what a worker has loaded before it begins)
    _kind(rows)
    start, seconds, export = _peak_mb(), [], None
    for _ in range(rounds):
        export = exporting.start_export("refunds", _filters(), form=form, actor=None)
        began = time.perf_counter()
        assert exporting.perform(export), export.error
        seconds.append(time.perf_counter() - began)
        assert export.rows == rows, export.rows
    assert export is not None
    print(json.dumps({"seconds": seconds, "peak": _peak_mb(), "start": start, "size": export.size_bytes}))


def _filters() -> dict[str, Any]:
    import datetime as dt
    import zoneinfo

    from refunds.exports.kinds.report_filter import Basis, Period, ReportFilter

    march = Period(Basis.CREATED, dt.date(2026, 3, 1), dt.date(2026, 3, 31), zoneinfo.ZoneInfo("UTC"))
    return ReportFilter(march).as_json()


def _kind(rows: int) -> Any:
    """The report's kind, its rows cut to so many."""
    import dataclasses

    from refunds.exports.kinds import KINDS

    kind: Any = KINDS["refunds"]
    whole = kind.rows

    def some(filters: Any, accounts: Any, sees: Any) -> Any:
        found = whole(filters, accounts, sees)
        return dataclasses.replace(found, values=found.values[:rows], count=rows)

    kind.rows = some
    return kind


def _rows() -> tuple[Any, Any]:
    """All the report's rows and a view of them, as an export has them."""
    import zoneinfo

    from django.utils import timezone

    from connectors.models import ConnectorAccount
    from refunds.exports.columns import view_of
    from refunds.exports.kinds import KINDS

    accounts = list(ConnectorAccount.objects.values_list("pk", flat=True))
    kind: Any = KINDS["refunds"]
    sees = [action.name for action in kind.sees]
    return kind.rows(_filters(), accounts, sees), view_of(zoneinfo.ZoneInfo("UTC"), timezone.now())


def _copy_presented() -> None:
    from refunds.exports.snapshot import presented_sql

    _copy(presented_sql(*_rows()))


def _copy_raw() -> None:
    from django.db import connection

    rows, _ = _rows()
    with connection.cursor() as cursor:
        _copy(cursor.mogrify(*rows.values.query.sql_with_params()))


def _copy(sql: str) -> None:
    from django.db import connection, transaction

    from refunds.exports.snapshot import settle_session

    with transaction.atomic(), connection.cursor() as cursor:
        settle_session(cursor, _rows()[1])
        with cursor.copy(f"COPY ({sql}) TO STDOUT WITH (FORMAT csv)") as copy:
            for _ in copy:
                pass


def _write_plain(rows: int) -> None:
    """What one would write without us: the cells are text and numbers already, in a list."""
    from xlsxwriter import Workbook

    cells = _cells(rows)
    with TemporaryFile() as file:
        began = time.perf_counter()
        book = Workbook(file, {"constant_memory": True})
        sheet = book.add_worksheet()
        for row, values in enumerate(cells):
            for place, value in enumerate(values):
                if value is None:
                    continue
                if isinstance(value, str):
                    sheet.write_string(row, place, value)
                else:
                    sheet.write_number(row, place, value)
        book.close()
        _Taken.seconds = time.perf_counter() - began


class _Taken:
    """How long the last writing took without the reading of its rows."""

    seconds: float | None = None


def _cells(rows: int) -> list[list[Any]]:
    import itertools

    from refunds.exports.presenting import Cell

    found, view = _rows()
    kinds = [column.presenter.cell for column in found.columns]
    return [
        [float(text) if text and kind is not Cell.TEXT else text for text, kind in zip(cells, kinds, strict=True)]
        for cells in itertools.islice(found.presented(view), rows)
    ]


def _in_seconds(what: Callable[[], None]) -> float:
    _Taken.seconds = None
    began = time.perf_counter()
    what()
    return _Taken.seconds or time.perf_counter() - began


def _peak_mb() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    _in_a_process_of_its_own(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
