"""Pages: each goes on after the last row of the one before. Never counted, never OFFSET."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.core import signing
from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from refunds.api.errors import Invalid
from refunds.api.inputs import QueryInteger, StrictSerializer, Text
from refunds.models import Refund, RefundQuerySet

NO_CURSOR = {"cursor": "is not a cursor of this API; follow `next` as it is"}
DEFAULT_PAGE_SIZE, MAXIMUM_PAGE_SIZE = 50, 500
_SALT = "refunds.api.cursor"


class PageQuery(StrictSerializer):
    cursor = Text(required=False, max_length=300, help_text="Taken from `next`.")
    page_size = QueryInteger(required=False, default=DEFAULT_PAGE_SIZE, min_value=1, max_value=MAXIMUM_PAGE_SIZE)


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and the cursor of the page after them; None on the last one."""

    refunds: list[Refund]
    next_cursor: str | None


def page_by_id(
    request: Request, found: QuerySet[Any], query: dict[str, Any], shown: type[Serializer[Any]], *, newest: bool = True
) -> Response:
    """The answer to a list of rows in the order of their ids: the newest first, or the oldest. A cursor is good for
    the list it came from."""
    if query.get("cursor"):
        last = id_of(request, query["cursor"])
        found = found.filter(pk__lt=last) if newest else found.filter(pk__gt=last)
    size = query["page_size"]
    rows = list(found.order_by("-pk" if newest else "pk")[: size + 1])
    link = next_link(request, cursor_of(request, rows[size - 1].pk) if len(rows) > size else None)
    return Response({"next": link, "results": shown(rows[:size], many=True).data})


def cursor_of(request: Request, last: int) -> str:
    return signing.dumps(last, salt=f"{_SALT}:{request.path}")


def id_of(request: Request, cursor: str) -> int:
    """The id that a cursor of this list goes on after; Invalid where it is not one."""
    try:
        return int(signing.loads(cursor, salt=f"{_SALT}:{request.path}"))
    except (signing.BadSignature, TypeError, ValueError):
        raise Invalid(NO_CURSOR) from None


def page_of(refunds: RefundQuerySet, *, cursor: str, size: int) -> Page:
    """The rows after the cursor (from the newest where it is empty). Invalid where it is not one of ours."""
    if cursor:
        refunds = refunds.after(*_opened(cursor))
    # Prefetched, not joined: the rows of a page share a few accounts, which carry sealed credentials.
    rows = list(refunds.newest_first().prefetch_related("account")[: size + 1])
    more = len(rows) > size
    return Page(rows[:size], _sealed(rows[size - 1]) if more else None)


def next_link(request: Request, cursor: str | None) -> str | None:
    """The address of the next page, with the same filters."""
    if cursor is None:
        return None
    query = request.query_params.copy()
    query["cursor"] = cursor
    return request.build_absolute_uri(f"{request.path}?{query.urlencode()}")


def _sealed(last: Refund) -> str:
    return signing.dumps([last.created_at.isoformat(), last.pk], salt=_SALT)


def _opened(cursor: str) -> tuple[dt.datetime, int]:
    try:
        created_at, pk = signing.loads(cursor, salt=_SALT)
    except signing.BadSignature:
        raise Invalid(NO_CURSOR) from None
    return dt.datetime.fromisoformat(created_at), int(pk)
