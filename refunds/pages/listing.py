"""The refunds list: filters to a query, and keyset pages of it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.db.models import Q
from django.http import QueryDict
from django.utils import timezone

from refunds.cases.filtering import Wanted, worked_on
from refunds.models import OutboxEvent, Refund, RefundQuerySet
from refunds.pages.forms import STAGE_BY_WORD
from refunds.pages.list_form import ME, NOBODY, RETURNED, ListForm
from refunds.pages.queues import Order, Queue
from refunds.pages.viewer import Viewer

PAGE_SIZE = 50
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def matching(refunds: RefundQuerySet, wanted: Mapping[str, Any], viewer: Viewer) -> RefundQuerySet:
    """The refunds that match a valid ListForm's cleaned data."""
    found = Queue(wanted["queue"]).of(refunds, viewer) if wanted["queue"] else refunds
    if wanted["account"]:
        found = found.filter(account=wanted["account"])
    if wanted["status"]:
        found = found.filter(status=wanted["status"])
    if wanted["stage"]:
        found = found.filter(stage=STAGE_BY_WORD[wanted["stage"]].value)
    if wanted["created_from"]:
        found = found.filter(created_at__gte=viewer.begin_of(wanted["created_from"]))
    if wanted["created_until"]:
        found = found.filter(created_at__lt=viewer.begin_of(wanted["created_until"] + dt.timedelta(days=1)))
    if currency := wanted["currency"]:
        found = found.filter(Q(processor_currency=currency) | Q(processor_currency="", claimed_currency=currency))
    if wanted["registered"]:
        found = found.filter(registered_at__isnull=wanted["registered"] == "no")
    found = _changed(found, wanted)
    return worked_on(found, _case_work(wanted, viewer))


def _changed(refunds: RefundQuerySet, wanted: Mapping[str, Any]) -> RefundQuerySet:
    """Exactly the refunds that a number on the home page counts."""
    if moment := wanted["stuck_since"]:
        refunds = refunds.stuck_since(moment, timezone.now())
    moment, became = wanted["changed_since"], wanted["changed_to"]
    if not moment:
        return refunds
    changes = OutboxEvent.objects
    news = changes.returned(since=moment) if became == RETURNED else changes.became(became, since=moment)
    return refunds.among(news.order_by().values_list("refund_id", flat=True))


def _case_work(wanted: Mapping[str, Any], viewer: Viewer) -> Wanted:
    follow_up, notes = wanted["follow_up"], wanted["notes"]
    return Wanted(
        assignee=viewer.user if wanted["assignee"] == ME else wanted["assignee_user"],
        nobody=wanted["assignee"] == NOBODY,
        tag=wanted["tag"],
        due_on=viewer.today if follow_up == "due" else None,
        follow_up={"set": True, "none": False}.get(follow_up),
        notes={"yes": True, "no": False}.get(notes),
    )


def order_of(wanted: Mapping[str, Any]) -> Order:
    """What was chosen, else what suits the queue."""
    if wanted["order"]:
        return Order(wanted["order"])
    return Queue(wanted["queue"]).order if wanted["queue"] else Order.NEWEST


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is on: what it says, and the query string of the same list without it."""

    label: str
    value: str
    without: str


def hiding(chips: Iterable[Chip], refunds: RefundQuerySet, viewer: Viewer) -> list[Chip]:
    """Those of an empty list's filters without each of which, the others kept, there are refunds to show."""
    found = []
    for chip in chips:
        form = ListForm(QueryDict(chip.without), user=viewer.user)
        if form.is_valid() and matching(refunds, form.cleaned_data, viewer).exists():
            found.append(chip)
    return found


def chips(form: forms.Form, query: QueryDict) -> list[Chip]:
    """Every filter that is on, also one whose value was refused."""
    found = []
    for name, field in form.fields.items():
        given = query.get(name, "")
        if not given:
            continue
        rest = tidied(query, without=(name, *_TOGETHER.get(name, ()), "after", "before"))
        label = str(field.label or name.replace("_", " ").capitalize())
        shown = dict(getattr(field, "choices", ())).get(given, given) if name != "account" else given
        found.append(Chip(label, str(shown), rest.urlencode()))
    return found


_TOGETHER = {"changed_since": ("changed_to",), "changed_to": ("changed_since",)}
"""Filters that say nothing one without the other."""


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
    """The row that a page goes on from: its place in the list's order, and its id."""

    at: dt.datetime
    pk: int

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // _MICROSECOND}-{self.pk}"

    @classmethod
    def read(cls, text: str) -> Cursor:
        found = re.fullmatch(r"([0-9]{1,17})-([0-9]{1,18})", text)
        if not found:
            raise CursorError("This page address is damaged. Start again from the first page.")
        return cls(_EPOCH + int(found[1]) * _MICROSECOND, int(found[2]))


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows in the list's order, and where the pages beside it begin (None where there is none)."""

    rows: list[Refund]
    previous: Cursor | None
    following: Cursor | None
    order: Order = Order.NEWEST

    @property
    def links(self) -> tuple[str, str]:
        """What the way back and the way on are called."""
        return _LINKS[self.order]


_LINKS = {Order.NEWEST: ("Newer", "Older"), Order.OLDEST: ("Older", "Newer"), Order.DUE: ("Due earlier", "Due later")}


def page(
    refunds: RefundQuerySet, *, after: str = "", before: str = "", size: int = PAGE_SIZE, order: Order = Order.NEWEST
) -> Page:
    """One keyset page: the rows after a cursor, those before one, or the first ones."""
    refunds = refunds.select_related("account").prefetch_related("case__assignee", "case__tags")
    if order is Order.DUE:
        refunds = refunds.filter(case__follow_up_on__isnull=False)
    backwards = bool(before)
    descending = (order is Order.NEWEST) is not backwards
    column = _COLUMNS[order]
    if place := before or after:
        refunds = _beyond(refunds, Cursor.read(place), column, descending=descending)
    sign = "-" if descending else ""
    rows = list(refunds.order_by(f"{sign}{column}", f"{sign}id")[: size + 1])
    more, rows = len(rows) > size, rows[:size]
    if backwards:
        return _between(rows[::-1], order, previous=more, following=True)
    return _between(rows, order, previous=bool(after), following=more)


_COLUMNS = {Order.NEWEST: "created_at", Order.OLDEST: "created_at", Order.DUE: "case__follow_up_on"}


def _beyond(refunds: RefundQuerySet, cursor: Cursor, column: str, *, descending: bool) -> RefundQuerySet:
    """The rows beyond this one in the order that they are read in."""
    way, place = ("lt" if descending else "gt"), _place(cursor, column)
    further = Q(**{f"{column}__{way}": place}) | Q(**{column: place, f"id__{way}": cursor.pk})
    # The other condition says nothing new; with it the database starts reading in the index instead of filtering.
    return refunds.filter(further, **{f"{column}__{way}e": place})


def _place(cursor: Cursor, column: str) -> dt.datetime | dt.date:
    return cursor.at if column == "created_at" else cursor.at.date()


def _cursor(row: Refund, order: Order) -> Cursor:
    if order is Order.DUE:
        assert row.case.follow_up_on is not None
        return Cursor(dt.datetime.combine(row.case.follow_up_on, dt.time(), tzinfo=dt.UTC), row.pk)
    return Cursor(row.created_at, row.pk)


def _between(rows: list[Refund], order: Order, *, previous: bool, following: bool) -> Page:
    first, last = (_cursor(rows[0], order), _cursor(rows[-1], order)) if rows else (None, None)
    return Page(rows, first if previous else None, last if following else None, order)
