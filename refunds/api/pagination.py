"""Pages of refunds: newest first, each going on after the last row of the one before. Never counted, never OFFSET."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.core import signing
from rest_framework.request import Request

from refunds.api.errors import Invalid
from refunds.models import Refund, RefundQuerySet

DEFAULT_PAGE_SIZE, MAXIMUM_PAGE_SIZE = 50, 500
_SALT = "refunds.api.cursor"


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and the cursor of the page after them; None on the last one."""

    refunds: list[Refund]
    next_cursor: str | None


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
        raise Invalid({"cursor": "is not a cursor of this API; follow `next` as it is"}) from None
    return dt.datetime.fromisoformat(created_at), int(pk)
