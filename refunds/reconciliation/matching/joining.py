"""Pass M1: refunds and settled lines in one full join by the processor's refund id, and what of it needs a closer look.

Almost everything agrees, so one scan decides what is clean; only the rest is looked at code by code.
"""

from __future__ import annotations

from refunds.reconciliation.matching import persons
from refunds.reconciliation.matching.staging import RECEIVED, entries_then, refunds_then
from refunds.reconciliation.matching.workbench import Workbench

_SUCCEEDED = "r.stage IN (4, 5, 7)"
_FAILED = "r.stage IN (6, 8, 9)"


def _inside(*moments: str) -> str:
    return " OR ".join(f"({moment} >= %(since)s AND {moment} < %(until)s)" for moment in moments)


def _all_inside(*moments: str) -> str:
    return " AND ".join(f"{moment} >= %(since)s AND {moment} < %(until)s" for moment in moments)


_ASKED_AND_ANSWERED = (
    "r.has_r AND r.has_p AND NOT r.returned AND r.claimed_status <> 'FAILED' "
    "AND r.claimed_minor_amount = r.processor_minor_amount AND r.claimed_currency = r.processor_currency "
    "AND (r.payment_minor_amount IS NULL OR (r.payment_currency = r.processor_currency "
    "AND r.payment_minor_amount >= r.processor_minor_amount))"
)


def _agrees(column: str) -> str:
    """Whether a reference is the same on both sides, or left open on one. No IN: it would build a list for each row."""
    return f"(l.{column} = r.{column} OR l.{column} = '' OR r.{column} = '')"


_SETTLED_AS_ASKED = (
    "l.minor_amount = r.processor_minor_amount AND l.currency = r.processor_currency "
    "AND (l.connector_transaction_id = r.connector_transaction_id OR l.connector_transaction_id = '' "
    "OR l.connector_transaction_id = r.other_transaction_id) "
    f"AND {_agrees('merchant_order_id')} AND {_agrees('acquirer_reference_number')}"
)


def join_refunds(bench: Workbench) -> None:
    """recon_joined: every refund and line of the period, and what outside it has no counterpart yet; recon_rest, what
    of it is not clean."""
    # Not counted for the planner: it is only ever read from one end to the other.
    joined = _with_lines(bench) if bench.settled else _without_lines(bench)
    bench.do(f"CREATE TEMPORARY TABLE recon_joined AS {joined}")
    bench.make("recon_rest", "SELECT * FROM recon_joined WHERE NOT clean OR polled > 0")


def _refunds_slim(bench: Workbench) -> str:
    """What the join has to carry of each refund. What can be decided before it is decided before: a million wide rows
    would not fit into the memory of one join."""
    polled = (
        f"CASE WHEN r.source IN ('get', 'list') AND {bench.among('hears')} THEN CASE WHEN {_SUCCEEDED} THEN 2 "
        f"WHEN {_FAILED} THEN 3 ELSE 0 END ELSE 0 END"
    )
    # What was only accepted counts as done where the account says so, or once it is settled.
    done = _SUCCEEDED if bench.settled else f"(r.stage IN (5, 7) OR (r.stage = 4 AND {bench.among('accepted')}))"
    return f"""SELECT r.id, r.account_id, r.connector_refund_id, ({_inside("r.created_at", "r.asked_at")}) AS inside,
        COALESCE({done} AND {_ASKED_AND_ANSWERED} AND {_all_inside("r.created_at", "r.asked_at")}, FALSE) AS sound,
        CAST({polled} AS smallint) AS polled, r.processor_minor_amount, r.processor_currency,
        r.connector_transaction_id, r.other_transaction_id, r.merchant_order_id, r.acquirer_reference_number
        FROM ({refunds_then(bench)}) r"""


def _lines_slim(bench: Workbench) -> str:
    # Whether a fee is as agreed is looked at only where somebody has agreed on one.
    return f"""SELECT l.id, l.account_id, l.connector_refund_id, ({_inside("l.booked_at")}) AS inside,
        (l.movement = 1 AND NOT l.credit AND l.exchange_rate IS NULL AND NOT {bench.among("fees", "l")}
            AND {_all_inside("l.booked_at")}) AS sound,
        l.minor_amount, l.currency, l.connector_transaction_id, l.merchant_order_id, l.acquirer_reference_number
        FROM reconciliation_settledline l WHERE l.account_id IN {bench.accounts} AND {RECEIVED}"""


def _with_lines(bench: Workbench) -> str:
    inside = "(COALESCE(r.inside, FALSE) OR COALESCE(l.inside, FALSE))"
    columns = f"""r.id AS refund_id, l.id AS line_id, {inside} AS inside,
        COALESCE(r.sound AND l.sound AND {_SETTLED_AS_ASKED}, FALSE) AS clean, COALESCE(r.polled, 0) AS polled"""
    kept = f"r.id IS NULL OR l.id IS NULL OR {inside}"
    key = "l.account_id = r.account_id AND l.connector_refund_id = r.connector_refund_id"
    if bench.postgres:
        joined = f"({_refunds_slim(bench)}) r FULL JOIN ({_lines_slim(bench)}) l ON {key}"
        return f"SELECT {columns} FROM {joined} WHERE {kept}"
    # SQLite uses an index only where the table itself is joined, so there the line is looked at after the join.
    sound = f"l.movement = 1 AND NOT l.credit AND l.exchange_rate IS NULL AND NOT {bench.among('fees', 'l')}"
    looked_at = columns.replace("l.sound", f"({sound} AND {_all_inside('l.booked_at')})")
    by_line = f"({_inside('l.booked_at')})"
    wanted = f"l.account_id IN {bench.accounts} AND {RECEIVED}"
    joined = f"({_refunds_slim(bench)}) r FULL JOIN reconciliation_settledline l ON {key} AND {wanted}"
    return (
        f"SELECT {looked_at.replace('l.inside', by_line)} FROM {joined} "
        f"WHERE (l.id IS NULL OR ({wanted})) AND ({kept.replace('l.inside', by_line)})"
    )


def _without_lines(bench: Workbench) -> str:
    # Out of the period only what entries of the period may turn out to be about.
    return f"""SELECT r.id AS refund_id, CAST(NULL AS bigint) AS line_id, r.inside, r.sound AS clean, r.polled
        FROM ({_refunds_slim(bench)}) r WHERE r.inside OR {bench.among("by_books")}"""


def join_entries(bench: Workbench) -> None:
    """recon_entry_links: the entries of our books by the same key. Several may be about one refund."""
    bench.make(
        "recon_entry_links",
        f"""SELECT e.id AS entry_id, r.id AS refund_id, CAST(1 AS smallint) AS pass, CAST(2 AS smallint) AS state
            FROM ({entries_then(bench)}) e JOIN recon_accounts a ON a.account_id = e.account_id AND a.by_books
            JOIN refunds_refund known ON known.account_id = e.account_id
                AND known.connector_refund_id = e.connector_refund_id
            JOIN ({_known_refunds(bench)}) r ON r.id = known.id
            WHERE {persons.not_vouched(bench, entry="e.id")}""",
    )  # fmt: skip
    persons.link_accepted(bench, "recon_entry_links", "entry_id", "refund_id")


def _known_refunds(bench: Workbench) -> str:
    return f"SELECT id FROM ({refunds_then(bench)}) then_known"


def find_odd(bench: Workbench) -> None:
    """recon_odd: the refunds that are looked at closely: not clean, several lines, several refunds of one payment."""
    # All accounts and times: so the index on the payment answers it alone, in its own order.
    bench.make(
        "recon_payments",
        """SELECT connector_transaction_id FROM refunds_refund WHERE connector_transaction_id <> ''
            GROUP BY connector_transaction_id HAVING count(*) > 1""",
    )
    entries = entries_then(bench)
    vouched = f"UNION {persons.refunds_vouched_for(bench)}" if bench.vouched else ""
    bench.make(
        "recon_odd",
        f"""SELECT refund_id FROM recon_rest WHERE inside AND NOT clean AND refund_id IS NOT NULL
            UNION SELECT refund_id FROM ({_clean_twice()}) d
            UNION SELECT r.id FROM refunds_refund r JOIN recon_payments p
                ON p.connector_transaction_id = r.connector_transaction_id
                WHERE r.account_id IN {bench.accounts} AND r.created_at >= %(far_since)s
                    AND r.created_at < %(far_until)s
            UNION SELECT refund_id FROM recon_line_links
                WHERE refund_id IN (SELECT refund_id FROM recon_rest WHERE inside)
                    OR line_id IN (SELECT line_id FROM recon_rest WHERE inside)
            UNION SELECT refund_id FROM recon_entry_links
                WHERE entry_id IN (SELECT e.id FROM ({entries}) e WHERE {_inside("e.booked_at")}) {vouched}""",
        "refund_id",
    )  # fmt: skip


def _clean_twice() -> str:
    """Refunds with two clean lines. They stand beside each other in the order of their ids, in which most of the table
    lies anyway: grouping a million of them would take three times as long."""
    return (
        "SELECT refund_id FROM (SELECT refund_id, LAG(refund_id) OVER (ORDER BY refund_id) AS before "
        "FROM recon_joined WHERE clean) ordered WHERE refund_id = before"
    )
