"""The end of a run: matches and breaks into their tables, in an order that is always the same."""

from __future__ import annotations

from typing import Any

from refunds.reconciliation.codes import Code
from refunds.reconciliation.ladder import MatchState, Pass
from refunds.reconciliation.matching.workbench import Workbench

_MATCH = "INSERT INTO reconciliation_match (run_id, refund_id, entry_id, line_id, payout_id, by, state, rule_version) "
_NONE = "CAST(NULL AS bigint)"
_INSIDE = "IN (SELECT refund_id FROM recon_items WHERE inside AND refund_id IS NOT NULL)"


def write_down(bench: Workbench) -> dict[str, Any]:
    """Insert everything, within the caller's transaction; the counts for the run's row."""
    clean = _write_clean(bench)
    suggested = _write_matches(bench)
    matches = clean + sum(suggested.values())
    breaks = _write_breaks(bench)
    lines_alone = (
        "refund_id IS NULL AND inside AND line_id NOT IN (SELECT line_id FROM recon_line_links) "
        "AND line_id NOT IN (SELECT line_id FROM recon_direct_links)"
    )
    return {
        "items": clean + bench.count("recon_items", "inside") + bench.count("recon_rest", lines_alone),
        "matches": matches,
        "suggested": suggested[MatchState.SUGGESTED],
        "breaks": breaks,
        "summary": _summary(bench),
    }


def _write_clean(bench: Workbench) -> int:
    """What agreed at the first look: nearly all of it."""
    return bench.do(
        f"""{_MATCH} SELECT %(run)s, j.refund_id, {_NONE}, j.line_id, {_NONE}, {Pass.BY_REFUND_ID.value},
            {MatchState.AUTO.value}, %(version)s FROM recon_joined j
            WHERE j.clean AND NOT EXISTS (SELECT 1 FROM recon_odd o WHERE o.refund_id = j.refund_id)
            ORDER BY j.refund_id"""
    )


def _write_matches(bench: Workbench) -> dict[MatchState, int]:
    """The others, by how they were found. What passed as rounding says so."""
    rounded = f"SELECT refund_id FROM recon_verdicts WHERE code = {Code.ROUNDING.value} AND parties"
    state = (
        f"CASE WHEN k.state = {MatchState.AUTO.value} AND k.refund_id IN ({rounded} {{0}}) "
        f"THEN {MatchState.TOLERANCE.value} ELSE k.state END"
    )
    bench.make(
        "recon_found",
        f"""SELECT k.refund_id, {_NONE} AS entry_id, k.line_id, {_NONE} AS payout_id, k.pass,
                {state.format("<> 'RP'")} AS state FROM recon_lines k WHERE k.refund_id {_INSIDE}
            UNION ALL SELECT k.refund_id, k.entry_id, {_NONE}, {_NONE}, k.pass, {state.format("= 'RP'")}
                FROM recon_entry_links k WHERE k.refund_id {_INSIDE}
            UNION ALL SELECT {_NONE}, k.entry_id, k.line_id, {_NONE}, k.pass, k.state FROM recon_direct_links k
                JOIN recon_items i ON i.refund_id IS NULL AND i.entry_id = k.entry_id AND i.inside
            UNION ALL SELECT i.refund_id, {_NONE}, {_NONE}, {_NONE}, {Pass.BY_REFUND_ID.value},
                CASE WHEN i.refund_id IN ({rounded} = 'RP') THEN {MatchState.TOLERANCE.value}
                    ELSE {MatchState.AUTO.value} END
                FROM recon_items i WHERE i.inside AND i.has_r AND i.has_p AND i.s_lines = 0 AND i.entry_id IS NULL
            UNION ALL SELECT {_NONE}, entry_id, {_NONE}, payout_id, pass, state
                FROM recon_payout_links""",
    )  # fmt: skip
    bench.do(
        f"""{_MATCH} SELECT %(run)s, refund_id, entry_id, line_id, payout_id, pass, state, %(version)s FROM recon_found
            ORDER BY COALESCE(refund_id, 0), COALESCE(entry_id, 0), COALESCE(line_id, 0), COALESCE(payout_id, 0)"""
    )
    counted = dict(bench.rows("SELECT state, count(*) FROM recon_found GROUP BY state"))
    return {state: int(counted.get(state.value, 0)) for state in MatchState}


def _write_breaks(bench: Workbench) -> int:
    about = " || '/' || ".join(
        f"CAST(COALESCE({name}, 0) AS text)" for name in ("refund_id", "entry_id", "line_id", "payout_id")
    )
    identity = (
        "CAST(code AS text) || '/' || parties || '/' || CAST(account_id AS text) || '/' || "
        f"{about} || '/' || CAST(minor_amount AS text) || currency || '/' || part"
    )
    order = ", ".join(f"COALESCE({name}, 0)" for name in ("refund_id", "entry_id", "line_id", "payout_id"))
    age = (
        "CASE WHEN expected_at > %(as_of)s THEN 0 WHEN expected_at >= %(a_day_ago)s THEN 1 "
        "WHEN expected_at >= %(three_days_ago)s THEN 2 WHEN expected_at >= %(seven_days_ago)s THEN 3 ELSE 4 END"
    )
    return bench.do(
        f"""INSERT INTO reconciliation_break (run_id, code, parties, account_id, refund_id, entry_id, line_id,
                payout_id, minor_amount, currency, expected_at, age, detail, identity)
            SELECT %(run)s, code, parties, account_id, refund_id, entry_id, line_id, payout_id, minor_amount, currency,
                expected_at, {age}, detail, {identity} FROM recon_breaks
            ORDER BY code, account_id, {order}, parties, part"""
    )


def _summary(bench: Workbench) -> list[dict[str, Any]]:
    """By code and currency, for whoever looks at the run without its breaks."""
    found = bench.rows(
        "SELECT code, currency, count(*), SUM(minor_amount) FROM recon_breaks GROUP BY code, currency "
        "ORDER BY code, currency"
    )  # fmt: skip
    return [
        {"code": Code(code).label, "name": Code(code).name, "currency": currency, "breaks": int(count),
         "minor_amount": int(amount)}
        for code, currency, count, amount in found
    ]  # fmt: skip
