"""Polling one account: its change feed, its creation windows, and the refunds that are due, within its permits.

One worker at a time holds the account's lease. Each page of answers is recorded in one transaction with its cursor,
so a poll that is killed goes on where it was.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence

import structlog
from django.db import transaction
from django.utils import timezone

from connectors.contract import (
    Answer,
    Connector,
    ConnectorError,
    CredentialsRejected,
    Fact,
    Hint,
    Mark,
    Operation,
    Page,
    RefundNotFound,
    RefundReference,
    UnknownStatus,
    Unreadable,
    Window,
)  # fmt: skip
from connectors.models import ConnectorAccount
from refunds import polling
from refunds.facts import Source
from refunds.models import AccountPolling, Alert, AlertKind, CreationWindow, Refund, Sighting
from refunds.services.asking import ask
from refunds.services.deliveries import follow_hints, keep_marks
from refunds.services.items import item_of_answer, item_of_event
from refunds.services.recording import Recorded, record

log = structlog.get_logger(__name__)

BUDGET_SECONDS = 25.0
"""When no more questions are begun; the last one may take the transport's 30 s, and the queue ends a task after 60."""
LEASE_SECONDS = 120.0
AT_ONCE = 32
_MOST_PER_ROUND = AT_ONCE
"""One round is asked all at once, so a processor that hangs costs one exchange's time and no more."""
_DAY = dt.timedelta(days=1)


def poll_account(account: ConnectorAccount, *, budget_seconds: float = BUDGET_SECONDS) -> int:
    """Ask what there is to ask of one account, for at most so long; returns how many questions were put."""
    if not account.enabled:
        return 0
    state = AccountPolling.of(account)
    if state.paused(timezone.now()) or not state.take_lease(seconds=LEASE_SECONDS):
        return 0
    poll = _Poll(account, state, until=time.monotonic() + budget_seconds)
    try:
        poll.run()
    finally:
        state.release_lease()
    return poll.asked


class _Poll:
    """One worker's turn at one account."""

    def __init__(self, account: ConnectorAccount, state: AccountPolling, *, until: float) -> None:
        self.account = account
        self.state = state
        self.until = until
        self.asked = 0
        # While the credentials are rejected, one question is enough to learn whether the key works again.
        self.probing = account.credentials_rejected_at is not None
        self.may_not = False
        self.cursor_is_gone = False

    def run(self) -> None:
        connector = self.account.connector_class
        if connector.supports("list_changes"):
            self._read_changes()
        if connector.supports("list_refunds"):
            self._list_windows()
        if connector.supports("get_refund"):
            self._ask_for_due()

    def _permits(self, wanted: int) -> int:
        """How many questions may be put now; waits for the bucket while there is time. 0 ends the turn."""
        while time.monotonic() < self.until and not self._stopped():
            most = 1 if self.probing else wanted
            granted = self.state.take_permits(most, per_second=self.account.requests_per_second)
            if granted:
                self.asked += granted
                return granted
            time.sleep(min(1.0 / self.account.requests_per_second, 1.0))
        return 0

    def _stopped(self) -> bool:
        self.state.refresh_from_db()
        return self.state.paused(timezone.now())

    def _ask_page(self, question: Callable[[Connector], Operation[Page]], flow: str) -> Answer[Page] | None:
        if not self._permits(1):
            return None
        [result] = ask(self.account, [question], flow=flow)
        if isinstance(result, ConnectorError):
            log.warning("poll_cut_short", account=self.account.name, flow=flow, error=str(result))
            self.may_not = self.may_not or isinstance(result, CredentialsRejected)
            self.cursor_is_gone = isinstance(result, RefundNotFound)
            return None
        self.probing = False
        return result

    # The change feed.

    def _read_changes(self) -> None:
        now = timezone.now()
        if self.state.next_changes_at > now:
            return
        if not self.state.changes_cursor:
            self.state.changes_since = (self.state.changes_since or now - _DAY) - polling.CHANGES_OVERLAP
            self.state.changes_started_at = now
        since, cursor = self.state.changes_since or now, self.state.changes_cursor or None
        while (page := self._ask_page(_changes(since, cursor), "changes")) is not None:
            if cursor is None:
                # The next reading begins where this one began by the processor's clock: ours may be ahead of it, and
                # what happens in between would be read by nobody.
                self.state.changes_started_at = min(now, page.date or now)
            cursor = page.value.next_cursor
            with transaction.atomic(durable=True):
                record_page(self.account, page, source=Source.FEED)
                self._save_changes(since, cursor)
            if cursor is None:
                Alert.close(AlertKind.CREDENTIALS_REJECTED, subject=f"{self.account.name}: changes")
                return
        if self.may_not:
            self._put_off_changes()
        if cursor and self.cursor_is_gone:
            # The event to go on from is too old to be known any more: from the beginning again, as far as it reaches.
            AccountPolling.objects.filter(pk=self.state.pk).update(changes_cursor="", changes_since=since)

    def _put_off_changes(self) -> None:
        later = timezone.now() + polling.REJECTED_PROBE_EVERY
        AccountPolling.objects.filter(pk=self.state.pk).update(next_changes_at=later)

    def _save_changes(self, since: dt.datetime, cursor: str | None) -> None:
        done = cursor is None
        self.state.changes_cursor = cursor or ""
        if done:
            self.state.changes_since = self.state.changes_started_at
            self.state.next_changes_at = timezone.now() + polling.CHANGES_EVERY
        AccountPolling.objects.filter(pk=self.state.pk).update(
            changes_cursor=self.state.changes_cursor,
            changes_since=self.state.changes_since if done else since,
            changes_started_at=self.state.changes_started_at,
            next_changes_at=self.state.next_changes_at,
        )

    # Creation windows.

    def _list_windows(self) -> None:
        now = timezone.now()
        ensure_windows(self.account, now=now)
        due = CreationWindow.objects.filter(account=self.account, next_list_at__lte=now)
        self.may_not = False
        for window in due.order_by("next_list_at"):
            if not self.list_window(window):
                break
            Alert.close(AlertKind.CREDENTIALS_REJECTED, subject=f"{self.account.name}: list")
        if self.may_not:
            due.update(next_list_at=now + polling.REJECTED_PROBE_EVERY)

    def list_window(self, window: CreationWindow) -> bool:
        """List one day's refunds to the end; False where that was cut short (it goes on from its cursor later)."""
        since = dt.datetime.combine(window.day, dt.time(), dt.UTC)
        span = Window(since, since + _DAY)
        if not window.cursor:
            window.started_at, window.refunds_seen = timezone.now(), 0
        cursor = window.cursor or None
        while (page := self._ask_page(_refunds(span, cursor), "list")) is not None:
            cursor = page.value.next_cursor
            with transaction.atomic(durable=True):
                record_page(self.account, page, source=Source.LIST)
                _save_window(window, page, cursor)
            if cursor is None:
                return True
        if cursor and self.cursor_is_gone:
            CreationWindow.objects.filter(pk=window.pk).update(cursor="")
        return False

    # One by one.

    def _ask_for_due(self) -> None:
        self._ask_for_sightings()
        self._list_where_cheaper()
        while wanted := self._due():
            granted = self._permits(len(wanted))
            if not granted:
                return
            self._ask_for(wanted[:granted])

    def _due(self) -> list[Refund]:
        due = Refund.objects.filter(account=self.account).due(timezone.now())
        return list(
            due.only("id", "connector_refund_id", "connector_transaction_id", "merchant_order_id")[:_MOST_PER_ROUND]
        )

    def _list_where_cheaper(self) -> None:
        """Many due refunds of one day are listed, a hundred a call, rather than asked for one by one."""
        if not self.account.connector_class.supports("list_refunds"):
            return
        now = timezone.now()
        for day in _busy_days(self.account, now=now):
            window, _ = CreationWindow.objects.get_or_create(
                account=self.account, day=day, defaults={"next_list_at": now}
            )
            self.list_window(window)

    def _ask_for(self, refunds: Sequence[Refund]) -> None:
        references = [refund.reference for refund in refunds]
        results = ask(self.account, [_get(reference) for reference in references], flow="poll", at_once=AT_ONCE)
        self.probing = self.probing and not any(isinstance(result, Answer) for result in results)
        asked = list(zip(refunds, results, strict=True))
        try:
            self._keep(asked)
        except Exception as error:
            log.warning("answers_kept_one_by_one", account=self.account.name, error=type(error).__name__)
            for pair in asked:
                self._keep_or_put_off(*pair)

    def _keep(self, asked: Sequence[tuple[Refund, Answer[Fact] | ConnectorError]]) -> None:
        answers = [result for _, result in asked if isinstance(result, Answer)]
        with transaction.atomic(durable=True):
            record([item_of_answer(a.value, a, account_id=self.account.pk, source=Source.GET) for a in answers])
            for refund, result in asked:
                _note_poll(refund, result)

    def _keep_or_put_off(self, refund: Refund, result: Answer[Fact] | ConnectorError) -> None:
        """One refund whose answer cannot be recorded is asked about again tomorrow, and stops no other."""
        try:
            self._keep([(refund, result)])
        except Exception:
            log.exception("answer_not_recorded", account=self.account.name, refund=refund.pk)
            Refund.objects.filter(pk=refund.pk).update(
                next_poll_at=timezone.now() + polling.DAILY, last_answer="not_recorded", last_answer_at=timezone.now()
            )

    def _ask_for_sightings(self) -> None:
        due = Sighting.objects.filter(account=self.account, next_poll_at__lte=timezone.now())
        for sighting in due.order_by("next_poll_at")[:_MOST_PER_ROUND]:
            if not self._permits(1):
                return
            reference = RefundReference(sighting.connector_refund_id, sighting.connector_transaction_id)
            [result] = ask(self.account, [_get(reference)], flow="poll")
            if isinstance(result, Answer):
                with transaction.atomic(durable=True):
                    record([item_of_answer(result.value, result, account_id=self.account.pk, source=Source.GET)])
            else:
                put_off_sighting(sighting)


def _changes(since: dt.datetime, cursor: str | None) -> Callable[[Connector], Operation[Page]]:
    return lambda connector: connector.list_changes(since, cursor)


def _refunds(span: Window, cursor: str | None) -> Callable[[Connector], Operation[Page]]:
    return lambda connector: connector.list_refunds(span, cursor)


def _get(reference: RefundReference) -> Callable[[Connector], Operation[Fact]]:
    return lambda connector: connector.get_refund(reference)


def _note_poll(refund: Refund, result: Answer[Fact] | ConnectorError) -> None:
    """Remember what the question came to; a failed one is asked again by the same decay, and changes no state."""
    now = timezone.now()
    row = Refund.objects.filter(pk=refund.pk)
    answer = result.code if isinstance(result, ConnectorError) else _what_it_came_to(result.value)
    row.update(last_answer=answer, last_answer_at=now)
    if not isinstance(result, Answer):
        done = row.values_list("polls_done", flat=True)[0]
        wait = polling.PENDING_DELAYS[done] if done < len(polling.PENDING_DELAYS) else polling.DAILY
        row.update(next_poll_at=now + wait, polls_done=done + 1)


def _what_it_came_to(fact: Fact) -> str:
    return "answered" if fact.stage is not None else UnknownStatus.code


def put_off_sighting(sighting: Sighting) -> None:
    """Asking about a refund nobody knows decays as for any other, and ends after half a year."""
    now = timezone.now()
    done = sighting.polls_done
    wait = polling.PENDING_DELAYS[done] if done < len(polling.PENDING_DELAYS) else polling.DAILY
    given_up = now - sighting.seen_at > polling.WEEKLY_UNTIL
    Sighting.objects.filter(pk=sighting.pk).update(polls_done=done + 1, next_poll_at=None if given_up else now + wait)


def record_page(account: ConnectorAccount, page: Answer[Page], *, source: Source) -> Recorded:
    """Record a page of a listing or a change feed, within the caller's transaction."""
    items, hints, marks = [], [], []
    for item in page.value.items:
        if isinstance(item, Mark):
            marks.append((account, item, None))
        elif isinstance(item, Hint):
            hints.append((account, item))
        elif isinstance(item, Unreadable):
            _alert_unreadable(account, item, source)
        elif source is Source.LIST:
            items.append(item_of_answer(item, page, account_id=account.pk, source=source))
        else:
            items.append(item_of_event(item, account_id=account.pk, source=source, received_at=page.received_at))
    recorded = record(items)
    keep_marks(marks)
    follow_hints(hints)
    return recorded


def _alert_unreadable(account: ConnectorAccount, item: Unreadable, source: Source) -> None:
    Alert.open(
        AlertKind.DELIVERY_PARKED,
        subject=f"{account.name}: {source}",
        account_id=account.pk,
        message=f"An item of the {source} of {account.name} cannot be read ({item.event_id or 'without id'}: "
        f"{item.reason}). It changed nothing: look at it in the processor's own pages, and mend the connector.",
    )


def ensure_windows(account: ConnectorAccount, *, now: dt.datetime) -> None:
    """A row for each day from the account's first to today, no older than half a year; the oldest fall away, a last
    listing after their refunds came to that age."""
    today, oldest = now.date(), (now - polling.WEEKLY_UNTIL).date()
    CreationWindow.objects.filter(account=account, day__lt=oldest - polling.WEEKLY - _DAY).delete()
    newest = CreationWindow.objects.filter(account=account).order_by("-day").values_list("day", flat=True).first()
    day = max(newest + _DAY if newest else account.created_at.date() - _DAY, oldest)
    fresh = []
    while day <= today:
        fresh.append(CreationWindow(account=account, day=day, next_list_at=now))
        day += _DAY
    CreationWindow.objects.bulk_create(fresh, ignore_conflicts=True)


def remember_windows(account: ConnectorAccount, since: dt.datetime, until: dt.datetime) -> None:
    """Days that were listed by hand are listed again from now on like any others, as long as they are young enough."""
    now = timezone.now()
    day, last = max(since, now - polling.WEEKLY_UNTIL).date(), min(until, now).date()
    fresh = []
    while day <= last:
        fresh.append(
            CreationWindow(account=account, day=day, listed_at=now, next_list_at=now + next_listing(day, now=now))
        )
        day += _DAY
    CreationWindow.objects.bulk_create(fresh, ignore_conflicts=True)


def _save_window(window: CreationWindow, page: Answer[Page], cursor: str | None) -> None:
    window.cursor = cursor or ""
    window.refunds_seen += len(page.value.items)
    if cursor is None:
        now = timezone.now()
        window.listed_at = now
        window.next_list_at = now + next_listing(window.day, now=now)
    window.save()


def next_listing(day: dt.date, *, now: dt.datetime) -> dt.timedelta:
    """When a day's refunds are listed again: today's and yesterday's every hour, then as what seemed settled.

    By the age of the day's last refund: the promise of a daily look is made to each of them.
    """
    age = now - dt.datetime.combine(day + _DAY, dt.time(), dt.UTC)
    if age < _DAY:
        return dt.timedelta(hours=1)
    return polling.look_again_every(age) or polling.WEEKLY


def _busy_days(account: ConnectorAccount, *, now: dt.datetime) -> list[dt.date]:
    """Days on which so many refunds are due that listing them costs clearly fewer calls."""
    due: dict[dt.date, int] = {}
    for created_at in Refund.objects.filter(account=account).due(now).values_list("created_at", flat=True)[:20_000]:
        due[created_at.date()] = due.get(created_at.date(), 0) + 1
    return [day for day, count in due.items() if _cheaper(account, day, count)]


def _cheaper(account: ConnectorAccount, day: dt.date, due: int) -> bool:
    if not polling.listing_is_cheaper(due=due, created_in_window=due):
        return False
    since = dt.datetime.combine(day, dt.time(), dt.UTC)
    made = Refund.objects.filter(account=account, created_at__gte=since, created_at__lt=since + _DAY).count()
    return polling.listing_is_cheaper(due=due, created_in_window=made)
