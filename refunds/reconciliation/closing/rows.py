"""Plain rows of a roll-forward, for whoever writes them into a file: columns, and an iterator over them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from refunds.reconciliation.closing import rollforward
from refunds.reconciliation.closing.rollforward import BUCKETS, Kind
from refunds.reconciliation.matching.workbench import workbench
from refunds.reconciliation.models import Closing, OpenItem, Period

SUMMARY = (
    "account", "since", "until", "version", "currency", "opening", *(kind.value for kind in Kind), "closing",
    "open_items", "difference", "items", *(f"open_{bucket}" for bucket in BUCKETS),
)  # fmt: skip
"""One row a currency. Amounts in minor units, with the sign with which they change what is in transit."""

FLOWS = (
    "account", "since", "until", "version", "currency", "kind", "minor_amount", "item", "line_id", "happened_at",
    "original_since", "original_until",
)  # fmt: skip
"""One row for each flow. `original_*` name the period a late one is of by its own time; empty where it is of this one,
or of the time before the account's first period."""

OPEN = ("account", "until", "version", "currency", "minor_amount", "item", "refund_id", "asked_at")
"""One row for each item that was open at the close."""


def rollforward_rows(closing: Closing) -> Iterator[tuple[Any, ...]]:
    """The rows of SUMMARY, by currency."""
    period = closing.period
    for line in closing.rollforward:
        names = ("opening", *(kind.value for kind in Kind), "closing", "open_items", "difference", "items")
        yield (
            period.account.name, period.since, period.until, closing.version, line["currency"],
            *(line[name] for name in names), *line["ages"],
        )  # fmt: skip


def flow_rows(closing: Closing) -> Iterator[tuple[Any, ...]]:
    """The rows of FLOWS, worked out anew from what was known then, some thousand at a time."""
    period = closing.period
    start = (period.account.name, period.since, period.until, closing.version)
    earlier = list(Period.objects.filter(account=period.account_id, until__lte=period.since).order_by("since"))
    columns = ("currency", "kind", "minor_amount", "label", "line_id", "at")
    key = ("kind", "currency", "item", "COALESCE(line_id, 0)")
    with workbench(closing.run, [period.account_id]) as bench:
        rollforward.work_out(bench, closing)
        for page in rollforward.pages_of(bench, "recon_flows", columns, key=key):
            for *row, at in page:
                happened_at = _moment(at)
                yield (*start, *row, happened_at, *_original(earlier, period, happened_at))


def open_rows(closing: Closing) -> Iterator[tuple[Any, ...]]:
    """The rows of OPEN, as the closing kept them."""
    period = closing.period
    items = OpenItem.objects.filter(closing=closing).order_by("item", "currency")
    for item in items.iterator(chunk_size=rollforward.AT_ONCE):
        yield (
            period.account.name, period.until, closing.version, item.currency, item.minor_amount, item.label,
            item.refund_id, item.since,
        )  # fmt: skip


def _original(earlier: list[Period], period: Period, at: dt.datetime | None) -> tuple[Any, Any]:
    if at is None or at >= period.since:
        return None, None
    return next(((each.since, each.until) for each in earlier if each.since <= at < each.until), (None, None))


def _moment(value: Any) -> dt.datetime | None:
    """SQLite hands a moment of a temporary table out as its text, in UTC."""
    if value is None or isinstance(value, dt.datetime):
        return value
    return dt.datetime.fromisoformat(str(value)).replace(tzinfo=dt.UTC)
