"""What differs, code by code: each is one statement over what was laid out side by side."""

from __future__ import annotations

from refunds.reconciliation.codes import Code
from refunds.reconciliation.matching.items import FAILED, PENDING, SUCCEEDED
from refunds.reconciliation.matching.pace import learn_pace
from refunds.reconciliation.matching.staging import refunds_then
from refunds.reconciliation.matching.workbench import Workbench

BREAK = {
    "code": "smallint", "parties": "text", "account_id": "bigint", "refund_id": "bigint", "entry_id": "bigint",
    "line_id": "bigint", "payout_id": "bigint", "minor_amount": "bigint", "currency": "text",
    "expected_at": "timestamptz", "detail": "text", "part": "text",
}  # fmt: skip
"""`part` tells apart what has no row of its own to be known by."""

_TERMS = "JOIN recon_terms t ON t.account_id = i.account_id AND i.p_at >= t.since AND i.p_at < t.until"
_TERMS_OF_BOOKS = "JOIN recon_terms t ON t.account_id = i.account_id AND i.r_at >= t.since AND i.r_at < t.until"
_R_MONEY = ("i.r_amount", "i.r_currency")
_P_MONEY = ("COALESCE(i.p_amount, i.r_amount, 0)", "COALESCE(NULLIF(i.p_currency, ''), i.r_currency, '')")
_S_MONEY = ("COALESCE(i.s_amount, i.s_returned)", "COALESCE(i.s_currency, '')")


def note(
    bench: Workbench, code: Code, where: str, *, parties: str, money: tuple[str, str], expected: str, terms: str = "",
    detail: str = "''",
) -> None:  # fmt: skip
    """Write the breaks of one code over recon_items (`i`) and, where it needs them, the terms (`t`)."""
    amount, currency = money
    bench.do(
        f"""INSERT INTO recon_breaks SELECT {code.value}, '{parties}', i.account_id, i.refund_id, i.entry_id, i.line_id,
            CAST(NULL AS bigint), COALESCE(ABS({amount}), 0), COALESCE({currency}, ''), {expected}, {detail}, ''
            FROM recon_items i {terms} WHERE i.inside AND {where}"""
    )


def find_breaks(bench: Workbench) -> None:
    """recon_breaks of everything that is about one refund."""
    bench.make_empty("recon_breaks", BREAK)
    _missing_at_processor(bench)
    _unrequested(bench)
    _states(bench)
    _identity(bench)
    _periods(bench)
    _stale(bench)
    if bench.settled:
        _missing_in_settlement(bench)
        _lines_alone(bench)
    _ambiguous(bench)


def _missing_at_processor(bench: Workbench) -> None:
    alone = "i.has_r AND NOT i.has_p AND NOT i.has_s"
    not_found = "i.p_not_found AND i.r_at < t.grace_cut"
    due = bench.plus("i.r_at", "t.grace_hours", "hours")
    note(
        bench, Code.MISSING_AT_PROCESSOR, f"{alone} AND {not_found}", parties="RP", money=_R_MONEY, expected=due,
        terms=_TERMS_OF_BOOKS, detail="'the processor was asked, and does not know it'",
    )  # fmt: skip
    note(
        bench, Code.TIMING_IN_TRANSIT, f"{alone} AND NOT ({not_found}) AND i.r_at >= t.stuck_cut", parties="RP",
        money=_R_MONEY, expected=due, terms=_TERMS_OF_BOOKS, detail="'not seen at the processor yet'",
    )  # fmt: skip
    note(
        bench, Code.STUCK_PENDING, f"{alone} AND NOT ({not_found}) AND i.r_at < t.stuck_cut", parties="RP",
        money=_R_MONEY, expected=bench.plus("i.r_at", "t.stuck_days"), terms=_TERMS_OF_BOOKS,
        detail="'nothing was ever heard of it from the processor'",
    )  # fmt: skip


def _unrequested(bench: Workbench) -> None:
    nobody_asked = "NOT i.has_r AND (i.has_p OR i.has_s) AND i.twice = 0 AND i.r_in_doubt = 0"
    due = bench.plus("i.p_at", "t.grace_hours", "hours")
    note(
        bench, Code.UNREQUESTED, f"{nobody_asked} AND i.p_at < t.grace_cut", parties="RP", money=_P_MONEY, expected=due,
        terms=_TERMS,
    )  # fmt: skip
    note(
        bench, Code.TIMING_IN_TRANSIT, f"{nobody_asked} AND i.p_at >= t.grace_cut", parties="RP", money=_P_MONEY,
        expected=due, terms=_TERMS, detail="'not in our books yet'",
    )  # fmt: skip
    note(
        bench, Code.DUPLICATE_REFUND, "i.twice = 1", parties="RP", money=_P_MONEY, expected="i.p_at",
        detail="'another one of the same payment and amount was asked for, this one was not'",
    )  # fmt: skip


def _missing_in_settlement(bench: Workbench) -> None:
    # A payment that was cancelled before it was captured moved no money: nothing will be settled.
    missing = f"i.has_p AND i.p_final = {SUCCEEDED} AND i.p_stage <> 5 AND i.s_lines = 0 AND i.s_in_doubt = 0"
    due = bench.plus(bench.moment_of("i.success_key"), "t.settle_days")
    for code, when in (
        (Code.MISSING_IN_SETTLEMENT, "i.success_key < t.settle_key"),
        (Code.TIMING_IN_TRANSIT, "i.success_key >= t.settle_key"),
    ):
        detail = "''" if code is Code.MISSING_IN_SETTLEMENT else "'not settled yet'"
        note(
            bench, code, f"{missing} AND {when}", parties="PS", money=_P_MONEY, expected=due, terms=_TERMS,
            detail=detail,
        )  # fmt: skip


def _states(bench: Workbench) -> None:
    learn_pace(bench)
    pace = (
        f"{_TERMS} JOIN refunds_refund m ON m.id = i.refund_id "
        "LEFT JOIN recon_pace own ON own.account_id = i.account_id AND own.method = m.payment_method "
        "LEFT JOIN recon_pace its ON its.account_id = i.account_id AND its.method = ''"
    )
    agreed, learned = bench.plus("i.p_at", "t.stuck_days"), "COALESCE(own.seconds, its.seconds)"
    usual = bench.plus("i.p_at", learned, "seconds")
    came_back = f"(i.p_returned OR (i.p_final = {SUCCEEDED} AND i.s_returned > 0))"
    note(
        bench, Code.STUCK_PENDING,
        f"i.has_p AND i.p_final = {PENDING} "
        "AND (i.p_at < t.stuck_cut OR i.p_at < COALESCE(own.late_since, its.late_since))",
        parties="P", money=_P_MONEY, expected=f"COALESCE({bench.least(agreed, usual)}, {agreed})", terms=pace,
        detail=f"CASE WHEN {usual} < {agreed} THEN 'of a hundred refunds 99 are final sooner' ELSE '' END",
    )  # fmt: skip
    when = f"CASE WHEN i.failure_key <> '' THEN {bench.moment_of('i.failure_key')} ELSE i.p_at END"
    note(bench, Code.RETURNED_AFTER_SUCCESS, came_back, parties="P", money=_P_MONEY, expected=when)
    note(
        bench, Code.STATUS_CONFLICT,
        f"i.has_r AND i.has_p AND i.r_final <> {PENDING} AND i.p_final <> {PENDING} AND i.r_final <> i.p_final "
        f"AND NOT {came_back}",
        parties="RP", money=_P_MONEY, expected="i.p_at", detail="'our books and the processor say final, and differ'",
    )  # fmt: skip
    note(
        bench, Code.STATUS_CONFLICT,
        f"i.has_p AND i.has_s AND i.p_final = {FAILED} AND i.s_amount > i.s_returned AND NOT {came_back}",
        parties="PS", money=_S_MONEY, expected="i.s_at", detail="'it failed, and its money was settled all the same'",
    )  # fmt: skip


def _identity(bench: Workbench) -> None:
    note(bench, Code.DIRECTION, "i.has_s AND i.s_credit = 1", parties="PS", money=_S_MONEY, expected="i.s_at")
    for party, pair, money, at in (("r", "RP", _R_MONEY, "i.r_at"), ("s", "PS", _S_MONEY, "i.s_at")):
        wrong_parent = f"(i.{party}_wrong_payment = 1 OR (i.{party}_wrong_order = 1 AND i.{party}_has_payment = 0))"
        note(
            bench, Code.WRONG_PARENT, f"i.has_{party} AND {wrong_parent}", parties=pair, money=money, expected=at,
        )  # fmt: skip
        agree = f"i.{party}_amount = COALESCE(i.p_amount, i.r_amount)"
        note(
            bench, Code.REFERENCE_DATA,
            f"i.has_{party} AND {agree} AND NOT {wrong_parent} "
            f"AND (i.{party}_wrong_order = 1 OR i.{party}_wrong_arn = 1)",
            parties=pair, money=money, expected=at,
            detail=f"CASE WHEN i.{party}_wrong_order = 1 THEN 'order differs' ELSE 'ARN differs' END",
        )  # fmt: skip


def _periods(bench: Workbench) -> None:
    """Which side of a period's bounds each party stands on; by the run's bounds, and by the account's own clock."""
    present = {"r": "i.has_r", "p": "i.has_p", "s": "i.has_s"}

    def differ(since: str, until: str) -> str:
        side = {
            party: f"CASE WHEN {there} THEN CASE WHEN i.{party}_at < {since} THEN -1 "
            f"WHEN i.{party}_at >= {until} THEN 1 ELSE 0 END END"
            for party, there in present.items()
        }
        pairs = (("r", "p"), ("p", "s"), ("r", "s"))
        return "COALESCE(" + " OR ".join(f"({side[a]}) <> ({side[b]})" for a, b in pairs) + ", FALSE)"

    accounts = "JOIN recon_accounts a ON a.account_id = i.account_id"
    by_own_clock = differ("a.own_since", "a.own_until")
    latest = "COALESCE(i.s_at, i.p_at, i.r_at)"
    crosses = differ("%(since)s", "%(until)s")
    for code, where in (
        (Code.PERIOD_CROSSING, f"{crosses} AND {by_own_clock}"),
        (Code.CUTOFF_TIMEZONE, f"{crosses} AND NOT {by_own_clock}"),
    ):
        note(bench, code, where, parties=bench.parties[:3], money=_P_MONEY, expected=latest, terms=accounts)


def _stale(bench: Workbench) -> None:
    """A final state that only answers have told, though webhooks are set up and had an hour to come."""
    final = "CASE WHEN {0}.stage IN (4, 5, 7) THEN 2 WHEN {0}.stage IN (6, 8, 9) THEN 3 ELSE 1 END"
    announced = (
        "SELECT 1 FROM refunds_observation w WHERE w.refund_id = j.refund_id AND w.source IN ('webhook', 'feed') "
        f"AND w.received_at <= %(as_of)s AND {final.format('w')} = j.polled"
    )
    first_answer = (
        "SELECT MIN(o.received_at) FROM refunds_observation o WHERE o.refund_id = j.refund_id "
        f"AND o.source IN ('get', 'list') AND o.standing = 'counted' AND {final.format('o')} = j.polled"
    )
    bench.make(
        "recon_polled",
        f"""SELECT DISTINCT j.refund_id, ({first_answer}) AS received_at FROM recon_rest j
            WHERE j.polled > 0 AND j.inside AND NOT EXISTS ({announced})""",
    )
    if not bench.count("recon_polled"):
        return
    hour = bench.plus("o.received_at", "1", "hours")
    bench.do(
        f"""INSERT INTO recon_breaks SELECT {Code.STALE_LOCAL.value}, 'P', r.account_id, r.id, CAST(NULL AS bigint),
            CAST(NULL AS bigint), CAST(NULL AS bigint),
            COALESCE(r.processor_minor_amount, r.claimed_minor_amount, 0),
            CASE WHEN r.processor_currency <> '' THEN r.processor_currency ELSE r.claimed_currency END,
            o.received_at, '', ''
            FROM recon_polled o JOIN ({refunds_then(bench)}) r ON r.id = o.refund_id WHERE {hour} <= %(as_of)s"""
    )


def _lines_alone(bench: Workbench) -> None:
    bench.do(
        f"""INSERT INTO recon_breaks SELECT {Code.SETTLED_UNKNOWN.value}, 'PS', l.account_id, CAST(NULL AS bigint),
            CAST(NULL AS bigint), l.id, CAST(NULL AS bigint), l.minor_amount, l.currency, l.booked_at, '', ''
            FROM recon_rest j JOIN reconciliation_settledline l ON l.id = j.line_id
            WHERE j.refund_id IS NULL AND j.inside AND l.id NOT IN (SELECT line_id FROM recon_line_links)
                AND l.id NOT IN (SELECT line_id FROM recon_direct_links)
                AND l.id NOT IN (SELECT id FROM recon_left WHERE kind = 2 AND taken = 2)"""
    )


def _ambiguous(bench: Workbench) -> None:
    for kind, column, parties in ((2, "line_id", "PS"), (3, "entry_id", "RP")):
        entry, line = ("n.id", "CAST(NULL AS bigint)") if column == "entry_id" else ("CAST(NULL AS bigint)", "n.id")
        bench.do(
            f"""INSERT INTO recon_breaks SELECT {Code.AMBIGUOUS.value}, '{parties}', n.account_id, CAST(NULL AS bigint),
                {entry}, {line}, CAST(NULL AS bigint), ABS(n.minor_amount), n.currency, n.at,
                'more than one could be meant', ''
                FROM recon_left n WHERE n.kind = {kind} AND n.taken = 2
                    AND n.at >= %(since)s AND n.at < %(until)s"""
        )
