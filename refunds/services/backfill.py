"""Backfill: list a span of creation times by hand, after an outage or for a new account."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from django.db import transaction

from connectors.contract import Answer, ConnectorError, NotSupported, Page, Window
from connectors.models import ConnectorAccount
from refunds.facts import Source
from refunds.models import AccountPolling
from refunds.services.asking import ask
from refunds.services.polling import record_page, remember_windows


@dataclass(frozen=True, slots=True)
class BackfillProgress:
    """After each page: how many refunds were seen, how many of them are new or show a change, and the cursor."""

    pages: int
    refunds: int
    new: int
    changed: int
    next_cursor: str | None


def backfill(
    account: ConnectorAccount,
    since: dt.datetime,
    until: dt.datetime,
    *,
    cursor: str | None = None,
    progress: Callable[[BackfillProgress], None] = lambda _: None,
) -> BackfillProgress:
    """List every refund created in the span and record what is said of it; goes on from `cursor` where one is given.

    Raises the ConnectorError that stopped it; what was recorded stays. NotSupported where the processor cannot list.
    """
    if not account.connector_class.supports("list_refunds"):
        label = account.connector_class.label
        raise NotSupported(f"{label} does not list refunds: import its status reports instead")
    window = Window(since, until)
    done = BackfillProgress(0, 0, 0, 0, cursor)
    while True:
        page = _page(account, window, done.next_cursor)
        with transaction.atomic(durable=True):
            recorded = record_page(account, page, source=Source.LIST)
        done = BackfillProgress(
            pages=done.pages + 1,
            refunds=done.refunds + len(page.value.items),
            new=done.new + len(recorded.created),
            changed=done.changed + len(recorded.changed - recorded.created),
            next_cursor=page.value.next_cursor,
        )
        progress(done)
        if done.next_cursor is None:
            remember_windows(account, since, until)
            return done


def _page(account: ConnectorAccount, window: Window, cursor: str | None) -> Answer[Page]:
    AccountPolling.of(account).take_permits(1, per_second=account.requests_per_second, person=True)
    [result] = ask(account, [lambda connector: connector.list_refunds(window, cursor)], flow="backfill")
    if isinstance(result, ConnectorError):
        raise result
    return result
