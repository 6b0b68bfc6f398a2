"""What the files themselves lack: batches and days that never came, totals that are off, lines that came twice, rows
nobody could read."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

from connectors.models import ConnectorAccount
from refunds.reconciliation.codes import Code
from refunds.reconciliation.matching.workbench import Workbench
from refunds.reconciliation.rhythm import missed
from refunds.reconciliation.settlement.completeness import batches_that_came

_MOMENT = """COALESCE(p.paid_at, (SELECT MAX(l.booked_at) FROM reconciliation_settledline l
    WHERE l.account_id = p.account_id AND l.payout_id = p.payout_id AND l.payout_id <> ''
        AND l.received_at <= %(as_of)s), p.first_seen_at)"""
"""A batch that paid nothing out is of when its last refund was booked, not of when its file was handed in."""
_NOTHING = ", ".join(["CAST(NULL AS bigint)"] * 3)


def look_at_settlement(bench: Workbench) -> None:
    _totals(bench)
    _stage_batches_that_came(bench)
    _missing_batches(bench)
    _missed_days(bench)
    _lines_twice(bench)
    _unparsed(bench, "refunds_statusreportrowerror", "refunds_statusreport", "report_id", "S")


def look_at_books(bench: Workbench) -> None:
    """Rows of our own books' files that nobody could take."""
    _unparsed(bench, "reconciliation_ledgerrowerror", "reconciliation_ledgerimport", "came_with_id", "R")


def _payouts(bench: Workbench) -> str:
    return f"p.account_id IN {bench.accounts} AND p.first_seen_at <= %(as_of)s"


def _totals(bench: Workbench) -> None:
    """Payouts that are not the sum of their lines."""
    bench.do(
        f"""INSERT INTO recon_breaks SELECT {Code.FILE_GAP.value}, 'S', p.account_id, {_NOTHING}, p.id,
            ABS(p.net_minor_amount - p.total_minor_amount), p.currency, {_MOMENT},
            'its lines add up to ' || CAST(p.net_minor_amount AS text) || ', it says '
                || CAST(p.total_minor_amount AS text), ''
            FROM reconciliation_payout p WHERE {_payouts(bench)} AND {_MOMENT} >= %(since)s AND {_MOMENT} < %(until)s
                AND p.total_minor_amount <> p.net_minor_amount"""
    )


def _stage_batches_that_came(bench: Workbench) -> None:
    """recon_came: batches by their files' names; a quiet one has no row by which a payout could be known."""
    bench.make_empty("recon_came", {"account_id": "bigint", "number": "bigint", "at": "timestamptz"})
    for account in ConnectorAccount.objects.filter(pk__in=bench.account_ids).order_by("pk"):
        came = batches_that_came(account, known_at=bench.run_row.as_of)
        bench.fill("recon_came", [(account.pk, number, at) for number, at in came])
    bench.know("recon_came")


def _missing_batches(bench: Workbench) -> None:
    """Numbers between two that came, where an account's batches are numbered."""
    bench.do(
        f"""INSERT INTO recon_breaks SELECT {Code.FILE_GAP.value}, 'S', g.account_id, {_NOTHING}, CAST(NULL AS bigint),
            0, '', g.at, 'missing: batch ' || CAST(g.before + 1 AS text) || CASE WHEN g.number - g.before > 2
                THEN ' to ' || CAST(g.number - 1 AS text) ELSE '' END,
            'gap ' || CAST(g.before AS text)
            FROM (SELECT n.account_id, n.number, n.at,
                    LAG(n.number) OVER (PARTITION BY n.account_id ORDER BY n.number) AS before
                FROM (SELECT account_id, number, MIN(at) AS at FROM (
                        SELECT p.account_id, CAST(p.payout_id AS bigint) AS number, {_MOMENT} AS at
                        FROM reconciliation_payout p WHERE {_payouts(bench)} AND {_is_number(bench, "p")}
                            AND NOT EXISTS ({_not_numbered(bench)})
                        UNION ALL SELECT account_id, number, at FROM recon_came) b
                    GROUP BY account_id, number) n) g
            WHERE g.number - g.before > 1 AND g.at >= %(since)s AND g.at < %(until)s"""
    )


def _not_numbered(bench: Workbench) -> str:
    return (
        "SELECT 1 FROM reconciliation_payout o WHERE o.account_id = p.account_id "
        f"AND NOT {_is_number(bench, 'o')}"
    )  # fmt: skip


def _missed_days(bench: Workbench) -> None:
    """Bank days without a payout, of accounts that have one every bank day. Where batches are numbered, the numbers
    say it better."""
    found = bench.rows(
        f"""SELECT DISTINCT p.account_id, DATE(p.paid_at) FROM reconciliation_payout p WHERE {_payouts(bench)}
            AND p.paid_at >= %(far_since)s AND p.paid_at < %(far_until)s AND EXISTS ({_not_numbered(bench)})"""
    )
    days: dict[int, set[dt.date]] = defaultdict(set)
    for account_id, day in found:
        days[account_id].add(day if isinstance(day, dt.date) else dt.date.fromisoformat(day))
    rows = [
        (
            Code.FILE_GAP.value, "S", account_id, None, None, None, None, 0, "", _end_of(first),
            f"no payout on {first}" if first == last else f"no payout from {first} to {last}", f"no payout on {first}",
        )
        for account_id, theirs in sorted(days.items())
        for first, last in missed(theirs)
        if bench.run_row.since <= _end_of(first) - dt.timedelta(days=1) < bench.run_row.until
    ]  # fmt: skip
    bench.fill("recon_breaks", rows)


def _end_of(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(0), tzinfo=dt.UTC) + dt.timedelta(days=1)


def _lines_twice(bench: Workbench) -> None:
    bench.do(
        f"""INSERT INTO recon_breaks SELECT {Code.DUPLICATE_LINE.value}, 'S', l.account_id, CAST(NULL AS bigint),
            CAST(NULL AS bigint), l.id, CAST(NULL AS bigint), l.minor_amount, l.currency, l.booked_at,
            CASE WHEN a.same THEN 'the same again' ELSE 'the second one says something else' END,
            'again ' || CAST(a.id AS text)
            FROM reconciliation_setasideline a JOIN reconciliation_settledline l ON l.account_id = a.account_id
                AND l.line_id = a.line_id
            WHERE a.account_id IN {bench.accounts} AND a.received_at <= %(as_of)s
                AND l.booked_at >= %(since)s AND l.booked_at < %(until)s"""
    )


def _unparsed(bench: Workbench, rows: str, files: str, key: str, party: str) -> None:
    """By when the file came: nobody knows which period an unreadable row is of."""
    nothing = ", ".join(["CAST(NULL AS bigint)"] * 4)
    bench.do(
        f"""INSERT INTO recon_breaks SELECT {Code.UNPARSED_ROW.value}, '{party}', f.account_id, {nothing}, 0, '',
            f.created_at, substr('line ' || CAST(e.line AS text) || CASE WHEN e."column" <> ''
                THEN ', ' || e."column" ELSE '' END || ': ' || e.reason, 1, 200),
            'row ' || CAST(e.id AS text)
            FROM {rows} e JOIN {files} f ON f.id = e.{key} WHERE f.account_id IN {bench.accounts}
                AND f.created_at <= %(as_of)s AND f.created_at >= %(since)s AND f.created_at < %(until)s"""
    )


def _is_number(bench: Workbench, table: str) -> str:
    if bench.postgres:
        return f"({table}.payout_id ~ '^[0-9]{{1,9}}$')"
    return f"({table}.payout_id NOT GLOB '*[^0-9]*' AND length({table}.payout_id) BETWEEN 1 AND 9)"
