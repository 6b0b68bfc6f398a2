"""The first way: every item as it stood at a moment, from the statements, entries, lines and decisions themselves.

An item is one refund, known by the processor's id; an entry or a line of none stands alone. `asked` is what our side
wanted, `owed` what the processor says it is, where it has said so. From there on arithmetic, in each currency apart:

    open = asked + (owed - asked) - out + back - failed + excess - cleared

* `failed`: what of it never went, once the refund has failed, was cancelled, or was voided before capture.
* `excess`: what went beyond what is owed, or without anybody having asked; it is a break, not in transit.
* `cleared`: the rest that passed as rounding, or that somebody decided about.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from refunds.reconciliation.codes import Code
from refunds.reconciliation.ladder import MatchState
from refunds.reconciliation.matching.workbench import Workbench

COLUMNS = ("asked", "owed", "went", "back", "failed", "excess", "cleared", "open")
ENDED = "(5, 6, 8, 9)"
"""Stages after which no money goes: voided before capture, cancelled, failed, returned."""
_AMOUNTS = (
    Code.AMOUNT_OVER, Code.AMOUNT_UNDER, Code.ROUNDING, Code.MINOR_UNIT_SCALE, Code.GROSS_NET_CONFUSION,
    Code.CURRENCY_MISMATCH,
)  # fmt: skip
_ABSENT = (
    Code.TIMING_IN_TRANSIT, Code.MISSING_AT_PROCESSOR, Code.MISSING_IN_SETTLEMENT, Code.STATUS_CONFLICT,
    Code.STUCK_PENDING,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A moment to look at: what happened before `until`, as far as it was known at `known`, with the decisions made by
    `decided`. `settled` says whether lines, or the processor's word, tell that money went; `runs` closed the periods
    up to there, and what they matched holds."""

    until: dt.datetime
    known: dt.datetime
    decided: dt.datetime
    settled: bool
    runs: tuple[int, ...] = ()


def stage(bench: Workbench, name: str, cut: Cut) -> None:
    """recon_NAME: one row for each item and currency with `COLUMNS`; recon_NAME_lines and recon_NAME_entries."""
    bench.parameters.update(cut_until=cut.until, cut_known=cut.known, cut_decided=cut.decided)
    runs = f"({', '.join(map(str, cut.runs)) or 'NULL'})"
    bench.make(f"recon_{name}_known", _refunds(bench))
    bench.know(f"recon_{name}_known", "label")
    bench.make(f"recon_{name}_refunds", f"SELECT * FROM recon_{name}_known WHERE at < %(cut_until)s")
    bench.know(f"recon_{name}_refunds", "item")
    bench.make(f"recon_{name}_entries", _entries(bench, name, runs))
    bench.make(f"recon_{name}_lines", _lines(bench, name, runs))
    bench.know(f"recon_{name}_lines", "line_id")
    bench.make(f"recon_{name}_cleared", _cleared(bench, name, runs))
    bench.make(f"recon_{name}", _items(bench, name, cut))
    bench.know(f"recon_{name}", "item, currency")


# The refunds, by what was said of them.


def _said(bench: Workbench) -> str:
    """Every statement that was received by then, twice where an answer extended it: its first and its latest time."""
    if bench.postgres:
        amount = "CAST(o.attributes->'amount'->>0 AS bigint)"
        currency, made = "o.attributes->'amount'->>1", "CAST(o.attributes->>'created_at' AS timestamptz)"
    else:
        amount = "CAST(json_extract(o.attributes, '$.amount[0]') AS bigint)"
        currency, at = "json_extract(o.attributes, '$.amount[1]')", "json_extract(o.attributes, '$.created_at')"
        fraction = f"CASE WHEN substr({at}, 20, 1) = '.' THEN substr({at}, 20, 7) ELSE '' END"
        made = f"(strftime('%%Y-%%m-%%d %%H:%%M:%%S', {at}) || {fraction})"
    of_account = (
        "FROM refunds_observation o JOIN refunds_refund r ON r.id = o.refund_id "
        f"WHERE r.account_id IN {bench.accounts} "
        "AND o.standing IN ('counted', 'unrecognized')"
    )
    columns = f"o.refund_id, o.stage, o.standing, {{}}, {amount} AS amount, {currency} AS currency, {made} AS made_at"
    first = columns.format("o.first_key AS place, o.as_of AS as_of, o.received_at AS received_at")
    latest = columns.format("o.key AS place, o.last_as_of AS as_of, o.last_received_at AS received_at")
    return (
        f"SELECT {first} {of_account} AND o.received_at <= %(cut_known)s "
        f"UNION ALL SELECT {latest} {of_account} AND o.key <> o.first_key AND o.last_received_at <= %(cut_known)s"
    )


def _newest(bench: Workbench) -> str:
    """Of each refund the last word of each kind. An amount holds whenever it was said, a stage from its own time on."""
    last = "ROW_NUMBER() OVER (PARTITION BY s.refund_id, {} ORDER BY s.as_of DESC, s.place DESC)"
    dated = "CASE WHEN s.standing = 'counted' AND s.as_of < %(cut_until)s THEN 1 ELSE 0 END"
    with_amount, with_made = (f"CASE WHEN s.{name} IS NULL THEN 0 ELSE 1 END" for name in ("amount", "made_at"))
    stages = "(4, 5, 7)" if bench.groups["accepted"] else "(5, 7)"
    return f"""
        SELECT refund_id, MAX(CASE WHEN standing = 'counted' THEN 1 ELSE 0 END) AS heard,
            MIN(CASE WHEN standing = 'counted' THEN as_of END) AS first_at,
            MAX(CASE WHEN dated = 1 AND nth_stage = 1 THEN stage END) AS stage,
            MAX(CASE WHEN dated = 1 AND stage IN {stages} THEN 1 ELSE 0 END) AS succeeded,
            MAX(CASE WHEN amount IS NOT NULL AND nth_amount = 1 THEN amount END) AS told,
            MAX(CASE WHEN amount IS NOT NULL AND nth_amount = 1 THEN currency END) AS told_currency,
            MAX(CASE WHEN made_at IS NOT NULL AND nth_made = 1 THEN made_at END) AS made_at
        FROM (SELECT s.*, {dated} AS dated, {last.format(dated)} AS nth_stage, {last.format(with_amount)} AS nth_amount,
                {last.format(with_made)} AS nth_made FROM ({_said(bench)}) s) x GROUP BY refund_id"""


def _refunds(bench: Workbench) -> str:
    registered = "(r.registered_at IS NOT NULL AND r.registered_at <= %(cut_known)s)"
    asked_at = f"CASE WHEN {registered} THEN r.requested_at END"
    at = f"COALESCE({asked_at}, s.made_at, {bench.least('s.first_at', 'r.first_seen_at')}, r.first_seen_at)"
    return f"""
        SELECT r.id AS refund_id, 'r' || r.connector_refund_id AS item, r.connector_refund_id AS label, {at} AS at,
            CASE WHEN {registered} THEN 1 ELSE 0 END AS registered,
            CASE WHEN {registered} AND r.claimed_currency <> '' THEN r.claimed_minor_amount END AS claimed,
            r.claimed_currency, s.told, s.told_currency,
            CASE WHEN s.stage IN {ENDED} THEN 1 WHEN s.stage IS NULL AND {registered} AND r.claimed_status = 'FAILED'
                THEN 1 ELSE 0 END AS ended,
            CASE WHEN s.stage <> 5 THEN s.succeeded ELSE 0 END AS succeeded
        FROM refunds_refund r LEFT JOIN ({_newest(bench)}) s ON s.refund_id = r.id
        WHERE r.account_id IN {bench.accounts} AND ({registered} OR s.heard = 1)"""


# Entries and lines, each with the item it belongs to.


def _linked(column: str, runs: str) -> str:
    """Which refund the closing runs found for an entry or a line that does not name one; suggestions are none."""
    return f"""SELECT m.{column}, MIN(r.connector_refund_id) AS label FROM reconciliation_match m
        JOIN refunds_refund r ON r.id = m.refund_id
        WHERE m.run_id IN {runs} AND m.{column} IS NOT NULL AND m.state <> {MatchState.SUGGESTED.value}
        GROUP BY m.{column}"""


def _entries(bench: Workbench, name: str, runs: str) -> str:
    return f"""
        SELECT e.id AS entry_id, CASE WHEN k.refund_id IS NOT NULL THEN 'r' || e.connector_refund_id
                WHEN m.label IS NOT NULL THEN 'r' || m.label
                WHEN e.connector_refund_id <> '' THEN 'r' || e.connector_refund_id
                ELSE 'e' || CAST(e.id AS text) END AS item,
            e.reference AS label, e.currency, e.minor_amount, e.booked_at AS at
        FROM reconciliation_ledgerentry e LEFT JOIN recon_{name}_known k ON k.label = e.connector_refund_id
            LEFT JOIN ({_linked("entry_id", runs)}) m
            ON m.entry_id = e.id
        WHERE e.account_id IN {bench.accounts} AND e.kind = 1 AND e.booked_at < %(cut_until)s
            AND e.received_at <= %(cut_known)s"""


def _lines(bench: Workbench, name: str, runs: str) -> str:
    """A line booked the wrong way round moved nothing, here as where settlement is shown; it is a break."""
    direct = f"""SELECT m.line_id, MIN(e.item) AS item FROM reconciliation_match m JOIN recon_{name}_entries e
        ON e.entry_id = m.entry_id WHERE m.run_id IN {runs} AND m.line_id IS NOT NULL AND m.refund_id IS NULL
        AND m.state <> {MatchState.SUGGESTED.value} GROUP BY m.line_id"""
    return f"""
        SELECT l.id AS line_id, CASE WHEN k.refund_id IS NOT NULL THEN 'r' || l.connector_refund_id
                WHEN m.label IS NOT NULL THEN 'r' || m.label WHEN d.item IS NOT NULL THEN d.item
                WHEN l.connector_refund_id <> '' THEN 'r' || l.connector_refund_id
                ELSE 'l' || CAST(l.id AS text) END AS item,
            l.line_id AS label, l.currency, l.movement, l.minor_amount, l.booked_at AS at
        FROM reconciliation_settledline l LEFT JOIN recon_{name}_known k ON k.label = l.connector_refund_id
            LEFT JOIN ({_linked("line_id", runs)}) m ON m.line_id = l.id LEFT JOIN ({direct}) d ON d.line_id = l.id
        WHERE l.account_id IN {bench.accounts} AND l.booked_at < %(cut_until)s AND l.received_at <= %(cut_known)s
            AND ((l.movement = 1 AND NOT l.credit) OR (l.movement = 2 AND l.credit))"""


# What was decided.


def _cleared(bench: Workbench, name: str, runs: str) -> str:
    """How much of each item need not be waited for: what was written off, what passed as rounding at a close, and what
    came back and was dealt with otherwise. Each difference counts once, however many runs found it."""
    came_back = Code.RETURNED_AFTER_SUCCESS.value
    amounts, absent = (f"({', '.join(str(code.value) for code in codes)})" for codes in (_AMOUNTS, _ABSENT))
    newest = """SELECT d.identity, d.state FROM reconciliation_breakdecision d JOIN (
            SELECT identity, MAX(version) AS version FROM reconciliation_breakdecision
            WHERE decided_at <= %(cut_decided)s GROUP BY identity) n
        ON n.identity = d.identity AND n.version = d.version"""
    between = "b.parties IN ('PS', 'RS')"
    found = f"""
        SELECT b.identity, b.refund_id, b.entry_id, b.line_id, b.currency, b.minor_amount, b.code
        FROM reconciliation_break b JOIN ({newest}) d ON d.identity = b.identity
        WHERE b.account_id IN {bench.accounts} AND (
            (d.state = 'written_off' AND (b.code IN {absent} OR (b.code IN {amounts} AND {between})))
            OR (d.state IN ('written_off', 'resolved') AND b.code = {came_back}))
        UNION SELECT b.identity, b.refund_id, b.entry_id, b.line_id, b.currency, b.minor_amount, b.code
        FROM reconciliation_break b WHERE b.run_id IN {runs} AND b.account_id IN {bench.accounts}
            AND b.code = {Code.ROUNDING.value} AND {between}"""
    return f"""
        SELECT item, currency, CAST(SUM(CASE WHEN code <> {came_back} THEN minor_amount ELSE 0 END) AS bigint) AS most,
            CAST(SUM(CASE WHEN code = {came_back} THEN minor_amount ELSE 0 END) AS bigint) AS most_back FROM (
            SELECT COALESCE('r' || r.connector_refund_id, e.item, l.item) AS item, f.currency, f.minor_amount, f.code
            FROM ({found}) f LEFT JOIN refunds_refund r ON r.id = f.refund_id
                LEFT JOIN recon_{name}_entries e ON e.entry_id = f.entry_id
                LEFT JOIN recon_{name}_lines l ON l.line_id = f.line_id) x
        WHERE item IS NOT NULL GROUP BY item, currency"""


def clearable(bench: Workbench, rest: str, back: str) -> str:
    """What of a rest is cleared: what came back only by a decision about that, what never went by the others."""
    returned = bench.least(rest, back)
    never_went = bench.least(f"{rest} - {returned}", "COALESCE(c.most, 0)")
    return f"({never_went} + {bench.least(returned, 'COALESCE(c.most_back, 0)')})"


# Put together.


def _items(bench: Workbench, name: str, cut: Cut) -> str:
    none = "CAST(NULL AS bigint)"
    parts = f"""
        SELECT item, currency, minor_amount AS booked, {none} AS claimed, {none} AS told, {none} AS went, {none} AS back
            FROM recon_{name}_entries
        UNION ALL SELECT item, claimed_currency, {none}, claimed, {none}, {none}, {none} FROM recon_{name}_refunds
            WHERE claimed IS NOT NULL
        UNION ALL SELECT item, told_currency, {none}, {none}, told, {none}, {none} FROM recon_{name}_refunds
            WHERE told IS NOT NULL
        UNION ALL SELECT item, currency, {none}, {none}, {none}, CASE WHEN movement = 1 THEN minor_amount END,
            CASE WHEN movement = 2 THEN minor_amount END FROM recon_{name}_lines"""
    sums = ", ".join(
        f"CAST(COALESCE(SUM({part}), 0) AS bigint) AS {part}" for part in ("booked", "claimed", "told", "went", "back")
    )
    asked = "CASE WHEN b.item IS NOT NULL THEN p.booked WHEN h.registered = 1 THEN p.claimed ELSE p.told END"
    by_lines, by_word = ("x.went", "x.back"), (
        "CASE WHEN x.succeeded = 1 AND x.owed > 0 THEN x.owed ELSE 0 END",
        "CASE WHEN x.succeeded = 1 AND x.ended = 1 AND x.owed > 0 THEN x.owed ELSE 0 END",
    )  # fmt: skip
    went, back = by_lines if cut.settled else by_word
    excess = "CASE WHEN y.owed > 0 AND y.went - y.back < y.owed THEN 0 ELSE y.went - y.back - y.owed END"
    rest = "(z.owed - z.went + z.back - z.failed + z.excess)"
    cleared = clearable(bench, rest, "z.back")
    return f"""
        SELECT z.item, z.refund_id, z.label, z.at, z.currency, z.asked, z.owed, z.went, z.back, z.failed, z.excess,
            {cleared} AS cleared, {rest} - {cleared} AS open
        FROM (SELECT y.*, {excess} AS excess FROM (
            SELECT x.item, x.refund_id, x.label, x.at, x.currency, x.asked, x.owed, {went} AS went, {back} AS back,
                CASE WHEN x.ended = 1 AND x.owed > {went} THEN x.owed - {went} ELSE 0 END AS failed
            FROM (SELECT p.item, h.refund_id, COALESCE(h.label, b.label, substr(p.item, 2)) AS label,
                    COALESCE(h.at, b.at) AS at, p.currency, {asked} AS asked,
                    CASE WHEN h.told IS NOT NULL THEN p.told ELSE {asked} END AS owed, p.went, p.back,
                    COALESCE(h.ended, 0) AS ended, COALESCE(h.succeeded, 0) AS succeeded
                FROM (SELECT item, currency, {sums} FROM ({parts}) t GROUP BY item, currency) p
                    LEFT JOIN recon_{name}_refunds h ON h.item = p.item
                    LEFT JOIN (SELECT item, MIN(label) AS label, MIN(at) AS at FROM recon_{name}_entries GROUP BY item)
                        b ON b.item = p.item) x) y) z
            LEFT JOIN recon_{name}_cleared c ON c.item = z.item AND c.currency = z.currency"""
