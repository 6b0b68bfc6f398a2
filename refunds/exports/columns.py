"""A column of a file: what it is called, what it reads, and how it is written. Each stands in one place only."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from connectors.models import ConnectorAccount
from refunds.exports.csvfile import Cells
from refunds.exports.presenting import Presenter, Text, View
from refunds.permissions import Action

_READ_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Column:
    """`heading` may say {zone}; `reads` names the query's fields, in the order in which `presenter` takes them."""

    heading: str
    reads: tuple[str, ...]
    presenter: Presenter = field(default_factory=Text)
    needs: Action | None = None
    """Who may not do this does not get the column."""
    counts: bool = True
    """Whether another value makes the row a changed one. What moves by itself (an age) does not; such columns come last
    and hold neither commas nor quotes."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a file is made of: a query of values, one for each of `fields` and in their order, and the columns over
    them. Where the rows are no query, `values` may be any iterable of such tuples.
    """

    fields: tuple[str, ...]
    columns: tuple[Column, ...]
    values: QuerySet[Any] | Iterable[Sequence[Any]]
    count: int
    """How many rows there are, for the progress; may be off by a few."""

    def headings(self, zone: zoneinfo.ZoneInfo) -> list[str]:
        return [column.heading.format(zone=zone.key) for column in self.columns]

    def present(self, values: Sequence[Any], view: View) -> Cells:
        given = dict(zip(self.fields, values, strict=True))
        return [column.presenter.text(view, *[given[name] for name in column.reads]) for column in self.columns]

    def presented(self, view: View) -> Iterator[Cells]:
        """All of them by Python, read from the database as they are asked for."""
        values = self.values.iterator(_READ_AT_ONCE) if isinstance(self.values, QuerySet) else self.values
        return (self.present(each, view) for each in values)

    @property
    def uncounted(self) -> int:
        """How many columns, the last ones, do not make a row a changed one."""
        return sum(not column.counts for column in self.columns)


def permitted(columns: Iterable[Column], sees: Iterable[str]) -> tuple[Column, ...]:
    """The columns for somebody who may do the actions of these names."""
    allowed = set(sees)
    return tuple(column for column in columns if column.needs is None or column.needs.name in allowed)


def fields_of(columns: Iterable[Column]) -> tuple[str, ...]:
    """Every field the columns read, once."""
    return tuple(dict.fromkeys(name for column in columns for name in column.reads))


def view_of(zone: zoneinfo.ZoneInfo, moment: dt.datetime, *, guards: bool = True) -> View:
    """The view of all accounts' rows in a zone."""
    accounts = ConnectorAccount.objects.only("pk", "connector")
    exponents = {account.pk: account.connector_class.currency_exponents for account in accounts}
    return View(zone, moment, exponents, guards)
