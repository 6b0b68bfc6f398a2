"""What reconciliation knows of a refund, as expressions over refunds: our books' word, the rate, the open breaks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import (
    Aggregate,
    BigIntegerField,
    Case,
    CharField,
    Exists,
    F,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.lookups import Exact

from refunds.reconciliation.models import Break, BreakState, EntryKind, LedgerEntry, Run, RunState, SettledLine


class _Listed(Aggregate):
    """Numbers with commas between them, in any order."""

    function = "GROUP_CONCAT"
    output_field = CharField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(
            compiler, connection, function="STRING_AGG", template="STRING_AGG(%(expressions)s::text, ',')"
        )


def accounts_with_books() -> list[int]:
    """Accounts whose accounting has handed in entries: these are their books' word then, not the registrations."""
    entries = LedgerEntry.objects.filter(kind=EntryKind.REFUND).order_by()
    return sorted(entries.values_list("account_id", flat=True).distinct())


def books(with_entries: Collection[int]) -> dict[str, Combinable]:
    """Reference, amount and currency of a refund in our books: of the entries that name it by the processor's id, or,
    where an account's accounting hands none in, of its registration."""
    entries = LedgerEntry.objects.filter(
        ~Q(connector_refund_id=""), account=OuterRef("account"), connector_refund_id=OuterRef("connector_refund_id"),
        kind=EntryKind.REFUND,
    ).order_by().values("connector_refund_id")  # fmt: skip

    # A sum in two currencies is none.
    in_one = Exact(Min("currency"), Max("currency"))
    amount = Case(When(in_one, then=Sum("minor_amount")))

    def from_entries(what: Combinable) -> Subquery:
        return Subquery(entries.annotate(found=what).values("found"))

    def either(entry: Combinable, claimed: str, kind: Any) -> Case:
        return Case(When(account__in=sorted(with_entries), then=entry), default=F(claimed), output_field=kind)

    return {
        "books_reference": either(from_entries(Min("reference")), "merchant_refund_id", CharField()),
        "books_minor_amount": either(from_entries(amount), "claimed_minor_amount", BigIntegerField()),
        "books_currency": either(from_entries(Min("currency")), "claimed_currency", CharField()),
    }


def exchange_rate() -> Combinable:
    """The processor's own rate, of the newest booked line that has one; looked for only where currencies differ."""
    lines = SettledLine.objects.filter(
        account=OuterRef("account"), connector_refund_id=OuterRef("connector_refund_id"), exchange_rate__isnull=False
    )  # fmt: skip
    rate = Subquery(lines.order_by("-booked_at", "-id").values("exchange_rate")[:1])
    converted = ~Q(settlement_currency="") & ~Q(settlement_currency=F("processor_currency"))
    return Case(When(converted, then=rate))


def open_breaks_of_refund() -> QuerySet[Break]:
    """The open breaks of a refund (an outer query's row), as the newest finished run found them whose accounts and
    period hold it. What an older run found and this one did not has healed."""
    newest = Run.objects.filter(
        state=RunState.DONE, accounts=OuterRef(OuterRef("account")), since__lte=OuterRef(OuterRef("created_at")),
        until__gt=OuterRef(OuterRef("created_at")),
    )  # fmt: skip
    found = Break.objects.with_state().filter(Q(state=BreakState.OPEN), refund=OuterRef("pk"))
    return found.filter(run=Subquery(newest.order_by("-pk").values("pk")[:1])).order_by()


def has_open_break() -> Exists:
    return Exists(open_breaks_of_refund())


def open_break_codes() -> Subquery:
    """Their codes as numbers with commas between them, in any order."""
    listed = open_breaks_of_refund().values("refund").annotate(codes=_Listed("code"))
    return Subquery(listed.values("codes"), output_field=CharField())
