"""Reading a processor's change feed, page after page, from where it was left.

Each page is recorded in one transaction with its cursor, so a reading that is killed goes on where it was.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import partial

from django.utils import timezone

from connectors.contract import Connector, ConnectorError, MalformedAnswer, Operation, Page, RefundNotFound
from refunds import polling
from refunds.facts import Source
from refunds.models import AccountPolling, Road
from refunds.services import roads
from refunds.services.page_recording import Kept, keep_page
from refunds.services.roads import Turn

_DAY = dt.timedelta(days=1)


def read_changes(turn: Turn) -> None:
    """Read what changed since the last reading, to the end or for as long as the turn lasts."""
    state, account = turn.state, turn.account
    if state.next_changes_at > timezone.now():
        return
    # The first reading begins a day before the account was added here, however long nobody answered since.
    since, cursor = state.changes_since or account.created_at - _DAY, state.changes_cursor or None
    reached = (state.changes_reached_at if cursor else None) or since
    if cursor is None:
        since -= polling.CHANGES_OVERLAP
    failures = roads.failures_of(account, Road.CHANGES)
    while (page := turn.ask_page(roads.sized(_changes(since, cursor), failures), "changes")) is not None:
        if isinstance(page, ConnectorError):
            later = roads.note_failure(account, Road.CHANGES, page)
            if isinstance(page, MalformedAnswer) and roads.smaller_may_help(account, failures):
                failures += 1
                continue
            _put_off(state, page, later, since=since, cursor=cursor)
            return
        cursor, reached = page.value.next_cursor, polling.reached(page, reached)
        save = partial(_save, state, since=since, reached=reached, cursor=cursor)
        keep_page(account, page, source=Source.FEED, save=save)
        if cursor is None:
            roads.note_success(account, Road.CHANGES)
            return


def _changes(since: dt.datetime, cursor: str | None) -> Callable[[Connector], Operation[Page]]:
    return lambda connector: connector.list_changes(since, cursor)


def _put_off(
    state: AccountPolling, error: ConnectorError, later: dt.timedelta, *, since: dt.datetime, cursor: str | None
) -> None:
    mine = AccountPolling.objects.filter(pk=state.pk)
    if cursor and isinstance(error, RefundNotFound):
        # The event to go on from is too old to be known any more: from the beginning again, as far as it reaches.
        mine.update(changes_cursor="", changes_since=since)
    else:
        mine.update(next_changes_at=timezone.now() + later)


def _save(state: AccountPolling, _: Kept, *, since: dt.datetime, reached: dt.datetime, cursor: str | None) -> None:
    if cursor is None:
        state.next_changes_at = timezone.now() + polling.CHANGES_EVERY
    AccountPolling.objects.filter(pk=state.pk).update(
        changes_cursor=cursor or "",
        changes_since=reached if cursor is None else since,
        changes_reached_at=reached,
        next_changes_at=state.next_changes_at,
    )
