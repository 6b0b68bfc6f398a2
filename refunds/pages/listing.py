"""The refunds list: filters to a query, and keyset pages of it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.http import QueryDict

from refunds.models import Refund, RefundQuerySet
from refunds.pages.forms import STAGE_BY_WORD, FilterForm
from refunds.pages.queues import Queue

PAGE_SIZE = 50
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def matching(refunds: RefundQuerySet, wanted: Mapping[str, Any]) -> RefundQuerySet:
    """The refunds that match a valid FilterForm's cleaned data."""
    found = Queue(wanted["queue"]).of(refunds) if wanted["queue"] else refunds
    if wanted["account"]:
        found = found.filter(account=wanted["account"])
    if wanted["status"]:
        found = found.filter(status=wanted["status"])
    if wanted["stage"]:
        found = found.filter(stage=STAGE_BY_WORD[wanted["stage"]].value)
    if wanted["created_from"]:
        found = found.filter(created_at__gte=midnight(wanted["created_from"]))
    if wanted["created_until"]:
        found = found.filter(created_at__lt=midnight(wanted["created_until"] + dt.timedelta(days=1)))
    if currency := wanted["currency"]:
        found = found.filter(Q(processor_currency=currency) | Q(processor_currency="", claimed_currency=currency))
    if wanted["registered"]:
        found = found.filter(registered_at__isnull=wanted["registered"] == "no")
    return found


def midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is on: what it says, and the query string of the same list without it."""

    label: str
    value: str
    without: str


def chips(form: FilterForm, query: QueryDict) -> list[Chip]:
    """Every filter that is on, also one whose value was refused."""
    found = []
    for name, field in form.fields.items():
        given = query.get(name, "")
        if not given:
            continue
        rest = tidied(query, without=(name, "after", "before"))
        label = str(field.label or name.replace("_", " ").capitalize())
        shown = dict(getattr(field, "choices", ())).get(given, given) if name != "account" else given
        found.append(Chip(label, str(shown), rest.urlencode()))
    return found


def tidied(query: QueryDict, *, without: tuple[str, ...] = ()) -> QueryDict:
    """The query without these names, and without the fields that a form sent empty."""
    rest = query.copy()
    for name in query:
        if name in without or not query[name]:
            del rest[name]
    return rest


class CursorError(ValueError):
    """A page position that this program did not write."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The row that a page goes on from, in the order of `newest_first`."""

    created_at: dt.datetime
    pk: int

    def __str__(self) -> str:
        return f"{(self.created_at - _EPOCH) // _MICROSECOND}-{self.pk}"

    @classmethod
    def read(cls, text: str) -> Cursor:
        found = re.fullmatch(r"([0-9]{1,17})-([0-9]{1,18})", text)
        if not found:
            raise CursorError("This page address is damaged. Start again from the first page.")
        return cls(_EPOCH + int(found[1]) * _MICROSECOND, int(found[2]))


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, newest first, and where the pages beside it begin (None where there is none)."""

    rows: list[Refund]
    newer: Cursor | None
    older: Cursor | None


def page(refunds: RefundQuerySet, *, after: str = "", before: str = "", size: int = PAGE_SIZE) -> Page:
    """One keyset page: the rows after a cursor, those before one, or the first ones."""
    refunds = refunds.select_related("account")
    if before:
        return _page_before(refunds, Cursor.read(before), size)
    if after:
        cursor = Cursor.read(after)
        refunds = refunds.after(cursor.created_at, cursor.pk)
    rows = list(refunds.newest_first()[: size + 1])
    return _between(rows[:size], newer=bool(after), older=len(rows) > size)


def _page_before(refunds: RefundQuerySet, cursor: Cursor, size: int) -> Page:
    newer = Q(created_at__gt=cursor.created_at) | Q(created_at=cursor.created_at, id__gt=cursor.pk)
    # The first condition says nothing new; with it the database starts reading in the index instead of filtering.
    ascending = refunds.filter(newer, created_at__gte=cursor.created_at).order_by("created_at", "id")
    rows = list(ascending[: size + 1])
    return _between(rows[:size][::-1], newer=len(rows) > size, older=True)


def _between(rows: list[Refund], *, newer: bool, older: bool) -> Page:
    first, last = (Cursor(row.created_at, row.pk) for row in (rows[0], rows[-1])) if rows else (None, None)
    return Page(rows, first if newer else None, last if older else None)
