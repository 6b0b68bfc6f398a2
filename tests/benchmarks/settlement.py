"""How fast a settlement file is imported and in how much memory, against reading the same file with csv.DictReader.

Nineteen rows of twenty are payments, as in life; every refund is known beforehand, so each gets its settlement shown.
"""

from __future__ import annotations

import csv
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from django.db import connection

from connectors.models import ConnectorAccount
from refunds import services
from refunds.models import Refund, ReportSource, ReportState, StatusReport
from tests.benchmarks import prepared

SIZES = {"smoke": 20_000, "full": 5_000_000}
A_PAYOUT = 50_000
"""Rows of one payout."""
REFUND_EVERY = 20
_COLUMNS = (
    "automatic_payout_id", "balance_transaction_id", "created_utc", "currency", "gross", "fee", "net",
    "reporting_category", "source_id", "customer_facing_amount", "customer_facing_currency", "payment_intent_id",
)  # fmt: skip


def run(size: str) -> None:
    measure(SIZES[size])


def measure(rows: int) -> None:
    account = prepared.endpoint().accounts.get()
    _make_refunds(account, rows // REFUND_EVERY)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "settlement.csv"
        _write(path, rows)
        bare = _bare(path)
        _forget_peak()
        before = _peak_mb()
        started = time.perf_counter()
        with path.open("rb") as file:
            report = services.keep_report(account, path.name, file, source=ReportSource.COMMAND).report
        stored = time.perf_counter()
        while services.import_report(report):
            pass
        imported = time.perf_counter()
        peak = _peak_mb()
        size_mb = path.stat().st_size / 1e6
    _check(report, rows)
    print(
        f"settlement, {rows:,} rows, {size_mb:,.0f} MB: {rows / (imported - stored):,.0f} rows/s imported, "
        f"{bare / (imported - stored):.2f} of csv.DictReader alone ({rows / bare:,.0f} rows/s); sealed in "
        f"{stored - started:.1f} s; peak memory {peak:,.0f} MB, {peak - before:+,.0f} MB over the start"
    )


def _make_refunds(account: ConnectorAccount, count: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE refunds_refund, refunds_statusreport, reconciliation_payout RESTART IDENTITY CASCADE")
    for start in range(0, count, 5000):
        Refund.objects.bulk_create(
            Refund(account=account, connector_refund_id=f"re_{n:012d}") for n in range(start, min(start + 5000, count))
        )


def _write(path: Path, rows: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for number in range(rows):
            payout, in_payout = divmod(number, A_PAYOUT)
            if in_payout == A_PAYOUT - 1 or number == rows - 1:
                writer.writerow(_payout_row(number, payout, in_payout))
            else:
                writer.writerow(_row(number, payout))


def _row(number: int, payout: int) -> tuple[str, ...]:
    is_refund = number % REFUND_EVERY == 0
    gross, fee, net = ("-10.99", "0.00", "-10.99") if is_refund else ("25.00", "1.03", "23.97")
    source = f"re_{number // REFUND_EVERY:012d}" if is_refund else f"ch_{number:012d}"
    category = "refund" if is_refund else "charge"
    return (
        f"po_{payout}", f"txn_{number:012d}", f"2026-03-14 10:{number // 60 % 60:02d}:{number % 60:02d}", "eur", gross,
        fee, net, category, source, gross, "eur", f"pi_{number:012d}",
    )  # fmt: skip


def _payout_row(number: int, payout: int, before: int) -> tuple[str, ...]:
    refunds = sum(1 for n in range(number - before, number) if n % REFUND_EVERY == 0)
    total = f"{-((before - refunds) * 2397 - refunds * 1099) / 100:.2f}"
    return (f"po_{payout}", f"txn_{number:012d}", "2026-03-17 00:00:00", "eur", total, "0.00", total, "payout",
            f"po_{payout}", "", "", "")  # fmt: skip


def _bare(path: Path) -> float:
    started = time.perf_counter()
    with path.open(newline="") as file:
        for _ in csv.DictReader(file):
            pass
    return time.perf_counter() - started


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _check(report: StatusReport, rows: int) -> None:
    """A run that did not do the work must not print a figure."""
    from refunds.reconciliation.models import Payout, SettledLine

    report.refresh_from_db()
    assert (report.state, report.rows, report.unreadable) == (ReportState.IMPORTED, rows, 0), report.error
    assert SettledLine.objects.count() == Refund.objects.filter(settled_at__isnull=False).count() == report.settled
    assert Payout.objects.count() == -(-rows // A_PAYOUT)
    assert not Payout.with_a_difference().exists()
