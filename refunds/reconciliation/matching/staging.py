"""The parties as they were at the run's moment: accounts and their terms, the refunds, the lines, the entries."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from connectors.models import ConnectorAccount
from refunds import history
from refunds.facts import CLAIM_KEY, State
from refunds.models import Observation, Refund
from refunds.reconciliation.matching.workbench import Workbench
from refunds.reconciliation.models import AccountTerms
from refunds.reconciliation.tolerance import FAR_AHEAD, LONG_AGO, Terms, in_force, spans

_AT_ONCE = 500

REFUND_SIDE = {
    "id": "bigint", "account_id": "bigint", "connector_refund_id": "text", "created_at": "timestamptz",
    "asked_at": "timestamptz", "has_r": "boolean", "has_p": "boolean", "stage": "smallint", "source": "text",
    "returned": "boolean", "success_key": "text", "failure_key": "text", "claimed_minor_amount": "bigint",
    "claimed_currency": "text", "claimed_status": "text", "processor_minor_amount": "bigint",
    "processor_currency": "text", "payment_minor_amount": "bigint", "payment_currency": "text",
    "connector_transaction_id": "text", "other_transaction_id": "text", "merchant_refund_id": "text",
    "merchant_order_id": "text", "acquirer_reference_number": "text", "last_answer": "text",
}  # fmt: skip
"""What a run looks at of a refund, as it was then."""

_FROM_ROW = {
    "asked_at": "COALESCE(r.requested_at, r.created_at)",
    "has_p": f"(r.winning_key > '{CLAIM_KEY}')",
    "returned": "r.returned_after_success",
    "success_key": "CASE WHEN r.first_success_key <> '' THEN r.first_success_key ELSE r.first_accepted_key END",
    "failure_key": "r.first_failure_key",
}


def stage_accounts(bench: Workbench) -> None:
    """recon_accounts, one row each; recon_terms, one for each span of an account's terms."""
    accounts = list(ConnectorAccount.objects.filter(pk__in=bench.account_ids).order_by("pk"))
    agreed: dict[int, list[Terms]] = defaultdict(list)
    for terms in AccountTerms.objects.filter(account__in=accounts, since__lt=FAR_AHEAD, since__gt=LONG_AGO):
        agreed[terms.account_id].append(terms.as_terms())
    by_books = set(_with_books(bench))
    bench.groups["by_books"] = sorted(by_books)
    bench.groups["accepted"] = [account.pk for account in accounts if account.accepted_is_success]
    bench.groups["hears"] = [a.pk for a in accounts if a.endpoints.filter(enabled=True).exists()]
    bench.groups["fees"] = [pk for pk, theirs in agreed.items() if any(t.fee_fixed is not None for t in theirs)]
    bench.make_empty("recon_accounts", {
        "account_id": "bigint", "by_books": "boolean", "accepted_is_success": "boolean",
        "own_since": "timestamptz", "own_until": "timestamptz",
    })  # fmt: skip
    bench.fill("recon_accounts", [
        (
            account.pk, account.pk in by_books, account.accepted_is_success,
            own_bound(bench.run_row.since, in_force(agreed[account.pk], bench.run_row.since)),
            own_bound(bench.run_row.until, in_force(agreed[account.pk], bench.run_row.until)),
        )
        for account in accounts
    ])  # fmt: skip
    bench.know("recon_accounts")
    _stage_terms(bench, {account.pk: agreed[account.pk] for account in accounts})


def _with_books(bench: Workbench) -> list[int]:
    """Accounts whose books were handed in for the period: these are their own word then, not the registration."""
    found = bench.rows(
        f"SELECT DISTINCT account_id FROM reconciliation_ledgerentry WHERE account_id IN {bench.accounts} AND kind = 1 "
        "AND booked_at >= %(since)s AND booked_at < %(until)s AND received_at <= %(as_of)s"
    )  # fmt: skip
    return [account_id for (account_id,) in found]


def own_bound(bound: dt.datetime, terms: Terms) -> dt.datetime:
    """Where a period's bound lies by the account's own clock: the same day there, at its cut-off."""
    day = bound.astimezone(dt.UTC).replace(tzinfo=None)
    if day.time() != dt.time(0):
        return bound
    local = dt.datetime.combine(day.date(), terms.cut_off, tzinfo=zoneinfo.ZoneInfo(terms.time_zone))
    return local.astimezone(dt.UTC)


def _stage_terms(bench: Workbench, agreed: dict[int, list[Terms]]) -> None:
    as_of = bench.run_row.as_of
    bench.make_empty("recon_terms", {
        "account_id": "bigint", "since": "timestamptz", "until": "timestamptz", "books_below": "bigint",
        "books_above": "bigint", "settled_below": "bigint", "settled_above": "bigint", "rounding_most": "bigint",
        "fx_basis_points": "bigint", "grace_hours": "integer", "settle_days": "integer", "bank_days": "integer",
        "stuck_days": "integer", "grace_cut": "timestamptz", "settle_key": "text", "stuck_cut": "timestamptz",
        "fee_fixed": "bigint", "fee_basis_points": "bigint", "fee_currency": "text",
    })  # fmt: skip
    bench.fill("recon_terms", [
        (
            account_id, since, until, terms.books_below, terms.books_above, terms.settled_below, terms.settled_above,
            terms.rounding_most, terms.fx_basis_points, terms.grace_hours, terms.settles_within_days, terms.bank_days,
            terms.stuck_after_days, as_of - dt.timedelta(hours=terms.grace_hours),
            _key(as_of - dt.timedelta(days=terms.settles_within_days)),
            as_of - dt.timedelta(days=terms.stuck_after_days), terms.fee_fixed, terms.fee_basis_points,
            terms.fee_currency,
        )
        for account_id, theirs in agreed.items() for since, until, terms in spans(theirs)
    ])  # fmt: skip
    bench.know("recon_terms")


def _key(moment: dt.datetime) -> str:
    """The least merge key of a moment, so that keys can be compared with it without being read."""
    return f"{max((moment - LONG_AGO) // dt.timedelta(microseconds=1), 0):017d}"


# The refunds.


def stage_changes(bench: Workbench) -> None:
    """recon_then: refunds of which something was learned only after the run's moment, as they were at that moment.

    All others are as their row shows them. The same fold decides as for "what we knew then" on a refund's page.
    """
    wanted = f"r.account_id IN {bench.accounts} AND r.created_at >= %(far_since)s AND r.created_at < %(far_until)s"
    # A registration also changes what is shown, and for that there is an index.
    bench.make(
        "recon_changed",
        f"""SELECT r.id AS refund_id FROM refunds_observation o JOIN refunds_refund r ON r.id = o.refund_id
                WHERE o.last_received_at > %(as_of)s AND {wanted}
            UNION SELECT r.id FROM refunds_refund r
                WHERE r.updated_at > %(as_of)s AND r.registered_at > %(as_of)s AND {wanted}""",
    )
    bench.make_empty("recon_then", REFUND_SIDE)
    last = 0
    while ids := bench.rows(
        f"SELECT refund_id FROM recon_changed WHERE refund_id > %(last)s ORDER BY refund_id LIMIT {_AT_ONCE}", last=last
    ):
        last = ids[-1][0]
        bench.fill("recon_then", _as_they_were([pk for (pk,) in ids], bench))
    bench.know("recon_then")


def _as_they_were(ids: Sequence[int], bench: Workbench) -> list[tuple[Any, ...]]:
    as_of = bench.run_row.as_of
    observed: dict[int, list[Observation]] = defaultdict(list)
    for observation in Observation.objects.filter(refund_id__in=ids, received_at__lte=as_of).order_by("id"):
        observed[observation.refund_id].append(observation)
    by_books = set(bench.groups["by_books"])
    rows = []
    for refund in Refund.objects.filter(pk__in=ids).select_related("account").order_by("pk"):
        registered = refund.registered_at is not None and refund.registered_at <= as_of
        if registered or observed[refund.pk]:
            state = history.fold(observed[refund.pk], known_at=as_of)
            rows.append(_row(refund, state, observed[refund.pk], registered, refund.account_id in by_books))
    return rows


def _row(
    refund: Refund, state: State, observed: Sequence[Observation], registered: bool, by_books: bool
) -> tuple[Any, ...]:
    """The columns of REFUND_SIDE. What our own side said of the refund counts only if it had said it by then."""
    told = state.attributes
    amount, currency = told.get("amount", (None, ""))

    def attribute(name: str) -> Any:
        ours = getattr(refund, name) if registered else ""
        return ours if ours and name.startswith("merchant_") else told.get(name, ours)

    first_told = min((each.as_of for each in observed), default=refund.created_at)
    created_at = dt.datetime.fromisoformat(told["created_at"]) if "created_at" in told else first_told
    if registered and refund.requested_at and "created_at" not in told:
        created_at = refund.requested_at
    returned = state.returned_after_success(accepted_is_success=refund.account.accepted_is_success)
    return (
        refund.pk, refund.account_id, refund.connector_refund_id, created_at,
        refund.requested_at if registered and refund.requested_at else created_at,
        registered and not by_books, state.winning_key > CLAIM_KEY, state.stage.value, state.source.value, returned,
        state.first_success_key or state.first_accepted_key, state.first_failure_key,
        refund.claimed_minor_amount if registered else None, refund.claimed_currency if registered else "",
        refund.claimed_status if registered else "", amount, currency,
        refund.payment_minor_amount if registered else None, refund.payment_currency if registered else "",
        attribute("connector_transaction_id"), told.get("other_transaction_id", ""),
        attribute("merchant_refund_id"), attribute("merchant_order_id"), told.get("acquirer_reference_number", ""),
        refund.last_answer,
    )  # fmt: skip


def refunds_then(bench: Workbench) -> str:
    """The refunds as they were, as a query of the columns of REFUND_SIDE."""
    from_row = {**_FROM_ROW, "has_r": f"(r.registered_at IS NOT NULL AND NOT {bench.among('by_books')})"}
    columns = ", ".join(f"{from_row.get(name, 'r.' + name)} AS {name}" for name in REFUND_SIDE)
    rows = (
        f"SELECT {columns} FROM refunds_refund r WHERE r.account_id IN {bench.accounts} "
        "AND r.created_at >= %(far_since)s AND r.created_at < %(far_until)s "
        f"AND (r.winning_key > '{CLAIM_KEY}' OR r.registered_at IS NOT NULL)"
    )  # fmt: skip
    if not bench.count("recon_changed"):
        return rows
    changed = "SELECT 1 FROM recon_changed c WHERE c.refund_id = r.id"
    return f"{rows} AND NOT EXISTS ({changed}) UNION ALL SELECT {', '.join(REFUND_SIDE)} FROM recon_then"


RECEIVED = "l.received_at <= %(as_of)s AND l.booked_at >= %(far_since)s AND l.booked_at < %(far_until)s"


def lines_then(bench: Workbench) -> str:
    """The settled lines that had been received."""
    return f"SELECT l.* FROM reconciliation_settledline l WHERE l.account_id IN {bench.accounts} AND {RECEIVED}"


def entries_then(bench: Workbench, kind: int = 1) -> str:
    """The entries of our books that had been received."""
    return (
        f"SELECT e.* FROM reconciliation_ledgerentry e WHERE e.account_id IN {bench.accounts} AND e.kind = {kind} "
        "AND e.received_at <= %(as_of)s AND e.booked_at >= %(far_since)s AND e.booked_at < %(far_until)s"
    )  # fmt: skip
