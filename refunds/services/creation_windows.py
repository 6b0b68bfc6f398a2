"""Creation windows: the refunds of each day are listed again and again, so that nothing stays unseen.

Each page is recorded in one transaction with its cursor. A day that cannot be listed is put off by itself; the others
go on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import partial

from django.db.models import Q
from django.utils import timezone

from connectors.contract import (
    Connector,
    ConnectorError,
    CredentialsRejected,
    MalformedAnswer,
    Operation,
    Page,
    RefundNotFound,
    Window,
)  # fmt: skip
from connectors.models import ConnectorAccount
from refunds import polling
from refunds.facts import Source
from refunds.models import Alert, AlertKind, CreationWindow, Refund, Road
from refunds.services import roads
from refunds.services.page_recording import Kept, keep_page
from refunds.services.roads import Turn

TOLD_AFTER_FAILURES = 3
FAILED_DAYS_IN_A_ROW = 2
_DAY = dt.timedelta(days=1)


def list_windows(turn: Turn) -> None:
    """List the days that are due, for as long as the turn lasts.

    A failure of the account as a whole ends it, and so do two days in a row that fail: then it is hardly the day, and
    the breaker is not to open for what may still be asked one by one.
    """
    now, failed = timezone.now(), 0
    ensure_windows(turn.account, now=now)
    due = CreationWindow.objects.filter(account=turn.account, next_list_at__lte=now, day__lte=now.date())
    for window in due.order_by("next_list_at"):
        if not list_window(turn, window):
            return
        failed = failed + 1 if window.failures else 0
        if failed == FAILED_DAYS_IN_A_ROW:
            return


def list_where_cheaper(turn: Turn) -> None:
    """Many due refunds of one day are listed, a hundred a call, rather than asked for one by one."""
    if not turn.account.connector_class.supports("list_refunds") or roads.failures_of(turn.account, Road.LIST):
        return
    now = timezone.now()
    for day in _busy_days(turn.account, now=now):
        window, _ = CreationWindow.objects.get_or_create(account=turn.account, day=day, defaults={"next_list_at": now})
        if not window.failures or window.next_list_at <= now:
            list_window(turn, window)


def list_window(turn: Turn, window: CreationWindow) -> bool:
    """List one day's refunds to the end, or put it off where they cannot be read (it goes on from its cursor later).

    False where nothing more can be asked of the account in this turn.
    """
    since = dt.datetime.combine(window.day, dt.time(), dt.UTC)
    span = Window(since, since + _DAY)
    if not window.cursor:
        window.started_at, window.refunds_seen = timezone.now(), 0
    cursor = window.cursor or None
    while (page := turn.ask_page(roads.sized(_refunds(span, cursor), window.failures), "list")) is not None:
        if isinstance(page, ConnectorError):
            may_help = isinstance(page, MalformedAnswer) and roads.smaller_may_help(turn.account, window.failures)
            _note_failure(turn.account, window, page)
            if may_help:
                continue
            return not roads.stops_all(page)
        cursor = page.value.next_cursor
        seen = window.refunds_seen + len(page.value.items)
        keep_page(turn.account, page, source=Source.LIST, save=partial(_save_window, window, seen, cursor))
        if cursor is None:
            _note_listed(turn.account)
            forget_windows(turn.account, ours=page.received_at, theirs=page.date)
            return True
    return False


def _refunds(span: Window, cursor: str | None) -> Callable[[Connector], Operation[Page]]:
    return lambda connector: connector.list_refunds(span, cursor)


def _save_window(window: CreationWindow, seen: int, cursor: str | None, _: Kept) -> None:
    window.cursor = cursor or ""
    window.refunds_seen = seen
    # The next page may be larger again.
    window.failures = max(window.failures - 1, 0) if cursor else 0
    if cursor is None:
        now = timezone.now()
        window.listed_at, window.last_error = now, ""
        window.next_list_at = now + next_listing(window.day, now=now)
    window.save()


def _note_failure(account: ConnectorAccount, window: CreationWindow, error: ConnectorError) -> None:
    """Put the day off, without its cursor where the processor knows that no more."""
    later = roads.note_failure(account, Road.LIST, error)
    now = timezone.now()
    if isinstance(error, CredentialsRejected):
        CreationWindow.objects.filter(account=account, next_list_at__lte=now).update(next_list_at=now + later)
        return
    # Also where the account as a whole is to blame: were this day always the first, no other would have its turn.
    window.failures += 1
    window.last_error = str(error)[:300]
    window.next_list_at = now + polling.put_off(window.failures)
    if isinstance(error, RefundNotFound):
        window.cursor = ""
    window.save(update_fields=["failures", "last_error", "next_list_at", "cursor"])
    others_are_listed = roads.failures_of(account, Road.LIST) <= window.failures
    if window.failures >= TOLD_AFTER_FAILURES and others_are_listed:
        _tell(account, window)


def _tell(account: ConnectorAccount, latest: CreationWindow) -> None:
    number = CreationWindow.objects.filter(account=account, failures__gte=TOLD_AFTER_FAILURES).count()
    days = f"The refunds of {latest.day}" if number == 1 else f"The refunds of {number} days, the latest {latest.day},"
    Alert.open(
        AlertKind.DAY_NOT_LISTED,
        subject=account.name,
        account_id=account.pk,
        message=f"{days} cannot be listed at {account.name}: {latest.last_error}. Other days are listed, and refunds "
        "that are known are asked about one by one. It is tried again every hour, page by smaller page: look at that "
        f"day in {account.connector_class.label}'s own pages, and tell its support or mend the connector.",
    )


def _note_listed(account: ConnectorAccount) -> None:
    roads.note_success(account, Road.LIST)
    told = Alert.objects.filter(kind=AlertKind.DAY_NOT_LISTED, subject=account.name, closed_at__isnull=True)
    if not told.exists():
        return
    still = CreationWindow.objects.filter(account=account, failures__gte=TOLD_AFTER_FAILURES).order_by("-day").first()
    if still is None:
        Alert.close(AlertKind.DAY_NOT_LISTED, subject=account.name)


def ensure_windows(account: ConnectorAccount, *, now: dt.datetime) -> None:
    """A row for each day from the account's first to today, no older than half a year.

    Whichever are missing are made, whatever the newest one is: a clock that was far ahead for a moment leaves days
    behind that have not come yet.
    """
    today = now.date()
    day = max(min(account.created_at.date(), today) - _DAY, (now - polling.WEEKLY_UNTIL).date())
    there = set(CreationWindow.objects.filter(account=account, day__gte=day).values_list("day", flat=True))
    fresh = []
    while day <= today:
        if day not in there:
            fresh.append(CreationWindow(account=account, day=day, next_list_at=now))
        day += _DAY
    CreationWindow.objects.bulk_create(fresh, ignore_conflicts=True)


def forget_windows(account: ConnectorAccount, *, ours: dt.datetime, theirs: dt.datetime | None) -> None:
    """The oldest days fall away, a last listing after their refunds came to half a year, and so do days to come.

    Only what is so by our clock and by the processor's, as its answer said just now: ours may have jumped.
    """
    if theirs is None:
        return
    oldest = (min(ours, theirs) - polling.WEEKLY_UNTIL).date() - polling.WEEKLY - _DAY
    newest = max(ours, theirs).date() + _DAY
    CreationWindow.objects.filter(Q(day__lt=oldest) | Q(day__gt=newest), account=account).delete()


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
