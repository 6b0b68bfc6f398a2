"""Reading what a processor booked, where it lists that: some times a day, within the account's permits and lease.

Each page is kept in one transaction with its cursor, so a reading that is killed goes on where it was.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from django.db import transaction
from django.utils import timezone

from connectors.contract import (
    Answer,
    Connector,
    ConnectorError,
    MalformedAnswer,
    Operation,
    RefundNotFound,
    SettlementPage,
    Unreadable,
)  # fmt: skip
from connectors.models import ConnectorAccount
from refunds import polling
from refunds.models import AccountPolling, Alert, AlertKind, Road
from refunds.services import roads, settling
from refunds.services.roads import Turn
from refunds.services.settling import BookedLine

_DAY = dt.timedelta(days=1)


def read_settlement(turn: Turn) -> None:
    """Read what was booked since the last reading, to the end or for as long as the turn lasts."""
    now, state, account = timezone.now(), turn.state, turn.account
    if state.next_settlement_at is not None and state.next_settlement_at > now:
        return
    # The first reading begins a day before the account was added here; what is older comes from files.
    since, cursor = state.settlement_since or account.created_at - _DAY, state.settlement_cursor or None
    reached = (state.settlement_reached_at if cursor else None) or since
    if cursor is None:
        since -= polling.SETTLEMENT_OVERLAP
    failures = roads.failures_of(account, Road.SETTLEMENT)
    while (page := turn.ask_page(roads.sized(_booked(since, cursor), failures), "settlement")) is not None:
        if isinstance(page, ConnectorError):
            later = roads.note_failure(account, Road.SETTLEMENT, page)
            if isinstance(page, MalformedAnswer) and roads.smaller_may_help(account, failures):
                failures += 1
                continue
            _put_off(state, page, later, since=since)
            return
        if cursor is None:
            # By the first page alone: what the last one lists may have been booked long after the first was read.
            reached = polling.reached(page, reached)
        cursor = page.value.next_cursor
        with transaction.atomic(durable=True):
            keep_page(account, page)
            _save(state, since=since, reached=reached, cursor=cursor)
        if cursor is None:
            roads.note_success(account, Road.SETTLEMENT)
            return


def keep_page(account: ConnectorAccount, page: Answer[SettlementPage]) -> None:
    """Keep the lines of a page, within the caller's transaction."""
    lines = []
    for item in page.value.items:
        if isinstance(item, Unreadable):
            _alert_unreadable(account, item)
        else:
            lines.append(BookedLine(account.pk, item))
    settling.keep_lines(lines)


def _booked(since: dt.datetime, cursor: str | None) -> Callable[[Connector], Operation[SettlementPage]]:
    return lambda connector: connector.list_settlement(since, cursor)


def _save(state: AccountPolling, *, since: dt.datetime, reached: dt.datetime, cursor: str | None) -> None:
    if cursor is None:
        state.next_settlement_at = timezone.now() + polling.SETTLEMENT_EVERY
    AccountPolling.objects.filter(pk=state.pk).update(
        settlement_cursor=cursor or "",
        settlement_since=reached if cursor is None else since,
        settlement_reached_at=reached,
        next_settlement_at=state.next_settlement_at,
    )


def _put_off(state: AccountPolling, error: ConnectorError, later: dt.timedelta, *, since: dt.datetime) -> None:
    """Cut short. A line to go on from that the processor knows no more means to begin again."""
    mine, now = AccountPolling.objects.filter(pk=state.pk), timezone.now()
    if isinstance(error, RefundNotFound):
        overlap = since + polling.SETTLEMENT_OVERLAP
        mine.update(
            settlement_cursor="", settlement_since=overlap, next_settlement_at=now + polling.REJECTED_PROBE_EVERY
        )
    else:
        mine.update(next_settlement_at=now + later)


def _alert_unreadable(account: ConnectorAccount, item: Unreadable) -> None:
    Alert.open(
        AlertKind.DELIVERY_PARKED,
        subject=f"{account.name}: settlement",
        account_id=account.pk,
        message=f"A booked line of {account.name} cannot be read ({item.event_id or 'without id'}: {item.reason}). It "
        "counts nowhere: look at it in the processor's own pages, and mend the connector.",
    )
