"""What keeps the house's clock going during a run: what is due sooner than in life, and waiting until nothing is."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import Error, connections
from django.db.models import QuerySet
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.tasks import async_task

from connectors.models import ConnectorAccount, DeliveryState, WebhookDelivery
from refunds import polling, tasks
from refunds.models import AccountPolling, CreationWindow, FailingRoad, Refund, Road

T = TypeVar("T")


def open_windows(account: ConnectorAccount, *, days: int) -> None:
    """Let the poller read the feed and the listings so far back."""
    now = timezone.now()
    AccountPolling.of(account)
    AccountPolling.objects.filter(account=account).update(changes_since=now - dt.timedelta(days=days))
    all_days = [now.date() - dt.timedelta(days=age) for age in range(days + 1)]
    CreationWindow.objects.bulk_create(
        [CreationWindow(account=account, day=day, next_list_at=now) for day in all_days], ignore_conflicts=True
    )


class Clock:
    """Runs faster than in life: at each `nudge` something is due again, and the ticker ticks."""

    def __init__(self, account: ConnectorAccount) -> None:
        """`account` is the one whose processor can be asked."""
        self._account = account
        self._nudges = 0
        self._ticked_at = 0.0
        self._feed_readings = 0

    def nudge(self) -> None:
        """Feed and listings, or a few Gets: in turns, because what is read in pages comes first in a poll's turn and
        may take all of it."""
        self._nudges += 1
        eventually(self._make_pages_due if self._nudges % 3 == 0 else self._make_gets_due)
        self.tick()

    def tick(self) -> None:
        """Once a second at most."""
        if time.monotonic() - self._ticked_at > 1:
            eventually(_tick)
            self._ticked_at = time.monotonic()

    def _make_pages_due(self) -> None:
        now = timezone.now()
        AccountPolling.objects.filter(account=self._account).update(next_changes_at=now)
        windows = CreationWindow.objects.filter(account=self._account).order_by("?").values_list("pk", flat=True)[:2]
        CreationWindow.objects.filter(pk__in=list(windows)).update(next_list_at=now)

    def _make_gets_due(self) -> None:
        """Of different days: many of one day would be listed, not asked about one by one."""
        some = Refund.objects.filter(account=self._account).order_by("?").values_list("pk", flat=True)[:5]
        Refund.objects.filter(pk__in=list(some)).update(next_poll_at=timezone.now())

    # The end of a run.

    def make_everything_due(self) -> None:
        """What was put off, the feed, every listing, and what would be asked about within two minutes."""
        eventually(self._make_everything_due)

    def _make_everything_due(self) -> None:
        now = self._since = timezone.now()
        put_off = WebhookDelivery.objects.filter(state=DeliveryState.WAITING, lease="")
        put_off.update(next_attempt_at=now)
        AccountPolling.objects.update(next_changes_at=now, paused_until=None)
        # A reading that is under way may have passed what came since: the one after it has all.
        self._feed_asked_at, self._feed_readings = now, 2
        CreationWindow.objects.update(next_list_at=now)
        Refund.objects.filter(next_poll_at__lt=now + dt.timedelta(minutes=2)).update(next_poll_at=now)

    def nothing_is_due(self) -> bool:
        """Whether all that was made due is done."""
        self.tick()
        return eventually(self._is_quiet)

    def _is_quiet(self) -> bool:
        in_turn = AccountPolling.objects.exclude(lease="").exists()
        return self._read_to_the_end() and inbox_is_empty() and not in_turn and not tasks.accounts_due()

    def _read_to_the_end(self) -> bool:
        """Whether feed and listings were read from their beginning since; what was under way then is read again."""
        return self._feed_is_read() and self._windows_are_listed()

    def _feed_is_read(self) -> bool:
        feed = AccountPolling.objects.filter(account=self._account)
        if self._feed_readings and self._came_to_the_end(feed):
            self._feed_readings -= 1
            self._feed_asked_at = timezone.now()
            if self._feed_readings:
                feed.update(next_changes_at=self._feed_asked_at)
        return not self._feed_readings

    def _came_to_the_end(self, feed: QuerySet[AccountPolling]) -> bool:
        """Only a reading's last page, and failing, put off the next one; a road that came through fails no more."""
        ended = feed.filter(changes_cursor="", next_changes_at__gte=self._feed_asked_at + polling.CHANGES_EVERY)
        return ended.exists() and not FailingRoad.objects.filter(account=self._account, road=Road.CHANGES).exists()

    def _windows_are_listed(self) -> bool:
        now = timezone.now()
        half_listed = CreationWindow.objects.filter(started_at__lt=self._since, cursor="")
        half_listed.filter(next_list_at__gt=now).update(next_list_at=now)
        return not half_listed.exists()


def inbox_is_empty() -> bool:
    return not WebhookDelivery.objects.filter(state=DeliveryState.WAITING).exists()


def _tick() -> None:
    if get_broker().queue_size() < 10:
        async_task("refunds.tasks.tick")


def eventually(work: Callable[[], T], *, seconds: float = 60) -> T:
    """Do it, again and again while the database is away."""
    ends_at = time.monotonic() + seconds
    while True:
        try:
            return work()
        except Error:
            connections.close_all()
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.1)


def until(what: str, condition: Callable[[], Any], *, seconds: float) -> None:
    """Return once the condition holds; TimeoutError says what never came."""
    ends_at = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends_at:
            raise TimeoutError(f"it did not come within {seconds:.0f} s that {what}")
        time.sleep(0.1)
