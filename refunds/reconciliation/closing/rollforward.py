"""The roll-forward: what was open, what came and went, what is open now; by its flows, and held against the open items.

A flow is the difference of an item between two moments: the end of the period before, as it was known when that was
closed, and the end of this one, as it is known now. So whatever was learned since posts here, also of what happened
before this period: such a flow is late, and its own time says which period it is of.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refunds.reconciliation.ageing import MONTH_END
from refunds.reconciliation.closing import open_items, states
from refunds.reconciliation.closing.states import Cut
from refunds.reconciliation.matching import staging
from refunds.reconciliation.matching.workbench import Workbench
from refunds.reconciliation.models import AccountTerms, Closing, Period
from refunds.reconciliation.tolerance import in_force

AT_ONCE = 5_000
NAMED = 20
"""How many items a blocker names; the others are counted."""
BUCKETS = (*(label for label, _ in MONTH_END), "> 90")


class Kind(enum.StrEnum):
    """A column of the roll-forward. Amounts carry the sign with which they change what is in transit."""

    REQUESTED = "requested"
    SETTLED = "settled"
    FAILED = "failed"
    RETURNED = "returned"
    AMOUNT = "amount"
    EXCESS = "excess"
    CLEARED = "cleared"
    RESTATED = "restated"

    @property
    def is_adjustment(self) -> bool:
        return self in ADJUSTMENTS


ADJUSTMENTS = (Kind.AMOUNT, Kind.EXCESS, Kind.CLEARED, Kind.RESTATED)
MEANINGS: Mapping[Kind, str] = {
    Kind.REQUESTED: "asked for, or first seen where nobody asked",
    Kind.SETTLED: "went with a booked line; without a settlement, by the processor's word",
    Kind.FAILED: "failed, was cancelled or voided before its money went",
    Kind.RETURNED: "came back after it had gone: it is owed again",
    Kind.AMOUNT: "the processor's amount is not the one that was asked for (B10 to B15, B20)",
    Kind.EXCESS: "more was settled than is owed, or what nobody asked for (B05, B10, B20)",
    Kind.CLEARED: "passed as rounding (B12), was written off, or came back and was dealt with otherwise (B31)",
    Kind.RESTATED: "what was known at the close before reads differently today",
}

_DELTAS = (
    (Kind.REQUESTED, "{n}.asked", "COALESCE(n.at, p.at)"),
    (Kind.FAILED, "-{n}.failed", "NULL"),
    (Kind.AMOUNT, "{n}.owed - {n}.asked", "NULL"),
    (Kind.EXCESS, "{n}.excess", "NULL"),
    (Kind.CLEARED, "-{n}.cleared", "NULL"),
)


def cuts(closing: Closing) -> tuple[Cut, Cut]:
    """The end of the period before, and the end of this one. An account's first period begins with what is known now
    of the time before it."""
    period, before = closing.period, closing.previous
    chain: list[int] = []
    earlier = before
    while earlier is not None:
        chain.append(earlier.run_id)
        earlier = earlier.previous
    now = Cut(
        until=period.until, known=closing.known_until, decided=closing.decided_until,
        settled="S" in closing.run.parties, runs=(*sorted(chain), closing.run_id),
    )  # fmt: skip
    if before is None:
        decided = min(period.since, closing.decided_until)
        return Cut(until=period.since, known=now.known, decided=decided, settled=now.settled), now
    return Cut(
        until=period.since, known=before.known_until, decided=before.decided_until, settled="S" in before.run.parties,
        runs=tuple(sorted(chain)),
    ), now  # fmt: skip


def work_out(bench: Workbench, closing: Closing) -> None:
    """recon_before and recon_after, both ends; recon_flows between them; recon_open, the second way."""
    before, after = cuts(closing)
    staging.stage_accounts(bench)
    states.stage(bench, "before", before)
    states.stage(bench, "after", after)
    open_items.stage(bench, "after", after)
    _stage_opening(bench, closing)
    bench.make("recon_flows", _flows(bench, closing))


def _stage_opening(bench: Workbench, closing: Closing) -> None:
    """recon_opening: as the close before kept it; before the first period, as it is worked out."""
    kept = "SELECT item, label, refund_id, currency, minor_amount AS open FROM reconciliation_openitem"
    if closing.previous_id is None:
        kept = "SELECT item, label, refund_id, currency, open FROM recon_before WHERE open <> 0"
        bench.make("recon_opening", kept)
    else:
        bench.make("recon_opening", f"{kept} WHERE closing_id = %(before)s", before=closing.previous_id)


def _flows(bench: Workbench, closing: Closing) -> str:
    """One row for each item, currency and kind; of lines, one each."""
    no_moment = f"CAST(NULL AS {bench.moment_type})"
    none = "CAST(NULL AS bigint)"
    both = "recon_after n FULL JOIN recon_before p ON p.item = n.item AND p.currency = n.currency"
    found = []
    for kind, value, at in _DELTAS:
        now, then = (f"COALESCE({value.format(n=table)}, 0)" for table in ("n", "p"))
        moment = no_moment if at == "NULL" else f"CASE WHEN p.item IS NULL THEN {at} ELSE {no_moment} END"
        found.append(
            f"""SELECT COALESCE(n.item, p.item) AS item, COALESCE(n.refund_id, p.refund_id) AS refund_id,
            COALESCE(n.label, p.label) AS label, {none} AS line_id, COALESCE(n.currency, p.currency) AS currency,
            '{kind}' AS kind, ({now}) - ({then}) AS minor_amount, {moment} AS at FROM {both}"""
        )
    found += _moved(closing)
    found.append(
        f"""SELECT COALESCE(p.item, o.item), COALESCE(p.refund_id, o.refund_id), COALESCE(p.label, o.label), {none},
            COALESCE(p.currency, o.currency), '{Kind.RESTATED}', COALESCE(p.open, 0) - COALESCE(o.open, 0), {no_moment}
            FROM recon_before p FULL JOIN recon_opening o ON o.item = p.item AND o.currency = p.currency"""
    )
    return f"SELECT * FROM ({' UNION ALL '.join(found)}) f WHERE f.minor_amount <> 0"


def _moved(closing: Closing) -> list[str]:
    """What went and came back: by line; where lines do not tell, by item."""
    before, after = cuts(closing)
    if before.settled and after.settled:
        return [
            f"""SELECT l.item, n.refund_id, COALESCE(n.label, l.label), l.line_id, l.currency, '{kind}',
            {sign}l.minor_amount, l.at FROM recon_after_lines l LEFT JOIN recon_after n
                ON n.item = l.item AND n.currency = l.currency
            WHERE l.movement = {movement} AND NOT EXISTS (
                SELECT 1 FROM recon_before_lines b WHERE b.line_id = l.line_id)"""
            for kind, sign, movement in ((Kind.SETTLED, "-", 1), (Kind.RETURNED, "", 2))
        ]
    return [
        f"""SELECT COALESCE(n.item, p.item), COALESCE(n.refund_id, p.refund_id), COALESCE(n.label, p.label),
        CAST(NULL AS bigint), COALESCE(n.currency, p.currency), '{kind}',
        {sign}(COALESCE(n.{column}, 0) - COALESCE(p.{column}, 0)), COALESCE(n.at, p.at)
        FROM recon_after n FULL JOIN recon_before p ON p.item = n.item AND p.currency = n.currency"""
        for kind, sign, column in ((Kind.SETTLED, "-", "went"), (Kind.RETURNED, "", "back"))
    ]


# What it adds up to.


def lines(bench: Workbench, closing: Closing) -> list[dict[str, Any]]:
    """One line a currency, with both sums, what came late, and how old the open items are."""
    sums = {(currency, kind): int(amount) for currency, kind, amount in bench.rows(
        "SELECT currency, kind, SUM(minor_amount) FROM recon_flows GROUP BY currency, kind"
    )}  # fmt: skip
    opening = _by_currency(bench, "recon_opening")
    by_items, late, ages = _by_currency(bench, "recon_open"), _late(bench, closing), _ages(bench, closing)
    found = []
    for currency in sorted({*opening, *by_items, *(currency for currency, _ in sums)}):
        flows = {kind.value: sums.get((currency, kind), 0) for kind in Kind}
        total = opening.get(currency, (0, 0))[0] + sum(flows.values())
        amount, items = by_items.get(currency, (0, 0))
        found.append({
            "currency": currency, "opening": opening.get(currency, (0, 0))[0], **flows, "closing": total,
            "open_items": amount, "items": items, "difference": total - amount,
            "late": late.get(currency, []), "ages": ages.get(currency, [0] * len(BUCKETS)),
        })  # fmt: skip
    return found


def _by_currency(bench: Workbench, table: str) -> dict[str, tuple[int, int]]:
    found = bench.rows(f"SELECT currency, SUM(open), count(*) FROM {table} GROUP BY currency")
    return {currency: (int(amount), int(items)) for currency, amount, items in found}


def _late(bench: Workbench, closing: Closing) -> dict[str, list[dict[str, Any]]]:
    """Flows of an earlier time, by the period that time lies in."""
    spans = list(Period.objects.filter(account=closing.period.account_id, until__lte=closing.period.since))
    found: dict[str, list[dict[str, Any]]] = {}
    for period in [*sorted(spans, key=lambda each: each.since), None]:
        since = period.since if period else None
        until = period.until if period else min((each.since for each in spans), default=closing.period.since)
        where = "at < %(late_until)s" + (" AND at >= %(late_since)s" if since else "")
        rows = bench.rows(
            "SELECT currency, kind, SUM(minor_amount), count(*) FROM recon_flows "
            f"WHERE {where} GROUP BY currency, kind ORDER BY currency, kind",
            late_until=until, late_since=since,
        )  # fmt: skip
        for currency, kind, amount, number in rows:
            found.setdefault(currency, []).append({
                "since": since.isoformat() if since else None, "until": until.isoformat(), "kind": kind,
                "minor_amount": int(amount), "flows": int(number),
            })  # fmt: skip
    return found


def _ages(bench: Workbench, closing: Closing) -> dict[str, list[int]]:
    """What is open, by how long it is overdue at the period's end: from when it should have been settled."""
    period = closing.period
    agreed = (each.as_terms() for each in AccountTerms.objects.filter(account=period.account_id))
    expected = dt.timedelta(days=in_force(agreed, period.until).settles_within_days)
    bounds = {
        f"age_{n}": period.until - dt.timedelta(days=last + 1) - expected for n, (_, last) in enumerate(MONTH_END)
    }
    young = " ".join(f"WHEN a.at > %(age_{n})s OR a.at IS NULL THEN {n}" for n in range(len(MONTH_END)))
    rows = bench.rows(
        f"""SELECT o.currency, CASE {young} ELSE {len(MONTH_END)} END AS bucket, SUM(o.open) FROM recon_open o
            LEFT JOIN recon_after a ON a.item = o.item AND a.currency = o.currency
            GROUP BY o.currency, CASE {young} ELSE {len(MONTH_END)} END""",
        **bounds,
    )
    found: dict[str, list[int]] = {}
    for currency, bucket, amount in rows:
        found.setdefault(currency, [0] * len(BUCKETS))[bucket] = int(amount)
    return found


# What does not agree.


@dataclass(frozen=True, slots=True)
class Difference:
    """An item of which the two ways say different things."""

    label: str
    currency: str
    by_flows: int
    by_items: int


def differences(bench: Workbench, currency: str) -> tuple[list[Difference], int]:
    """The items that make the difference, the largest first, up to NAMED; and how many there are."""
    apart = (
        "FROM (SELECT item, label, currency, open FROM recon_after WHERE open <> 0) n FULL JOIN recon_open o "
        "ON o.item = n.item AND o.currency = n.currency WHERE COALESCE(n.currency, o.currency) = %(currency)s "
        "AND COALESCE(n.open, 0) <> COALESCE(o.open, 0)"
    )
    rows = bench.rows(
        "SELECT COALESCE(n.label, substr(o.item, 2)), COALESCE(n.open, 0), COALESCE(o.open, 0) "
        f"{apart} ORDER BY ABS(COALESCE(n.open, 0) - COALESCE(o.open, 0)) DESC, 1 LIMIT {NAMED}",
        currency=currency,
    )
    [(number,)] = bench.rows(f"SELECT count(*) {apart}", currency=currency)
    return [Difference(label, currency, int(one), int(other)) for label, one, other in rows], int(number)


def restated(bench: Workbench) -> tuple[list[tuple[str, str, int]], int]:
    """Items that read differently today than when the period before was closed: label, currency, by how much."""
    where = f"FROM recon_flows WHERE kind = '{Kind.RESTATED}'"
    rows = bench.rows(
        f"SELECT label, currency, minor_amount {where} ORDER BY ABS(minor_amount) DESC, item LIMIT {NAMED}"
    )
    [(number,)] = bench.rows(f"SELECT count(*) {where}")
    return [(label, currency, int(amount)) for label, currency, amount in rows], int(number)


def pages_of(
    bench: Workbench, table: str, columns: Sequence[str], *, key: Sequence[str]
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a temporary table in the order of its key, some thousand at a time."""
    order, offset = ", ".join(key), 0
    bench.make(
        f"{table}_paged", f"SELECT ROW_NUMBER() OVER (ORDER BY {order}) AS nth, {', '.join(columns)} FROM {table}"
    )
    bench.know(f"{table}_paged", "nth")
    while rows := bench.rows(
        f"SELECT {', '.join(columns)} FROM {table}_paged WHERE nth > %(offset)s AND nth <= %(end)s ORDER BY nth",
        offset=offset, end=offset + AT_ONCE,
    ):  # fmt: skip
        yield rows
        offset += AT_ONCE
    bench.do(f"DROP TABLE {table}_paged")
