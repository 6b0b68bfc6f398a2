"""Backfill: list a span of creation times by hand, after an outage or for a new account.

Each page is recorded in one transaction with the cursor that follows it, so a backfill that is killed goes on where it
was, by itself.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from functools import partial

from django.db.models import Q
from django.utils import timezone

from connectors.contract import Answer, ConnectorError, NotSupported, Page, Unavailable, Window
from connectors.models import ConnectorAccount
from refunds.facts import Source
from refunds.models import AccountPolling, Backfill
from refunds.services.asking import ask
from refunds.services.creation_windows import remember_windows
from refunds.services.page_recording import Kept, keep_page

OVERLAP = dt.timedelta(hours=24)
"""A backfill begins so much earlier than it was asked to: clocks differ, and outages begin before they are noticed."""

LONGEST_WAIT_SECONDS = 600.0
"""How long a backfill waits where the processor asks for it; told to wait longer it ends, and is gone on with later."""
MOST_REFUSALS = 10
"""How often in a row a processor may tell us to wait with the same page."""

_COUNTED = ("pages", "refunds", "new", "changed", "not_recorded", "cursor", "finished_at")


EARLIEST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
LATEST = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


class SpanOutOfRange(ValueError):
    """A span of creation times in which no refund can lie."""


class AnotherIsAtIt(Exception):
    """The same backfill runs elsewhere at this moment."""


def backfill(
    account: ConnectorAccount,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    *,
    from_first_page: bool = False,
    begins: Callable[[Backfill], None] = lambda _: None,
    progress: Callable[[Backfill], None] = lambda _: None,
) -> list[Backfill]:
    """List every refund created in the span (until now, without an end), and record what is said of each.

    An unfinished backfill of the same `since` is gone on with, and then from its end to the one that is wanted now; so
    there may be two, in order. Without `since` the newest unfinished one is gone on with, to its own end.
    `from_first_page` forgets how far it came.

    It keeps to the account's limits as the poller does: it waits for the bucket, so that a person's question goes
    first, and as long as the processor asks for. Raises the ConnectorError that stopped it; what was recorded stays.
    SpanOutOfRange where the span begins before 2000 or in the future; NotSupported where the processor cannot list,
    LookupError where there is nothing to go on with.
    """
    if not account.connector_class.supports("list_refunds"):
        label = account.connector_class.label
        raise NotSupported(
            f"{label} does not list refunds: import its status reports instead, with "
            f"`manage.py report import FILE --account {account}`"
        )
    _refuse_out_of_range(since, until)
    wanted = until or timezone.now()
    row = _unfinished(account, since, until) or _begun(account, since, wanted)
    if from_first_page:
        row.cursor, row.pages, row.refunds, row.new, row.changed, row.not_recorded = "", 0, 0, 0, 0, 0
        row.save()
    done = [_list(row, begins=begins, progress=progress)]
    if since is not None and row.until < wanted:
        rest = Backfill.objects.create(account=account, since=row.until, until=wanted, asked_since=since)
        done.append(_list(rest, begins=begins, progress=progress))
    return done


def _refuse_out_of_range(since: dt.datetime | None, until: dt.datetime | None) -> None:
    if since is not None and not EARLIEST <= since <= timezone.now():
        raise SpanOutOfRange("the span must begin in 2000 or later, and not in the future")
    if until is not None and not EARLIEST < until <= LATEST:
        raise SpanOutOfRange("the span must end after 2000 and before 2100")


def _list(row: Backfill, *, begins: Callable[[Backfill], None], progress: Callable[[Backfill], None]) -> Backfill:
    account = row.account
    begins(row)
    while row.finished_at is None:
        page = _page(row)
        keep_page(account, page, source=Source.LIST, save=partial(_save, row, page.value), unless=(AnotherIsAtIt,))
        row.refresh_from_db(fields=_COUNTED)
        progress(row)
    return row


def _unfinished(account: ConnectorAccount, since: dt.datetime | None, until: dt.datetime | None) -> Backfill | None:
    rows = Backfill.objects.filter(account=account, finished_at__isnull=True)
    # A release before this one took any year.
    rows = rows.filter(since__gte=EARLIEST, until__lte=LATEST)
    if since is not None:
        rows = rows.filter(Q(since=since) | Q(asked_since=since))
    if until is not None:
        rows = rows.filter(until__lte=until)
    return rows.select_related("account").first()


def _begun(account: ConnectorAccount, since: dt.datetime | None, until: dt.datetime) -> Backfill:
    if since is None:
        raise LookupError(f"there is no unfinished backfill of {account}; say --since")
    return Backfill.objects.create(account=account, since=since, until=until)


def _page(row: Backfill) -> Answer[Page]:
    window = Window(row.since - OVERLAP, row.until)
    question = [lambda connector: connector.list_refunds(window, row.cursor or None)]
    refusals = 0
    while True:
        _wait_for_permit(row.account)
        [result] = ask(row.account, question, flow="backfill")
        if not isinstance(result, ConnectorError):
            return result
        refusals += 1
        if refusals == MOST_REFUSALS or not _worth_waiting(result):
            raise result


def _wait_for_permit(account: ConnectorAccount) -> None:
    while True:
        state = AccountPolling.of(account)
        wait = state.seconds_to_wait(timezone.now())
        if wait > LONGEST_WAIT_SECONDS:
            return  # Nothing will be sent, and `ask` says how long.
        if not wait and state.take_permits(1, per_second=account.requests_per_second):
            return
        time.sleep(min(wait or 1.0 / account.requests_per_second, 1.0))


def _worth_waiting(error: ConnectorError) -> bool:
    wait = error.retry_after_seconds if isinstance(error, Unavailable) else None
    return wait is not None and wait <= LONGEST_WAIT_SECONDS


def _save(row: Backfill, page: Page, kept: Kept) -> None:
    """How far it came, within the page's transaction; two that run at once stop at the first page they share."""
    reached = Backfill.objects.filter(pk=row.pk, pages=row.pages, finished_at__isnull=True)
    if not reached.update(
        pages=row.pages + 1,
        refunds=row.refunds + len(page.items),
        new=row.new + len(kept.created),
        changed=row.changed + len(kept.changed - kept.created),
        not_recorded=row.not_recorded + kept.not_recorded,
        cursor=page.next_cursor or "",
        finished_at=timezone.now() if page.next_cursor is None else None,
    ):
        raise AnotherIsAtIt(f"another process goes on with backfill {row}")
    if page.next_cursor is None:
        remember_windows(row.account, row.since, row.until)
