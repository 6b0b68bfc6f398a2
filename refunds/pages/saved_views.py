"""Saved views on the pages: their address, what they filter by, and how many refunds they show.

Counting is capped and remembered for a minute, and on PostgreSQL cut short: a view of rare refunds among ten million
may have no index, and no page waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlencode

from django.core.cache import cache
from django.db import OperationalError, connection, transaction
from django.http import QueryDict
from django.urls import reverse

from refunds.cases.models import SavedView
from refunds.models import RefundQuerySet
from refunds.pages import listing
from refunds.pages.list_form import ListForm
from refunds.pages.queues import capped_count, capped_text
from refunds.pages.viewer import Viewer
from refunds.permissions import refunds_of

COUNT_KEPT_SECONDS = 60
UNKNOWN_KEPT_SECONDS = 600
COUNT_MILLISECONDS = 150
_UNKNOWN = -1
_OF_A_PAGE = ("after", "before", "view")


@dataclass(frozen=True, slots=True)
class ShownView:
    """A view with what is wrong with its filters, if anything is, and its count: None where it is not known."""

    view: SavedView
    number: int | None
    problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def count(self) -> str:
        if self.problems:
            return "!"
        return capped_text(self.number) if self.number is not None else "…"

    @property
    def count_in_words(self) -> str:
        if self.problems:
            return "a filter of it does not work any more"
        if self.number is None:
            return "not counted: that would take too long"
        return f"{self.count} refund{'' if self.number == 1 else 's'}"

    @property
    def address(self) -> str:
        return address_of(self.view)


def address_of(view: SavedView) -> str:
    """The list with the view's filters; `view` says whose they are."""
    query = QueryDict(view.query, mutable=True)
    query["view"] = str(view.pk)
    return f"{reverse('refunds')}?{query.urlencode()}"


def filters_of(query: QueryDict) -> str:
    """The query string of a list's filters alone: what a view keeps."""
    return listing.tidied(query, without=_OF_A_PAGE).urlencode()


def same_filters(one: str, other: str) -> bool:
    return sorted(QueryDict(one).lists()) == sorted(QueryDict(other).lists())


def shown(views: Iterable[SavedView], viewer: Viewer) -> list[ShownView]:
    """Each with its count for this person."""
    return [_shown(view, viewer) for view in views]


def _shown(view: SavedView, viewer: Viewer) -> ShownView:
    form = ListForm(QueryDict(view.query), user=viewer.user)
    if not form.is_valid():
        return ShownView(view, None, form.problems())
    # People differ in what "me" and "today" mean to them.
    key = f"view-{view.pk}-{view.changed_at.timestamp()}-{viewer.user.pk}-{viewer.today}"
    number = cache.get(key)
    if number is None:
        number = _counted(listing.matching(refunds_of(viewer.user), form.cleaned_data, viewer))
        cache.set(key, number, UNKNOWN_KEPT_SECONDS if number == _UNKNOWN else COUNT_KEPT_SECONDS)
    return ShownView(view, None if number == _UNKNOWN else number)


def _counted(refunds: RefundQuerySet) -> int:
    if connection.vendor != "postgresql":
        return capped_count(refunds)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {COUNT_MILLISECONDS}")
            number = capped_count(refunds)
            # For whoever has a transaction around this one.
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
            return number
    except OperationalError:
        return _UNKNOWN


def list_address(**filters: str) -> str:
    """The list with these filters."""
    return f"{reverse('refunds')}?{urlencode(filters)}"
