"""How long refunds usually take, learned from the newest that became final: later than 99 of 100 is stuck (B32)."""

from __future__ import annotations

import datetime as dt

from refunds.reconciliation.matching.staging import refunds_then
from refunds.reconciliation.matching.workbench import Workbench

SHARE = 0.99
AT_LEAST = 200
"""Of fewer nothing is learned, and a refund is stuck after the days of the account's terms."""
AT_MOST = 20_000
"""The newest so many of an account say how long it takes nowadays, however many there are."""
LEAST_SECONDS = 24 * 3600
"""Nobody is called for a refund of today, however quick the others are."""


def learn_pace(bench: Workbench) -> None:
    """recon_pace: for an account, and each payment method of its own, from which moment on what is not final is late.

    A method with too few of its own is judged as the account, an account with too few has no row. Only accounts with
    something pending are looked at; only refunds old enough to have become final, or the quick ones would be most.
    """
    bench.make_empty("recon_pace", {
        "account_id": "bigint", "method": "text", "seconds": "bigint", "late_since": "timestamptz",
    })  # fmt: skip
    pending = "SELECT DISTINCT i.account_id, MAX(t.stuck_days) FROM recon_items i JOIN recon_terms t ON "
    pending += "t.account_id = i.account_id WHERE i.inside AND i.p_final = 1 GROUP BY i.account_id"
    for account_id, stuck_days in bench.rows(pending):
        settled_by = bench.run_row.as_of - dt.timedelta(days=stuck_days)
        _time(bench, account_id, settled_by)
        learned = [(account_id, *row) for row in _ninety_nine_of_a_hundred(bench)]
        bench.do("DROP TABLE recon_took")
        bench.fill("recon_pace", [(*row, bench.run_row.as_of - dt.timedelta(seconds=row[2])) for row in learned])
    bench.know("recon_pace")


def _time(bench: Workbench, account_id: int, until: dt.datetime) -> None:
    """recon_took: how many seconds each of them took from its making until it was first final."""
    first_final = """CASE WHEN r.success_key = '' THEN r.failure_key WHEN r.failure_key = '' THEN r.success_key
        WHEN r.success_key < r.failure_key THEN r.success_key ELSE r.failure_key END"""
    # Where being sent to the scheme is no success, its time says nothing of how long a success takes.
    final = "(r.success_key <> '' OR r.failure_key <> '')"
    if account_id not in bench.groups["accepted"]:
        final += " AND r.stage <> 4"
    newest = (
        f"SELECT r.id, r.created_at, {first_final} AS final_key FROM ({refunds_then(bench)}) r "
        f"WHERE r.account_id = %(account)s AND r.created_at < %(until_then)s AND {final} "
        f"ORDER BY r.created_at DESC, r.id DESC LIMIT {AT_MOST}"
    )
    took = f"CAST(substr(n.final_key, 1, 17) AS bigint) / 1000000 - {bench.seconds('n.created_at')}"
    bench.make(
        "recon_took",
        f"SELECT m.payment_method AS method, {took} AS seconds FROM ({newest}) n JOIN refunds_refund m ON m.id = n.id",
        account=account_id, until_then=until,
    )  # fmt: skip


def _ninety_nine_of_a_hundred(bench: Workbench) -> list[tuple[str, int]]:
    """Of each method, and of all together under the empty name: within how many seconds all but one in a hundred are
    final."""
    all_of_them = "SELECT '' AS method, seconds FROM recon_took"
    both = f"{all_of_them} UNION ALL SELECT method, seconds FROM recon_took WHERE method <> ''"
    found = bench.rows(
        f"""SELECT method, MIN(seconds) FROM (SELECT method, seconds,
                CUME_DIST() OVER (PARTITION BY method ORDER BY seconds) AS share,
                COUNT(*) OVER (PARTITION BY method) AS many FROM ({both}) b) shares
            WHERE share >= {SHARE} AND many >= {AT_LEAST} GROUP BY method ORDER BY method"""
    )
    return [(str(method), max(int(seconds), LEAST_SECONDS)) for method, seconds in found]
