"""The time a sandbox lives in: the system's, or one that tests move by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

Clock = Callable[[], dt.datetime]
"""Returns now as an aware UTC datetime."""

SECOND = dt.timedelta(seconds=1)


def system_clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class VirtualClock:
    """A clock that stands still until somebody moves it."""

    def __init__(self, now: dt.datetime | None = None) -> None:
        self._now = (now or dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)).astimezone(dt.UTC)

    def __call__(self) -> dt.datetime:
        return self._now

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> dt.datetime:
        """Move on (or back, with negative numbers) and return the new time."""
        self._now += dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return self._now

    def set(self, now: dt.datetime) -> None:
        self._now = now.astimezone(dt.UTC)


def whole_second(moment: dt.datetime) -> dt.datetime:
    """The second the moment falls in. Processors tell times in whole seconds, so the truth is kept in them too."""
    return moment.replace(microsecond=0)


def next_whole_second(moment: dt.datetime) -> dt.datetime:
    floor = whole_second(moment)
    return floor if floor == moment else floor + SECOND
