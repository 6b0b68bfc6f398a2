"""Payouts against the bank (M6)."""

from __future__ import annotations

import datetime as dt

from refunds.reconciliation.codes import Code
from refunds.reconciliation.ladder import HORIZON, MatchState, Pass
from refunds.reconciliation.matching.staging import entries_then
from refunds.reconciliation.matching.workbench import Workbench
from refunds.reconciliation.tolerance import plus_bank_days


def match_payouts(bench: Workbench) -> None:
    """recon_payout_links and the breaks of payouts; needs what `stage_units` knows of currencies."""
    _stage_bank_days(bench)
    bench.make("recon_batches", _batches(bench))
    difference, allowed = "(x.bank - x.amount)", "x.allowed"
    bench.make(
        "recon_payout_links",
        f"""SELECT x.id AS payout_id, x.entry_id,
            CASE WHEN x.person IS NULL THEN {Pass.BY_PAYOUT.value} ELSE {Pass.BY_PERSON.value} END AS pass,
            CASE WHEN x.person IS NOT NULL THEN x.person WHEN {difference} = 0 THEN {MatchState.AUTO.value}
                ELSE {MatchState.TOLERANCE.value} END AS state
            FROM recon_batches x WHERE x.id IS NOT NULL AND x.entry_id IS NOT NULL AND x.inside
                AND (ABS({difference}) <= {allowed} OR x.person = {MatchState.FORCED.value})""",
    )  # fmt: skip
    both = "x.id IS NOT NULL AND x.entry_id IS NOT NULL"
    detail = "'expected ' || CAST(x.amount AS text) || ', found ' || CAST(x.bank AS text)"
    for code, where in (
        (Code.ROUNDING, f"{difference} <> 0 AND ABS({difference}) <= {allowed}"),
        (Code.AMOUNT_OVER, f"{difference} > {allowed}"),
        (Code.AMOUNT_UNDER, f"{difference} < -{allowed}"),
    ):
        unforced = f"COALESCE(x.person, 0) <> {MatchState.FORCED.value}"
        _note(
            bench, code, f"{both} AND {unforced} AND {where}", money=f"ABS({difference})", expected="x.bank_at",
            detail=detail,
        )  # fmt: skip
    _missing(bench)
    outside = "(x.{0} < %(since)s OR x.{0} >= %(until)s)"
    _note(
        bench, Code.PERIOD_CROSSING, f"{both} AND ({outside.format('paid_at')} OR {outside.format('bank_at')})",
        money="x.amount", expected="x.bank_at",
    )  # fmt: skip


def _missing(bench: Workbench) -> None:
    other_currency = (
        "EXISTS (SELECT 1 FROM recon_batches o WHERE o.account_id = x.account_id AND o.number = x.number "
        "AND o.currency <> x.currency AND o.{0} IS NULL AND o.{1} IS NOT NULL)"
    )
    # What is owed to the processor is carried over into the next payout: the bank sees nothing of it.
    waiting = "x.id IS NOT NULL AND x.entry_id IS NULL AND x.amount > 0 AND x.paid_at <= %(as_of)s"
    elsewhere = f"x.number <> '' AND {other_currency.format('id', 'entry_id')}"
    _note(bench, Code.CURRENCY_MISMATCH, f"{waiting} AND {elsewhere}", money="x.amount", expected="x.paid_at")
    due = f"{waiting} AND NOT ({elsewhere})"
    _note(bench, Code.PAYOUT_NOT_IN_BANK, f"{due} AND x.due_at <= %(as_of)s", money="x.amount", expected="x.due_at")
    _note(
        bench, Code.TIMING_IN_TRANSIT, f"{due} AND x.due_at > %(as_of)s", money="x.amount", expected="x.due_at",
        detail="'not in the bank yet'",
    )  # fmt: skip
    _note(
        bench, Code.BANK_UNEXPLAINED,
        f"x.id IS NULL AND NOT (x.number <> '' AND {other_currency.format('entry_id', 'id')})",
        money="x.bank", expected="x.bank_at",
    )  # fmt: skip


def _note(
    bench: Workbench, code: Code, where: str, *, money: str, expected: str, detail: str = "''", parties: str = "SB"
) -> None:
    bench.do(
        f"""INSERT INTO recon_breaks SELECT {code.value}, '{parties}', x.account_id, CAST(NULL AS bigint), x.entry_id,
            CAST(NULL AS bigint), x.id, ABS({money}), x.currency, {expected}, {detail}, ''
            FROM recon_batches x WHERE x.inside AND {where}"""
    )


def _batches(bench: Workbench) -> str:
    """Payouts and what the bank has of each, in one full join; a bank entry that names no payout stands alone.

    An entry that somebody said to be of a payout counts as naming it, whatever it says itself.
    """
    entries = (
        "SELECT e.id, e.account_id, COALESCE(o.payout_id, e.payout_id) AS payout_id, e.currency, e.minor_amount, "
        f"e.booked_at, w.state AS person FROM ({entries_then(bench, kind=2)}) e "
        "LEFT JOIN recon_accepted w ON w.entry_id = e.id AND w.payout_id IS NOT NULL "
        "LEFT JOIN reconciliation_payout o ON o.id = w.payout_id"
    )
    bank = (
        "SELECT e.account_id, e.payout_id, e.currency, MIN(e.id) AS entry_id, SUM(e.minor_amount) AS bank, "
        f"MIN(e.booked_at) AS bank_at, MAX(e.person) AS person FROM ({entries}) e GROUP BY e.account_id, e.payout_id, "
        "e.currency, CASE WHEN e.payout_id = '' THEN e.id ELSE 0 END"
    )
    payouts = (
        f"SELECT p.*, COALESCE(p.total_minor_amount, p.net_minor_amount) AS amount FROM reconciliation_payout p "
        f"WHERE p.account_id IN {bench.accounts} AND p.first_seen_at <= %(as_of)s AND p.paid_at >= %(far_since)s "
        "AND p.paid_at < %(far_until)s"
    )
    inside = " OR ".join(f"({at} >= %(since)s AND {at} < %(until)s)" for at in ("p.paid_at", "b.bank_at"))
    return f"""
        SELECT x.*, d.due_at, COALESCE({bench.least("u.most", "x.lines * u.per_thousand / 1000")}, 0) AS allowed
        FROM (SELECT p.id, b.entry_id, COALESCE(p.account_id, b.account_id) AS account_id,
                COALESCE(p.payout_id, b.payout_id) AS number, COALESCE(p.currency, b.currency) AS currency,
                COALESCE(p.lines, 0) AS lines, p.amount, b.bank, b.person, p.paid_at, b.bank_at,
                COALESCE(p.paid_at, b.bank_at) AS at, COALESCE({inside}, FALSE) AS inside
            FROM ({payouts}) p FULL JOIN ({bank}) b ON b.account_id = p.account_id AND b.payout_id = p.payout_id
                AND b.currency = p.currency) x
            JOIN recon_terms t ON t.account_id = x.account_id AND x.at >= t.since AND x.at < t.until
            LEFT JOIN recon_bank_days d ON d.bank_days = t.bank_days AND d.day = DATE(x.paid_at)
            LEFT JOIN recon_units u ON u.account_id = x.account_id AND u.currency = x.currency
                AND x.at >= u.since AND x.at < u.until"""


def _stage_bank_days(bench: Workbench) -> None:
    """By when a payout of each day must have reached the bank: banks do not work at weekends."""
    bench.make_empty("recon_bank_days", {"bank_days": "integer", "day": "date", "due_at": "timestamptz"})
    first = (bench.run_row.since - HORIZON).date()
    days = [first + dt.timedelta(days=n) for n in range((bench.run_row.until + HORIZON).date().toordinal()
            - first.toordinal() + 1)]  # fmt: skip
    rows = []
    for (bank_days,) in bench.rows("SELECT DISTINCT bank_days FROM recon_terms"):
        for day in days:
            after = plus_bank_days(day, bank_days) + dt.timedelta(days=1)
            due_at = dt.datetime.combine(after, dt.time(0), tzinfo=dt.UTC)
            rows.append((bank_days, day if bench.postgres else day.isoformat(), due_at))
    bench.fill("recon_bank_days", rows)
    bench.know("recon_bank_days")
