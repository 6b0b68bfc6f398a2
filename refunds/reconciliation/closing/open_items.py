"""The second way: what is open at a moment, from what each refund showed then. It knows no flows and no period before.

Refunds of which nothing was said since are taken as their row shows them; the others are folded from their log by the
same merge rule that shows them on their page.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from connectors.contract import Stage
from refunds import facts
from refunds.facts import CLAIM_KEY, Observed, Standing, State
from refunds.models import Observation, Refund
from refunds.reconciliation.closing.states import ENDED, Cut, clearable
from refunds.reconciliation.matching.workbench import Workbench
from refunds.reconciliation.tolerance import LONG_AGO
from refunds.services.registration import claimed_stage

_AT_ONCE = 500
_SHOWN = {
    "item": "text", "refund_id": "bigint", "shown_at": "timestamptz", "currency": "text", "minor_amount": "bigint",
    "by_books": "bigint", "ended": "integer", "succeeded": "integer",
}  # fmt: skip
_COUNTED = frozenset({Standing.COUNTED.value, Standing.UNRECOGNIZED.value})
_ENDED = frozenset({Stage.VOIDED, Stage.CANCELED, Stage.FAILED, Stage.RETURNED})


def stage(bench: Workbench, name: str, cut: Cut) -> None:
    """recon_shown, and recon_open: item, currency, and what of it is open. Of recon_NAME_* it takes only which entry
    and line belongs to which item, and what was decided."""
    bench.make_empty("recon_shown", _SHOWN)
    bench.parameters["cut_key"] = f"{max((cut.until - LONG_AGO) // dt.timedelta(microseconds=1), 0):017d}"
    bench.do(f"INSERT INTO recon_shown {_by_row(bench)}")
    _fold_others(bench, cut)
    bench.do("DELETE FROM recon_shown WHERE shown_at >= %(cut_until)s")
    bench.know("recon_shown", "item")
    bench.make("recon_open", _open(bench, name, cut))


_REGISTERED = "(r.registered_at IS NOT NULL AND r.registered_at <= %(cut_known)s)"


def _untouched(bench: Workbench) -> str:
    """Whether a row shows what it showed then. Asked in the statement that reads it, so nothing comes between."""
    return (
        "r.winning_key < %(cut_key)s AND (r.registered_at IS NULL OR r.registered_at <= %(cut_known)s) "
        "AND NOT EXISTS (SELECT 1 FROM refunds_observation o WHERE o.refund_id = r.id "
        "AND (o.last_received_at > %(cut_known)s OR o.last_as_of >= %(cut_until)s))"
    )


def _by_row(bench: Workbench) -> str:
    success = "r.first_success_key <> ''"
    if bench.groups["accepted"]:
        success += " OR r.first_accepted_key <> ''"
    claimed = "r.processor_currency = ''"
    return f"""
        SELECT 'r' || r.connector_refund_id, r.id,
            CASE WHEN {_REGISTERED} THEN COALESCE(r.requested_at, r.created_at) ELSE r.created_at END,
            CASE WHEN {claimed} THEN r.claimed_currency ELSE r.processor_currency END,
            CASE WHEN {claimed} THEN r.claimed_minor_amount ELSE r.processor_minor_amount END,
            CASE WHEN {claimed} THEN 1 ELSE 0 END,
            CASE WHEN r.stage IN {ENDED} THEN 1 ELSE 0 END,
            CASE WHEN r.stage <> 5 AND r.winning_key > '{CLAIM_KEY}' AND ({success}) THEN 1 ELSE 0 END
        FROM refunds_refund r WHERE r.account_id IN {bench.accounts} AND (r.registered_at IS NOT NULL
            OR r.winning_key > '{CLAIM_KEY}') AND {_untouched(bench)}"""


def _fold_others(bench: Workbench, cut: Cut) -> None:
    last = 0
    others = f"""SELECT r.id FROM refunds_refund r WHERE r.account_id IN {bench.accounts} AND r.id > %(last)s
        AND NOT EXISTS (SELECT 1 FROM recon_shown s WHERE s.refund_id = r.id) AND ({_REGISTERED} OR EXISTS (
            SELECT 1 FROM refunds_observation o WHERE o.refund_id = r.id AND o.received_at <= %(cut_known)s))
        ORDER BY r.id LIMIT {_AT_ONCE}"""
    bench.know("recon_shown", "refund_id")
    while ids := [pk for (pk,) in bench.rows(others, last=last)]:
        last = ids[-1]
        bench.fill("recon_shown", _folded(ids, cut))


def _folded(ids: Sequence[int], cut: Cut) -> list[tuple[Any, ...]]:
    said: dict[int, list[Observed]] = defaultdict(list)
    log = Observation.objects.filter(refund_id__in=ids, received_at__lte=cut.known, standing__in=_COUNTED)
    for observation in log.order_by("id"):
        said[observation.refund_id] += [o for o in observation.as_observed() if o.received_at <= cut.known]
    rows = []
    for refund in Refund.objects.filter(pk__in=ids).select_related("account").order_by("pk"):
        registered = refund.registered_at is not None and refund.registered_at <= cut.known
        heard = any(each.standing is Standing.COUNTED for each in said[refund.pk])
        if registered or heard:
            rows.append(_row(refund, said[refund.pk], registered, cut))
    return rows


def _row(refund: Refund, said: Sequence[Observed], registered: bool, cut: Cut) -> tuple[Any, ...]:
    told = facts.merge(State(), said).attributes
    then = facts.merge(State(), [each for each in said if each.as_of < cut.until])
    stage_then = then.stage
    if then.winning_key == CLAIM_KEY and registered:
        stage_then = claimed_stage(refund.claimed_status)
    amount, currency = told.get("amount", (None, ""))
    by_books = 0 if currency else 1
    if by_books:
        amount, currency = (refund.claimed_minor_amount, refund.claimed_currency) if registered else (None, "")
    first = min([refund.first_seen_at, *(o.as_of for o in said if o.standing is Standing.COUNTED)])
    made = dt.datetime.fromisoformat(told["created_at"]) if "created_at" in told else first
    success = then.first_success_key or (then.first_accepted_key if refund.account.accepted_is_success else "")
    went = then.winning_key > CLAIM_KEY and stage_then is not Stage.VOIDED and bool(success)
    return (
        f"r{refund.connector_refund_id}", refund.pk,
        refund.requested_at if registered and refund.requested_at else made, currency, amount or 0, by_books,
        int(stage_then in _ENDED), int(went),
    )  # fmt: skip


def _open(bench: Workbench, name: str, cut: Cut) -> str:
    """What is asked for and neither went nor ended; what came back is owed again. Beyond that nothing is in transit."""
    owed = f"""
        SELECT s.item, s.currency, s.minor_amount AS owed, s.ended, s.succeeded FROM recon_shown s
            WHERE s.currency <> '' AND (s.by_books = 0 OR NOT EXISTS (
                SELECT 1 FROM recon_{name}_entries e WHERE e.item = s.item))
        UNION ALL SELECT e.item, e.currency, CAST(SUM(e.minor_amount) AS bigint), COALESCE(MAX(s.ended), 0),
                COALESCE(MAX(s.succeeded), 0)
            FROM recon_{name}_entries e LEFT JOIN recon_shown s ON s.item = e.item
            WHERE s.item IS NULL OR s.by_books = 1 GROUP BY e.item, e.currency"""
    moved = f"""SELECT item, currency, CAST(SUM(CASE WHEN movement = 1 THEN minor_amount ELSE 0 END) AS bigint) AS went,
        CAST(SUM(CASE WHEN movement = 2 THEN minor_amount ELSE 0 END) AS bigint) AS back
        FROM recon_{name}_lines GROUP BY item, currency"""
    if cut.settled:
        went, back = "COALESCE(m.went, 0)", "COALESCE(m.back, 0)"
    else:
        went = "CASE WHEN o.succeeded = 1 THEN o.owed ELSE 0 END"
        back = "CASE WHEN o.succeeded = 1 AND o.ended = 1 THEN o.owed ELSE 0 END"
    rest = "CASE WHEN ended = 1 AND went < owed THEN back WHEN went - back >= owed THEN 0 ELSE owed - went + back END"
    return f"""
        SELECT * FROM (SELECT r.item, r.currency, r.rest - {clearable(bench, "r.rest", "r.back")} AS open
            FROM (SELECT item, currency, back, {rest} AS rest FROM (
                    SELECT o.item, o.currency, o.owed, o.ended, {went} AS went, {back} AS back
                    FROM ({owed}) o LEFT JOIN ({moved}) m ON m.item = o.item AND m.currency = o.currency
                    WHERE o.owed > 0) x) r
                LEFT JOIN recon_{name}_cleared c ON c.item = r.item AND c.currency = r.currency) y WHERE open <> 0"""
