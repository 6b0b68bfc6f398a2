"""The one clock: processors live by it, ours may be wrong against it, and nobody waits for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import time_machine

from connectors import transport
from connectors.sandbox.clock import VirtualClock
from refunds.services import polling

START = dt.datetime(2026, 1, 5, 8, 0, tzinfo=dt.UTC)


class OneClock(VirtualClock):
    """The processors' time. Our own clock shows it plus `ours_is_ahead_by`, and stands in for the module `time` where
    the product sleeps or measures: sleeping moves the clock on instead of waiting."""

    def __init__(self, now: dt.datetime, traveller: time_machine.Traveller) -> None:
        super().__init__(now)
        self._traveller = traveller
        self.ours_is_ahead_by = dt.timedelta(0)

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> dt.datetime:
        now = super().advance(days=days, hours=hours, minutes=minutes, seconds=seconds)
        self._traveller.move_to(now + self.ours_is_ahead_by, tick=False)
        return now

    def set_ours_ahead_by(self, ahead: dt.timedelta) -> None:
        """Step our own clock; the processors' goes on as it was."""
        self.ours_is_ahead_by = ahead
        self.advance()

    def monotonic(self) -> float:
        return (self() - START).total_seconds()

    def sleep(self, seconds: float) -> None:
        self.advance(seconds=seconds)


@contextmanager
def one_clock(now: dt.datetime = START) -> Iterator[OneClock]:
    """All time there is, until the block ends."""
    with time_machine.travel(now, tick=False) as traveller:
        clock = OneClock(now, traveller)
        with mock.patch.object(polling, "time", clock), mock.patch.object(transport, "time", clock):
            yield clock
