"""The unified refund report: the same columns for every processor, sums per currency only, no customer data."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import BigIntegerField, Case, CharField, Count, F, Sum, When

from connectors.contract import Money, Status
from connectors.models import ConnectorAccount
from connectors.money import MoneyError, exponent, to_major
from refunds.models import Refund, RefundQuerySet
from refunds.pages.forms import Basis

FIRST_ROWS = 25
_READ_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Period:
    """Days in a named zone, both of them inside, by one of a refund's dates."""

    basis: Basis
    since: dt.date
    until: dt.date
    zone: zoneinfo.ZoneInfo

    @property
    def begins_at(self) -> dt.datetime:
        return dt.datetime.combine(self.since, dt.time(), tzinfo=self.zone)

    @property
    def ends_at(self) -> dt.datetime:
        """The first moment that is not in the period."""
        return dt.datetime.combine(self.until + dt.timedelta(days=1), dt.time(), tzinfo=self.zone)

    @property
    def column(self) -> str:
        return {Basis.CREATED: "created_at", Basis.PROCESSED: "as_of", Basis.UPDATED: "updated_at"}[self.basis]

    @property
    def file_name(self) -> str:
        zone = self.zone.key.replace("/", "-")
        return f"refunds-{self.basis}-{self.since}-to-{self.until}-{zone}.csv"


def period_of(wanted: Mapping[str, Any]) -> Period:
    """The period of a valid ReportForm's cleaned data."""
    return Period(Basis(wanted["basis"]), wanted["since"], wanted["until"], wanted["zone"])


def matching(refunds: RefundQuerySet, wanted: Mapping[str, Any]) -> RefundQuerySet:
    """The refunds of a valid ReportForm's cleaned data, in the report's order."""
    period = period_of(wanted)
    within = {f"{period.column}__gte": period.begins_at, f"{period.column}__lt": period.ends_at}
    found = refunds.filter(**within)
    if period.basis is Basis.PROCESSED:
        found = found.exclude(status=Status.PENDING)
    if wanted["status"]:
        found = found.filter(status__in=wanted["status"])
    if wanted["account"]:
        found = found.filter(account__in=wanted["account"])
    return found.order_by(f"-{period.column}", "-id")


# The file.


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its header (`{zone}` stands for the report's time zone) and how a refund fills it."""

    header: str
    value: Callable[[Refund], Any]


def _major(minor_amount: int | None, currency: str, account: ConnectorAccount) -> str:
    if minor_amount is None or not currency:
        return ""
    exceptions = account.connector_class.currency_exponents
    try:
        places = exponent(currency, exceptions)
    except MoneyError:
        return ""
    return f"{to_major(Money(minor_amount, currency), exceptions):.{places}f}"


COLUMNS = (
    Column("account", lambda r: r.account.name),
    Column("processor", lambda r: r.account.connector_class.label),
    Column("environment", lambda r: r.account.environment),
    Column("refund_id", lambda r: r.connector_refund_id),
    Column("payment_id", lambda r: r.connector_transaction_id),
    Column("other_payment_id", lambda r: r.other_transaction_id),
    Column("merchant_refund_id", lambda r: r.merchant_refund_id),
    Column("merchant_order_id", lambda r: r.merchant_order_id),
    Column("status", lambda r: r.status),
    Column("stage", lambda r: r.stage_word),
    Column("processor_status", lambda r: r.native_status),
    Column("returned_after_success", lambda r: "yes" if r.returned_after_success else "no"),
    Column("amount (major units of currency)", lambda r: _major(r.minor_amount, r.currency, r.account)),
    Column("currency (ISO 4217)", lambda r: r.currency),
    Column("minor_amount (the processor's smallest unit)", lambda r: r.minor_amount),
    Column(
        "claimed_amount (major units of claimed_currency)",
        lambda r: _major(r.claimed_minor_amount, r.claimed_currency, r.account),
    ),
    Column("claimed_currency (ISO 4217)", lambda r: r.claimed_currency),
    Column("created_at ({zone})", lambda r: r.created_at),
    Column("requested_at ({zone})", lambda r: r.requested_at),
    Column("registered_at ({zone})", lambda r: r.registered_at),
    Column("processed_at ({zone})", lambda r: r.processed_at),
    Column("updated_at ({zone})", lambda r: r.updated_at),
    Column("as_of ({zone})", lambda r: r.as_of),
    Column("checked_at ({zone})", lambda r: r.checked_at),
    Column("evidence", lambda r: r.source),
    Column("acquirer_reference_number", lambda r: r.acquirer_reference_number),
    Column("kind", lambda r: r.kind),
    Column("payment_method", lambda r: r.payment_method),
    Column("card_brand", lambda r: r.card_brand),
    Column("reason", lambda r: r.reason),
    Column("error_code", lambda r: r.error_code),
    Column("error_message", lambda r: r.error_message),
)

_UNREAD = ("sealed_customer", "customer_email_hash", "metadata", "attribute_keys", "card_last4")


def table(refunds: RefundQuerySet, zone: zoneinfo.ZoneInfo) -> Iterator[Sequence[Any]]:
    """The header and a row for each refund, read from the database as they are asked for."""
    yield [column.header.format(zone=zone.key) for column in COLUMNS]
    # A join would send each account again with every row.
    accounts = {account.pk: account for account in ConnectorAccount.objects.all()}
    for refund in refunds.defer(*_UNREAD).iterator(chunk_size=_READ_AT_ONCE):
        refund.account = accounts[refund.account_id]
        yield [_cell(column.value(refund), zone) for column in COLUMNS]


def _cell(value: Any, zone: zoneinfo.ZoneInfo) -> Any:
    """A moment is written with its offset, so that it stays true in the hour that comes twice in autumn."""
    return value.astimezone(zone).isoformat(timespec="seconds") if isinstance(value, dt.datetime) else value


# The sums.


@dataclass(slots=True)
class Sums:
    """One line of the sums: how many refunds of each status, and how much; nothing where nobody knows an amount."""

    currency: str
    account: ConnectorAccount | None = None
    numbers: dict[Status, int] = field(default_factory=lambda: defaultdict(int))
    amounts: dict[Status, Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    @property
    def cells(self) -> list[tuple[int, str]]:
        """For each status in the order of STATUSES, and for all: how many, and how much."""
        shown = [(self.numbers[status], self._text(self.amounts[status])) for status in STATUSES]
        return [*shown, (sum(self.numbers.values()), self._text(sum(self.amounts.values(), Decimal())))]

    def _text(self, amount: Decimal) -> str:
        return f"{amount:,}" if self.currency else ""

    def add(self, other: Sums) -> None:
        for status in STATUSES:
            self.numbers[status] += other.numbers[status]
            self.amounts[status] += other.amounts[status]


STATUSES = (Status.SUCCEEDED, Status.PENDING, Status.FAILED)

_IS_SAID = When(processor_currency__gt="", then=F("processor_currency"))
_SHOWN_CURRENCY = Case(_IS_SAID, default=F("claimed_currency"), output_field=CharField())
_SHOWN_AMOUNT = Case(
    When(processor_currency__gt="", then=F("processor_minor_amount")),
    default=F("claimed_minor_amount"),
    output_field=BigIntegerField(),
)


_HALF = 1_000_000_000
"""Amounts are summed in two halves: two of the largest would overflow the integers of SQLite."""


def sums(refunds: RefundQuerySet) -> tuple[list[Sums], list[Sums]]:
    """Sums per account and currency, and per currency over all accounts: from one grouped query."""
    grouped = (
        refunds.order_by()
        .annotate(shown_currency=_SHOWN_CURRENCY, shown_amount=_SHOWN_AMOUNT)
        .values_list("account", "shown_currency", "status")
        .annotate(number=Count("id"), high=Sum(F("shown_amount") / _HALF), low=Sum(F("shown_amount") % _HALF))
    )
    accounts = {account.pk: account for account in ConnectorAccount.objects.all()}
    lines: dict[tuple[str, str], Sums] = {}
    for account_id, currency, status, number, high, low in grouped:
        account = accounts[account_id]
        line = lines.setdefault((account.name, currency), Sums(currency, account))
        line.numbers[Status(status)] += number
        if high is not None and currency:
            line.amounts[Status(status)] += _in_major_units(int(high) * _HALF + int(low), currency, account)
    per_account = [lines[key] for key in sorted(lines)]
    return per_account, _per_currency(per_account)


def _in_major_units(total: int, currency: str, account: ConnectorAccount) -> Decimal:
    return to_major(Money(total, currency), account.connector_class.currency_exponents)


def _per_currency(lines: Iterable[Sums]) -> list[Sums]:
    totals: dict[str, Sums] = {}
    for line in lines:
        totals.setdefault(line.currency, Sums(line.currency)).add(line)
    return [totals[currency] for currency in sorted(totals)]
