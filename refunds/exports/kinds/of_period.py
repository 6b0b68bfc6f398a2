"""What a period was closed with: its roll-forward, a row a currency, and the items that were open then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import F, QuerySet

from connectors.models import ConnectorAccount
from refunds.exports.columns import Column, Rows, fields_of
from refunds.exports.kinds.base import BadFilter, ExportKind, Filters
from refunds.exports.presenting import Integer, MajorUnits, Moment, Text
from refunds.permissions import Action, Actor, accounts_of
from refunds.reconciliation.closing.rollforward import BUCKETS, Kind
from refunds.reconciliation.models import Closing, OpenItem, Period

_SUMS = ("opening", *(kind.value for kind in Kind), "closing", "open_items", "difference")


class OfPeriod(ExportKind):
    """Of the closing that holds: each version of the manifest has its own rows."""

    needs = Action.SEE_RECONCILIATION

    def accounts(self, filters: Filters, actor: Actor) -> QuerySet[ConnectorAccount]:
        period = Period.objects.visible_in(accounts_of(actor)).filter(pk=filters["period"]).first()
        if period is None:
            raise BadFilter(f"there is no period {filters['period']}, or you may not see it")
        if period.closing_id is None:
            raise BadFilter(f"period {period.pk} is open: close it first")
        return ConnectorAccount.objects.filter(pk=period.account_id)

    def file_stem(self, filters: Filters) -> str:
        return f"{self.name}-of-period-{filters['period']}-{filters['zone'].replace('/', '-')}"

    def described(self, filters: Filters) -> list[tuple[str, str]]:
        return [("Period", str(filters["period"])), ("Time zone", str(filters["zone"]))]

    @staticmethod
    def closing(filters: Filters, accounts: list[int]) -> Closing | None:
        """None where it was reopened since it was asked for: then there are no rows."""
        period = Period.objects.filter(pk=filters["period"], account__in=accounts)
        return Closing.objects.filter(pk__in=period.values("closing")).select_related("period__account").first()


def _amount(name: str) -> Column:
    return Column(f"{name} (major units of currency)", (name, "currency", "account_id"), MajorUnits())


def _minor(name: str) -> Column:
    return Column(f"minor_{name} (the processor's smallest unit)", (name,), Integer())


_PERIOD = (
    Column("account", ("account",)),
    Column("period_from ({zone})", ("since",), Moment()),
    Column("period_until ({zone})", ("until",), Moment()),
    Column("manifest_version", ("version",), Integer()),
    Column("currency (ISO 4217)", ("currency",)),
)


def _period(closing: Closing) -> dict[str, Any]:
    period = closing.period
    return {
        "account": period.account.name, "account_id": period.account_id, "since": period.since, "until": period.until,
        "version": closing.version,
    }  # fmt: skip


class RollForward(OfPeriod):
    name = "rollforward"
    title = "Roll-forward of a period"

    _AGES = tuple(f"open_{bucket.replace(' ', '')}_days" for bucket in BUCKETS)
    _COLUMNS = (
        *_PERIOD,
        *(_amount(name) for name in _SUMS),
        Column("number_of_open_items", ("items",), Integer()),
        *(_amount(name) for name in _AGES),
        *(_minor(name) for name in _SUMS),
    )

    def rows(self, filters: Filters, accounts: list[int], sees: list[str]) -> Rows:
        closing = self.closing(filters, accounts)
        fields = fields_of(self._COLUMNS)
        lines = closing.rollforward if closing else []
        return Rows(fields, self._COLUMNS, self._values(closing, fields) if closing else [], count=len(lines))

    def _values(self, closing: Closing, fields: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
        for line in closing.rollforward:
            known = {**_period(closing), **line, **dict(zip(self._AGES, line["ages"], strict=True))}
            yield tuple(known[name] for name in fields)


class OpenItems(OfPeriod):
    name = "open_items"
    title = "Open items of a period"

    _COLUMNS = (
        *_PERIOD,
        Column("refund_or_entry", ("label",), Text()),
        Column("our_id", ("refund",), Integer()),
        Column("asked_for_at ({zone})", ("asked_at",), Moment()),
        _amount("in_transit"),
        _minor("in_transit"),
    )
    _FIELDS = {
        "account": F("closing__period__account__name"),
        "account_id": F("closing__period__account_id"),
        "since": F("closing__period__since"),
        "until": F("closing__period__until"),
        "version": F("closing__version"),
        "currency": F("currency"),
        "label": F("label"),
        "refund": F("refund_id"),
        "asked_at": F("since"),
        "in_transit": F("minor_amount"),
    }

    def rows(self, filters: Filters, accounts: list[int], sees: list[str]) -> Rows:
        closing = self.closing(filters, accounts)
        found = OpenItem.objects.filter(closing=closing) if closing else OpenItem.objects.none()
        fields = fields_of(self._COLUMNS)
        expressions: dict[str, Any] = {f"of_{name}": self._FIELDS[name] for name in fields}
        values = found.order_by("item", "currency").annotate(**expressions).values_list(*expressions)
        return Rows(fields, self._COLUMNS, values, count=found.count())
