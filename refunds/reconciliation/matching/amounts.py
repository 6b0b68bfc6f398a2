"""Amounts of two parties held against each other, once each, and what a payment's refunds add up to."""

from __future__ import annotations

from refunds.reconciliation.codes import Code
from refunds.reconciliation.matching.findings import note
from refunds.reconciliation.matching.items import FAILED
from refunds.reconciliation.matching.workbench import Workbench

_PAIR = (
    "SELECT i.refund_id, i.entry_id, i.line_id, i.account_id, '{parties}' AS parties, {expected} AS expected, "
    "{actual} AS actual, {expected_currency} AS expected_currency, {currency} AS currency, {mixed} AS mixed, "
    "{fee} AS fee, {at} AS at, t.{tolerance}_below AS below, t.{tolerance}_above AS above, t.rounding_most "
    "FROM recon_items i {terms} WHERE i.inside AND {where}"
)
_TERMS = "JOIN recon_terms t ON t.account_id = i.account_id AND {at} >= t.since AND {at} < t.until"
_FEE = "CASE WHEN i.s_net_currency = i.s_currency THEN ABS(i.s_fee) END"


def compare_amounts(bench: Workbench) -> None:
    """recon_verdicts: for each pair that differs the code, and breaks of them. What somebody forced may differ."""
    pairs = [_books_and_processor(), *([_processor_and_settlement(), _books_and_settlement()] if bench.settled else [])]
    bench.make("recon_amounts", " UNION ALL ".join(pairs))
    bench.make("recon_verdicts", f"SELECT v.*, {_CAPPED} AS code FROM ({_VERDICTS}) v WHERE v.verdict IS NOT NULL")
    money = f"CASE WHEN code = {Code.CURRENCY_MISMATCH.value} THEN ABS(actual) ELSE ABS(actual - expected) END"
    detail = "'expected ' || CAST(expected AS text) || ' ' || expected_currency || ', found ' || CAST(actual AS text)"
    bench.do(
        f"""INSERT INTO recon_breaks SELECT code, parties, account_id, refund_id, entry_id, line_id,
            CAST(NULL AS bigint), {money}, currency, at, {detail} || ' ' || currency, '' FROM recon_verdicts"""
    )
    _over_refunded(bench)
    if bench.settled:
        _fees(bench)
        _conversions(bench)


def _books_and_processor() -> str:
    return _PAIR.format(
        parties="RP", expected="i.r_amount", actual="i.p_amount", expected_currency="i.r_currency",
        currency="i.p_currency", mixed="i.r_other_currency <> i.r_currency", fee="CAST(NULL AS bigint)", at="i.p_at",
        tolerance="books", terms=_TERMS.format(at="i.p_at"),
        where="i.has_r AND i.has_p AND i.p_amount IS NOT NULL AND i.r_amount IS NOT NULL AND i.r_forced = 0",
    )  # fmt: skip


def _processor_and_settlement() -> str:
    return _PAIR.format(
        parties="PS", expected="i.p_amount", actual="i.s_amount", expected_currency="i.p_currency",
        currency="i.s_currency", mixed="i.s_other_currency <> i.s_currency", fee=_FEE, at="i.s_at",
        tolerance="settled", terms=_TERMS.format(at="i.s_at"),
        where="i.has_p AND i.has_s AND i.p_amount IS NOT NULL AND i.s_forced = 0",
    )  # fmt: skip


def _books_and_settlement() -> str:
    """Only where the processor has said no amount: it is the witness between them."""
    return _PAIR.format(
        parties="RS", expected="i.r_amount", actual="i.s_amount", expected_currency="i.r_currency",
        currency="i.s_currency", mixed="i.s_other_currency <> i.s_currency", fee=_FEE, at="i.s_at",
        tolerance="settled", terms=_TERMS.format(at="i.s_at"),
        where="i.has_r AND i.has_s AND i.r_amount IS NOT NULL AND (NOT i.has_p OR i.p_amount IS NULL) "
        "AND i.s_forced = 0 AND i.r_forced = 0",
    )  # fmt: skip


# A scale error is told before a fee, a fee before rounding: each later one would explain the earlier away.
_SCALE = """(v.small <> 0 AND v.large IN (v.small * 10, v.small * 100, v.small * 1000))
    OR (v.exponent = 3 AND v.large - v.small < 10 AND (v.small %% 10 = 0 OR v.large %% 10 = 0))"""
_VERDICTS = f"""
    SELECT v.*, CASE
        WHEN v.expected_currency <> v.currency OR v.mixed THEN {Code.CURRENCY_MISMATCH.value}
        WHEN v.actual = v.expected THEN NULL
        WHEN {_SCALE} THEN {Code.MINOR_UNIT_SCALE.value}
        WHEN v.fee <> 0 AND v.large - v.small = v.fee THEN {Code.GROSS_NET_CONFUSION.value}
        WHEN v.actual - v.expected BETWEEN -v.below AND v.above THEN {Code.ROUNDING.value}
        WHEN v.actual > v.expected THEN {Code.AMOUNT_OVER.value} ELSE {Code.AMOUNT_UNDER.value} END AS verdict
    FROM (SELECT p.*, COALESCE(u.exponent, 2) AS exponent,
            CASE WHEN ABS(p.actual) < ABS(p.expected) THEN ABS(p.actual) ELSE ABS(p.expected) END AS small,
            CASE WHEN ABS(p.actual) < ABS(p.expected) THEN ABS(p.expected) ELSE ABS(p.actual) END AS large
        FROM recon_amounts p LEFT JOIN recon_units u ON u.account_id = p.account_id AND u.currency = p.currency
            AND p.at >= u.since AND p.at < u.until) v"""
# What passes as rounding is summed; from where the sum is too much on, it is a difference like any other.
_CAPPED = f"""CASE WHEN v.verdict = {Code.ROUNDING.value} AND SUM(
        CASE WHEN v.verdict = {Code.ROUNDING.value} THEN ABS(v.actual - v.expected) ELSE 0 END)
        OVER (PARTITION BY v.account_id, v.currency ORDER BY v.at, COALESCE(v.refund_id, 0), COALESCE(v.entry_id, 0),
            COALESCE(v.line_id, 0), v.parties ROWS UNBOUNDED PRECEDING) > v.rounding_most
    THEN CASE WHEN v.actual > v.expected THEN {Code.AMOUNT_OVER.value} ELSE {Code.AMOUNT_UNDER.value} END
    ELSE v.verdict END"""


def _over_refunded(bench: Workbench) -> None:
    """All that was refunded of a payment, failed ones aside, against what was captured, where that is known."""
    amount = "COALESCE(i.p_amount, i.r_amount)"
    payment = "COALESCE(NULLIF(i.payment, ''), CAST(i.refund_id AS text))"
    bench.make(
        "recon_captured",
        f"""SELECT account_id, {payment} AS payment, MAX(payment_minor_amount) AS captured,
            MIN(payment_currency) AS currency FROM recon_items i WHERE payment_minor_amount IS NOT NULL
            GROUP BY account_id, {payment} HAVING MAX(CASE WHEN inside THEN 1 ELSE 0 END) = 1""",
        "payment, account_id",
    )
    bench.do(
        f"""INSERT INTO recon_breaks SELECT {Code.OVER_REFUNDED.value}, 'RP', account_id, refund_id,
            CAST(NULL AS bigint), CAST(NULL AS bigint), CAST(NULL AS bigint), refunded - captured, currency, at,
            'refunded ' || CAST(refunded AS text) || ' of ' || CAST(captured AS text), ''
            FROM (SELECT i.account_id, MAX(i.refund_id) AS refund_id, SUM({amount}) AS refunded,
                    MAX(k.captured) AS captured, k.currency, MAX(i.p_at) AS at
                FROM recon_items i JOIN recon_captured k ON k.account_id = i.account_id
                    AND k.payment = {payment}
                WHERE COALESCE(i.p_final, 1) <> {FAILED}
                    AND COALESCE(NULLIF(i.p_currency, ''), i.r_currency) = k.currency
                GROUP BY i.account_id, k.payment, k.currency) sums WHERE refunded > captured"""
    )


def _fees(bench: Workbench) -> None:
    terms = "JOIN recon_terms t ON t.account_id = i.account_id AND i.s_at >= t.since AND i.s_at < t.until"
    agreed = "(t.fee_fixed * i.s_out + ABS(COALESCE(i.s_gross, i.s_amount)) * t.fee_basis_points / 10000)"
    off = f"(COALESCE(i.s_fee, 0) - {agreed})"
    note(
        bench, Code.FEE_VARIANCE,
        "i.has_s AND i.s_amount = COALESCE(i.p_amount, i.r_amount) AND t.fee_fixed IS NOT NULL "
        f"AND i.s_net_currency = t.fee_currency AND ABS({off}) >= 1",
        parties="S", money=(f"CAST({off} AS bigint)", "i.s_net_currency"), expected="i.s_at", terms=terms,
    )  # fmt: skip


def _conversions(bench: Workbench) -> None:
    """What was taken from the balance against the amount at the processor's own rate."""
    terms = """JOIN recon_terms t ON t.account_id = i.account_id AND i.s_at >= t.since AND i.s_at < t.until
        JOIN recon_units u ON u.account_id = i.account_id AND u.currency = i.s_currency
            AND i.s_at >= u.since AND i.s_at < u.until
        JOIN recon_units n ON n.account_id = i.account_id AND n.currency = i.s_net_currency
            AND i.s_at >= n.since AND i.s_at < n.until"""
    right = "(i.s_amount * i.s_rate * n.scale / u.scale)"
    off = f"(ABS(i.s_gross) - {right})"
    for code, sign in ((Code.AMOUNT_OVER, ">"), (Code.AMOUNT_UNDER, "<")):
        note(
            bench, code,
            "i.has_s AND i.s_out = 1 AND i.s_rate IS NOT NULL AND i.s_gross IS NOT NULL "
            f"AND {off} {sign} 0 AND ABS({off}) * 10000 > {right} * t.fx_basis_points AND ABS({off}) >= 1",
            parties="S", money=(f"CAST(ROUND({off}) AS bigint)", "i.s_net_currency"), expected="i.s_at", terms=terms,
            detail="'not the amount at the rate the processor names'",
        )  # fmt: skip
