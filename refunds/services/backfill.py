"""Backfill: list a span of creation times by hand, after an outage or for a new account.

Each page is recorded in one transaction with the cursor that follows it, so a backfill that is killed goes on where it
was, by itself.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from django.db import transaction
from django.utils import timezone

from connectors.contract import Answer, ConnectorError, NotSupported, Page, Window
from connectors.models import ConnectorAccount
from refunds.facts import Source
from refunds.models import AccountPolling, Backfill
from refunds.services.asking import ask
from refunds.services.polling import record_page, remember_windows
from refunds.services.recording import Recorded

OVERLAP = dt.timedelta(hours=24)
"""A backfill begins so much earlier than it was asked to: clocks differ, and outages begin before they are noticed."""


class AnotherIsAtIt(Exception):
    """The same backfill runs elsewhere at this moment."""


def backfill(
    account: ConnectorAccount,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    *,
    from_first_page: bool = False,
    progress: Callable[[Backfill], None] = lambda _: None,
) -> Backfill:
    """List every refund created in the span (until now, without an end), and record what is said of each.

    An unfinished backfill of the same `since` is gone on with, the newest one where none is given; `from_first_page`
    forgets how far it came. Raises the ConnectorError that stopped it; what was recorded stays. NotSupported where the
    processor cannot list, LookupError where there is nothing to go on with.
    """
    if not account.connector_class.supports("list_refunds"):
        label = account.connector_class.label
        raise NotSupported(
            f"{label} does not list refunds: import its status reports instead, with "
            f"`manage.py report import FILE --account {account}`"
        )
    row = _unfinished(account, since, until) or _begun(account, since, until)
    if from_first_page:
        row.cursor, row.pages, row.refunds, row.new, row.changed = "", 0, 0, 0, 0
        row.save()
    while row.finished_at is None:
        page = _page(row)
        with transaction.atomic(durable=True):
            _save(row, page.value, record_page(account, page, source=Source.LIST))
        progress(row)
    remember_windows(account, row.since, row.until)
    return row


def _unfinished(account: ConnectorAccount, since: dt.datetime | None, until: dt.datetime | None) -> Backfill | None:
    rows = Backfill.objects.filter(account=account, finished_at__isnull=True)
    if since is not None:
        rows = rows.filter(since=since)
    if until is not None:
        rows = rows.filter(until=until)
    return rows.select_related("account").first()


def _begun(account: ConnectorAccount, since: dt.datetime | None, until: dt.datetime | None) -> Backfill:
    if since is None:
        raise LookupError(f"there is no unfinished backfill of {account}; say --since")
    return Backfill.objects.create(account=account, since=since, until=until or timezone.now())


def _page(row: Backfill) -> Answer[Page]:
    window = Window(row.since - OVERLAP, row.until)
    AccountPolling.of(row.account).take_permits(1, per_second=row.account.requests_per_second, person=True)
    question = [lambda connector: connector.list_refunds(window, row.cursor or None)]
    [result] = ask(row.account, question, flow="backfill")
    if isinstance(result, ConnectorError):
        raise result
    return result


def _save(row: Backfill, page: Page, recorded: Recorded) -> None:
    """How far it came, within the page's transaction; two that run at once stop at the first page they share."""
    reached = Backfill.objects.filter(pk=row.pk, pages=row.pages, finished_at__isnull=True)
    row.pages += 1
    row.refunds += len(page.items)
    row.new += len(recorded.created)
    row.changed += len(recorded.changed - recorded.created)
    row.cursor = page.next_cursor or ""
    row.finished_at = timezone.now() if page.next_cursor is None else None
    names = ("pages", "refunds", "new", "changed", "cursor", "finished_at")
    if not reached.update(**{name: getattr(row, name) for name in names}):
        raise AnotherIsAtIt(f"another process goes on with backfill {row}")
