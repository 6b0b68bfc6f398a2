"""The ladder over what the first pass left: two parties at a time, rung by rung, nothing picked in doubt."""

from __future__ import annotations

from dataclasses import dataclass

from refunds.reconciliation import ladder
from refunds.reconciliation.ladder import MatchState, Pass
from refunds.reconciliation.matching import persons
from refunds.reconciliation.matching.staging import entries_then, refunds_then
from refunds.reconciliation.matching.workbench import Workbench

REFUND_WITHOUT_LINE, LINE, ENTRY, REFUND_WITHOUT_ENTRY = 1, 2, 3, 4
FREE, TAKEN, AMBIGUOUS = 0, 1, 2


@dataclass(frozen=True, slots=True)
class _Climb:
    """Whom is looked for by whom, where it is noted, and which of them is the earlier one in life."""

    seeker: int
    sought: int
    links: str
    seeker_column: str
    sought_column: str
    seeker_is_earlier: bool
    first: Pass = Pass.BY_OWN_REFERENCE


_LINES = _Climb(LINE, REFUND_WITHOUT_LINE, "recon_line_links", "line_id", "refund_id", seeker_is_earlier=False)
_ENTRIES = _Climb(ENTRY, REFUND_WITHOUT_ENTRY, "recon_entry_links", "entry_id", "refund_id", seeker_is_earlier=True)
_PAST_THE_PROCESSOR = _Climb(
    ENTRY, LINE, "recon_direct_links", "entry_id", "line_id", seeker_is_earlier=True, first=Pass.BY_REFUND_ID
)


def climb(bench: Workbench) -> None:
    """recon_line_links, recon_entry_links and recon_direct_links (an entry and a line of a refund nobody saw at the
    processor), and in recon_left what is still free, and what is ambiguous."""
    _gather(bench)
    for links, one, other in (
        ("recon_line_links", "line_id", "refund_id"),
        ("recon_direct_links", "entry_id", "line_id"),
    ):
        columns = {one: "bigint", other: "bigint", "pass": "smallint", "state": "smallint"}
        bench.make_empty(links, columns)
    _follow_people(bench)
    if bench.settled:
        _climb(bench, _LINES)
    if bench.count("recon_left", f"kind = {ENTRY}"):
        _climb(bench, _ENTRIES)
        if bench.settled:
            _climb(bench, _PAST_THE_PROCESSOR)


def _follow_people(bench: Workbench) -> None:
    """The first rung: what somebody has accepted is taken, whatever its keys say."""
    if not bench.vouched:
        return
    if bench.settled:
        persons.link_accepted(bench, "recon_line_links", "line_id", "refund_id")
        persons.link_accepted(bench, "recon_direct_links", "entry_id", "line_id")
    for kind, column, links in (
        (LINE, "line_id", "recon_line_links"), (LINE, "line_id", "recon_direct_links"),
        (REFUND_WITHOUT_LINE, "refund_id", "recon_line_links"), (ENTRY, "entry_id", "recon_direct_links"),
    ):  # fmt: skip
        bench.do(f"UPDATE recon_left SET taken = {TAKEN} WHERE kind = {kind} AND id IN (SELECT {column} FROM {links})")


def _gather(bench: Workbench) -> None:
    """recon_left: what has no counterpart, in the same columns whoever it is of."""
    refund = """r.id, r.account_id, r.connector_refund_id, r.merchant_refund_id AS own_reference,
        r.acquirer_reference_number AS arn, r.connector_transaction_id AS payment,
        r.other_transaction_id AS other_payment, r.merchant_order_id AS order_id,
        COALESCE(r.processor_minor_amount, r.claimed_minor_amount) AS minor_amount,
        CASE WHEN r.processor_currency <> '' THEN r.processor_currency ELSE r.claimed_currency END AS currency,
        r.created_at AS at, r.stage NOT IN (6, 8, 9) AS is_open"""
    other = """x.id, x.account_id, x.connector_refund_id, x.merchant_refund_id, x.acquirer_reference_number,
        x.connector_transaction_id, '', x.merchant_order_id, x.minor_amount, x.currency, x.booked_at, TRUE"""
    refunds = refunds_then(bench)
    lines = "refund_id IS NULL AND line_id IS NOT NULL AND NOT clean"
    bench.make(
        "recon_left",
        f"""SELECT {REFUND_WITHOUT_LINE} AS kind, {FREE} AS taken, {refund} FROM ({refunds}) r
                WHERE r.id IN (SELECT refund_id FROM recon_rest WHERE line_id IS NULL)
                AND EXISTS (SELECT 1 FROM recon_rest WHERE {lines})
            UNION ALL SELECT {LINE}, {FREE}, {other} FROM reconciliation_settledline x
                WHERE x.movement = 1 AND x.id IN (SELECT line_id FROM recon_rest WHERE {lines})
            UNION ALL SELECT {ENTRY}, {FREE}, {other} FROM ({entries_then(bench)}) x
                WHERE x.account_id IN (SELECT account_id FROM recon_accounts WHERE by_books)
                AND x.id NOT IN (SELECT entry_id FROM recon_entry_links)
            UNION ALL SELECT {REFUND_WITHOUT_ENTRY}, {FREE}, {refund} FROM ({refunds}) r
                WHERE r.account_id IN (SELECT account_id FROM recon_accounts WHERE by_books)
                AND r.id NOT IN (SELECT refund_id FROM recon_entry_links)""",
    )  # fmt: skip


def _climb(bench: Workbench, who: _Climb) -> None:
    for rung in Pass:
        if rung >= who.first and rung in _KEYS:
            _rung(bench, who, rung)


_SAME_AMOUNT = "b.minor_amount = a.minor_amount AND a.is_open AND b.is_open"
# Each is a join on equal values of its own: an OR between them would compare everybody with everybody.
_KEYS = {
    Pass.BY_REFUND_ID: ("a.connector_refund_id <> '' AND b.connector_refund_id = a.connector_refund_id",),
    Pass.BY_OWN_REFERENCE: ("a.own_reference <> '' AND b.own_reference = a.own_reference",),
    Pass.BY_ARN: ("a.arn <> '' AND b.arn = a.arn",),
    Pass.BY_PAYMENT: (
        f"a.payment <> '' AND b.payment = a.payment AND {_SAME_AMOUNT}",
        f"a.payment <> '' AND b.other_payment = a.payment AND {_SAME_AMOUNT}",
        f"a.other_payment <> '' AND b.payment = a.other_payment AND {_SAME_AMOUNT}",
    ),
    Pass.BY_ORDER: (f"a.order_id <> '' AND b.order_id = a.order_id AND {_SAME_AMOUNT}",),
}


def _rung(bench: Workbench, who: _Climb, rung: Pass) -> None:
    """Everybody's candidates at once. One for one is a match; whoever has more, or shares one, is ambiguous."""
    free = f"a.kind = {who.seeker} AND a.taken = {FREE} AND b.kind = {who.sought} AND b.taken = {FREE}"
    allowed = persons.not_rejected(bench, who.seeker_column, who.sought_column)
    pairs = [
        "SELECT a.id AS seeker, b.id AS sought FROM recon_left a JOIN recon_left b ON b.account_id = a.account_id "
        f"AND b.currency = a.currency AND {key} AND {_near(bench, who, rung)} WHERE {free} AND {allowed}"
        for key in _KEYS[rung]
    ]
    bench.make("recon_pairs", " UNION ".join(pairs))
    state = MatchState.SUGGESTED if rung.suggests else MatchState.AUTO
    alone = " AND ".join(
        f"{side} IN (SELECT {side} FROM recon_pairs GROUP BY {side} HAVING count(*) = 1)"
        for side in ("seeker", "sought")
    )
    bench.do(
        f"INSERT INTO {who.links} ({who.seeker_column}, {who.sought_column}, pass, state) "
        f"SELECT seeker, sought, {rung.value}, {state.value} FROM recon_pairs WHERE {alone}"
    )
    for kind, side in ((who.seeker, "seeker"), (who.sought, "sought")):
        for what, which in ((TAKEN, alone), (AMBIGUOUS, f"NOT ({alone})")):
            bench.do(
                f"UPDATE recon_left SET taken = {what} WHERE kind = {kind} AND taken = {FREE} "
                f"AND id IN (SELECT {side} FROM recon_pairs WHERE {which})"
            )
    bench.do("DROP TABLE recon_pairs")


def _near(bench: Workbench, who: _Climb, rung: Pass) -> str:
    """How far apart in time the two may be."""
    if rung is Pass.BY_ARN:
        days = ladder.ARN_WITHIN.days
        return f"b.at >= {bench.plus('a.at', str(-days))} AND b.at <= {bench.plus('a.at', str(days))}"
    if rung is Pass.BY_ORDER:
        earlier, later = ("a.at", "b.at") if who.seeker_is_earlier else ("b.at", "a.at")
        before, after = str(-ladder.ORDER_BEFORE.days), str(ladder.ORDER_AFTER.days)
        return f"{later} >= {bench.plus(earlier, before)} AND {later} <= {bench.plus(earlier, after)}"
    return "TRUE"
