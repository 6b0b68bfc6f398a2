"""One row for everything that needs a closer look: what each party says of it, side by side."""

from __future__ import annotations

from refunds.reconciliation.ladder import DUPLICATE_WITHIN, MatchState
from refunds.reconciliation.matching import persons
from refunds.reconciliation.matching.climbing import AMBIGUOUS, REFUND_WITHOUT_ENTRY, REFUND_WITHOUT_LINE
from refunds.reconciliation.matching.persons import BY_PERSON
from refunds.reconciliation.matching.staging import entries_then, lines_then, refunds_then
from refunds.reconciliation.matching.workbench import Workbench

PENDING, SUCCEEDED, FAILED = 1, 2, 3


def lay_out(bench: Workbench) -> None:
    """recon_items, of refunds and of entries that no refund answers to."""
    _sum_lines(bench)
    _sum_entries(bench)
    bench.make(
        "recon_items", f"{_of_refunds(bench)} UNION ALL {_of_entries_alone(bench)}", "refund_id", "account_id, payment",
        know="refund_id, account_id, payment, inside, has_r, has_p, has_s, p_final",
    )  # fmt: skip
    _find_duplicates(bench)


def _differs(theirs: str, *ours: str) -> str:
    """1 where two references are both given and not the same, and nobody vouches for their link (`k`) all the same."""
    given = " OR ".join(f"{one} <> ''" for one in ours)
    differs = f"{theirs} <> '' AND ({given}) AND {theirs} NOT IN ({', '.join(ours)})"
    return f"MAX(CASE WHEN k.state NOT IN {BY_PERSON} AND {differs} THEN 1 ELSE 0 END)"


def _sum_lines(bench: Workbench) -> None:
    """recon_lines, which belong to which refund and why; recon_settled, what they add up to."""
    lines = lines_then(bench) if bench.settled else f"SELECT l.* FROM ({lines_then(bench)}) l WHERE FALSE"
    bench.make(
        "recon_lines",
        f"""SELECT r.id AS refund_id, l.id AS line_id, CAST(1 AS smallint) AS pass,
                CAST({MatchState.AUTO.value} AS smallint) AS state
            FROM recon_odd o JOIN refunds_refund r ON r.id = o.refund_id JOIN ({lines}) l
                ON l.account_id = r.account_id AND l.connector_refund_id = r.connector_refund_id
            WHERE {persons.not_vouched(bench, line="l.id")}
            UNION ALL SELECT refund_id, line_id, pass, state FROM recon_line_links""",
    )  # fmt: skip
    bench.make(
        "recon_settled",
        f"""SELECT k.refund_id, {_settled_columns("r")}
            FROM recon_lines k JOIN reconciliation_settledline l ON l.id = k.line_id
                JOIN ({refunds_then(bench)}) r ON r.id = k.refund_id GROUP BY k.refund_id""",
        "refund_id",
    )  # fmt: skip


_FORCED = f"MAX(CASE WHEN k.state = {MatchState.FORCED.value} THEN 1 ELSE 0 END)"


def _settled_columns(refund: str) -> str:
    out = "CASE WHEN l.movement = 1 THEN {} END"
    return f"""COALESCE(MIN({out.format("l.id")}), MIN(l.id)) AS line_id, COUNT(*) AS s_lines,
        COUNT({out.format("1")}) AS s_out, SUM({out.format("l.minor_amount")}) AS s_amount,
        COALESCE(SUM(CASE WHEN l.movement = 2 THEN l.minor_amount END), 0) AS s_returned,
        MIN({out.format("l.currency")}) AS s_currency, MAX({out.format("l.currency")}) AS s_other_currency,
        MIN({out.format("l.booked_at")}) AS s_at, SUM({out.format("l.fee_minor_amount")}) AS s_fee,
        SUM({out.format("l.gross_minor_amount")}) AS s_gross, MIN(l.net_currency) AS s_net_currency,
        MAX({out.format("l.exchange_rate")}) AS s_rate,
        MAX(CASE WHEN l.movement = 1 AND l.credit THEN 1 ELSE 0 END) AS s_credit,
        {_differs("l.connector_transaction_id", f"{refund}.connector_transaction_id", f"{refund}.other_transaction_id")}
            AS s_wrong_payment,
        MAX(CASE WHEN l.connector_transaction_id <> '' AND {refund}.connector_transaction_id <> '' THEN 1 ELSE 0 END)
            AS s_has_payment,
        {_FORCED} AS s_forced,
        {_differs("l.merchant_order_id", f"{refund}.merchant_order_id")} AS s_wrong_order,
        {_differs("l.acquirer_reference_number", f"{refund}.acquirer_reference_number")} AS s_wrong_arn"""


def _sum_entries(bench: Workbench) -> None:
    """recon_booked: what the entries about a refund add up to."""
    payment = _differs("e.connector_transaction_id", "r.connector_transaction_id", "r.other_transaction_id")
    bench.make(
        "recon_booked",
        f"""SELECT k.refund_id, MIN(e.id) AS entry_id, SUM(e.minor_amount) AS r_amount, MIN(e.currency) AS r_currency,
                MAX(e.currency) AS r_other_currency, MIN(e.booked_at) AS r_at, {payment} AS r_wrong_payment,
                MAX(CASE WHEN e.connector_transaction_id <> '' AND r.connector_transaction_id <> '' THEN 1 ELSE 0 END)
                    AS r_has_payment, {_FORCED} AS r_forced,
                {_differs("e.merchant_order_id", "r.merchant_order_id")} AS r_wrong_order,
                {_differs("e.acquirer_reference_number", "r.acquirer_reference_number")} AS r_wrong_arn
            FROM recon_entry_links k JOIN reconciliation_ledgerentry e ON e.id = k.entry_id
                JOIN ({refunds_then(bench)}) r ON r.id = k.refund_id GROUP BY k.refund_id""",
        "refund_id",
    )  # fmt: skip


_STATUS = {"SUCCEEDED": SUCCEEDED, "FAILED": FAILED}


def _of_refunds(bench: Workbench) -> str:
    wanted = {
        name: f"CASE WHEN r.id IN (SELECT id FROM recon_left WHERE kind = {kind} AND taken = {AMBIGUOUS}) "
        f"THEN 1 ELSE 0 END AS {name}"
        for name, kind in (("s_in_doubt", REFUND_WITHOUT_LINE), ("r_in_doubt", REFUND_WITHOUT_ENTRY))
    }
    final = f"""CASE WHEN r.stage IN (5, 7) THEN {SUCCEEDED} WHEN r.stage IN (6, 8, 9) THEN {FAILED}
        WHEN r.stage = 4 AND (a.accepted_is_success OR COALESCE(s.s_out, 0) > 0) THEN {SUCCEEDED} ELSE {PENDING} END"""
    return f"""
        SELECT r.id AS refund_id, b.entry_id, s.line_id, r.account_id, r.connector_refund_id,
            {_inside_any()} AS inside,
            (r.has_r OR b.refund_id IS NOT NULL) AS has_r, r.has_p, (COALESCE(s.s_out, 0) > 0) AS has_s,
            COALESCE(b.r_amount, r.claimed_minor_amount) AS r_amount,
            COALESCE(b.r_currency, r.claimed_currency) AS r_currency, b.r_other_currency,
            COALESCE(b.r_at, r.asked_at) AS r_at, CASE WHEN b.refund_id IS NOT NULL THEN {PENDING}
                WHEN r.claimed_status = 'SUCCEEDED' THEN {SUCCEEDED} WHEN r.claimed_status = 'FAILED' THEN {FAILED}
                ELSE {PENDING} END AS r_final,
            COALESCE(b.r_wrong_payment, 0) AS r_wrong_payment, COALESCE(b.r_has_payment, 0) AS r_has_payment,
            COALESCE(b.r_wrong_order, 0) AS r_wrong_order, COALESCE(b.r_wrong_arn, 0) AS r_wrong_arn,
            r.processor_minor_amount AS p_amount, r.processor_currency AS p_currency, r.created_at AS p_at,
            CASE WHEN r.has_p THEN {final} END AS p_final, r.stage AS p_stage, r.returned AS p_returned,
            r.success_key, r.failure_key, (r.last_answer = 'not_found') AS p_not_found,
            r.connector_transaction_id AS payment, r.payment_minor_amount, r.payment_currency,
            COALESCE(s.s_lines, 0) AS s_lines, COALESCE(s.s_out, 0) AS s_out, s.s_amount,
            COALESCE(s.s_returned, 0) AS s_returned, s.s_currency,
            s.s_other_currency, s.s_at, s.s_fee, s.s_gross, s.s_net_currency, s.s_rate,
            COALESCE(s.s_credit, 0) AS s_credit, COALESCE(s.s_wrong_payment, 0) AS s_wrong_payment,
            COALESCE(s.s_has_payment, 0) AS s_has_payment, COALESCE(s.s_wrong_order, 0) AS s_wrong_order,
            COALESCE(s.s_wrong_arn, 0) AS s_wrong_arn, {wanted["s_in_doubt"]}, {wanted["r_in_doubt"]},
            COALESCE(s.s_forced, 0) AS s_forced, COALESCE(b.r_forced, 0) AS r_forced, 0 AS twice
        FROM ({refunds_then(bench)}) r JOIN recon_accounts a ON a.account_id = r.account_id
            LEFT JOIN recon_booked b ON b.refund_id = r.id LEFT JOIN recon_settled s ON s.refund_id = r.id
        WHERE r.id IN (SELECT refund_id FROM recon_odd)"""


def _inside_any() -> str:
    moments = ("b.r_at", "CASE WHEN r.has_r THEN r.asked_at END", "r.created_at", "s.s_at")
    any_of = " OR ".join(f"({moment} >= %(since)s AND {moment} < %(until)s)" for moment in moments)
    return f"COALESCE({any_of} OR r.id IN (SELECT refund_id FROM recon_rest WHERE inside), FALSE)"


def _of_entries_alone(bench: Workbench) -> str:
    """Entries without a refund, with their line where one was found; the ambiguous ones are told apart elsewhere."""
    unmatched = f"""SELECT n.id FROM recon_left n WHERE n.kind = 3 AND n.taken <> {AMBIGUOUS}
        AND n.id NOT IN (SELECT entry_id FROM recon_entry_links)"""
    inside = " OR ".join(f"({at} >= %(since)s AND {at} < %(until)s)" for at in ("e.booked_at", "l.booked_at"))
    wrong_arn = (
        "CASE WHEN l.acquirer_reference_number <> '' AND e.acquirer_reference_number <> '' "
        f"AND l.acquirer_reference_number <> e.acquirer_reference_number AND k.state NOT IN {BY_PERSON} "
        "THEN 1 ELSE 0 END"
    )
    return f"""
        SELECT CAST(NULL AS bigint), e.id, l.id, e.account_id, e.connector_refund_id, COALESCE({inside}, FALSE),
            TRUE, FALSE, l.id IS NOT NULL, e.minor_amount, e.currency, e.currency, e.booked_at, {PENDING}, 0, 0, 0, 0,
            CAST(NULL AS bigint), '', CAST(NULL AS {bench.moment_type}), CAST(NULL AS integer),
            CAST(NULL AS smallint), FALSE, '', '', FALSE, '', CAST(NULL AS bigint), '',
            CASE WHEN l.id IS NULL THEN 0 ELSE 1 END, CASE WHEN l.id IS NULL THEN 0 ELSE 1 END, l.minor_amount, 0,
            l.currency, l.currency, l.booked_at,
            l.fee_minor_amount, l.gross_minor_amount, l.net_currency, l.exchange_rate,
            CASE WHEN l.credit THEN 1 ELSE 0 END, 0, 0, 0, {wrong_arn}, 0, 0,
            CASE WHEN k.state = {MatchState.FORCED.value} THEN 1 ELSE 0 END, 0, 0
        FROM ({entries_then(bench)}) e LEFT JOIN recon_direct_links k ON k.entry_id = e.id
            LEFT JOIN reconciliation_settledline l ON l.id = k.line_id
        WHERE e.id IN ({unmatched})"""


def _find_duplicates(bench: Workbench) -> None:
    """Refunds nobody asked for beside one of the same payment and amount that somebody did ask for."""
    days = DUPLICATE_WITHIN.days
    bench.do(
        f"""UPDATE recon_items SET twice = 1 WHERE payment <> '' AND has_p AND NOT has_r AND p_final <> {FAILED}
            AND refund_id IN (
                SELECT u.refund_id FROM recon_items u JOIN recon_items o ON o.account_id = u.account_id
                    AND o.payment = u.payment AND o.p_amount = u.p_amount AND o.p_currency = u.p_currency
                    AND o.refund_id <> u.refund_id
                WHERE o.has_p AND o.has_r AND o.p_final <> {FAILED}
                    AND o.p_at >= {bench.plus("u.p_at", str(-days))} AND o.p_at <= {bench.plus("u.p_at", str(days))})"""
    )
