"""Pure: how long refunds take, from our own history, and what that means for one of them.

The history is a list of spells: so many refunds took so many hours, or have been open for so many hours. An open one is
not left out, which would make us look faster than we are, nor counted as done: it is censored, and the curve is
estimated after Kaplan and Meier (1958).
"""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from refunds.polling import STUCK_AFTER

ENOUGH = 100
"""So many refunds must have come to their end before percentiles are learned; documented defaults hold until then."""
LATE_AT_LEAST = dt.timedelta(days=1)
STUCK_AT_LEAST = dt.timedelta(days=3)
STUCK_AT_MOST = dt.timedelta(days=60)
DEFAULT_LATE_AFTER = dt.timedelta(days=5)
DEFAULT_STUCK_AFTER = STUCK_AFTER
DEFAULT_BANK_DAYS = 10
"""Until a customer sees the money once a refund has succeeded, where the connector does not know better."""
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Spell:
    """`number` refunds of one length. `ended`: whether what was waited for happened, or they just left our sight."""

    hours: int
    ended: bool
    number: int


@dataclass(frozen=True, slots=True)
class Curve:
    """In hours: within how many of them half, 9 of 10 and 99 of 100 are done; None where the history does not say."""

    p50_hours: int | None = None
    p90_hours: int | None = None
    p99_hours: int | None = None
    ended: int = 0
    open: int = 0

    @property
    def is_enough(self) -> bool:
        return self.ended >= ENOUGH


def kaplan_meier(spells: Iterable[Spell]) -> Curve:
    """The percentiles of a history; who left at the same hour as others were done was still there with them."""
    ended, left = defaultdict[int, int](int), defaultdict[int, int](int)
    for spell in spells:
        (ended if spell.ended else left)[spell.hours] += spell.number
    at_risk = sum(ended.values()) + sum(left.values())
    total, still_open = sum(ended.values()), sum(left.values())
    waiting, reached = 1.0, dict[float, int]()
    for hours in sorted({*ended, *left}):
        if ended[hours]:
            waiting *= 1 - ended[hours] / at_risk
            for share in (0.5, 0.9, 0.99):
                if waiting <= 1 - share + _ROUNDING:
                    reached.setdefault(share, hours)
        at_risk -= ended[hours] + left[hours]
    return Curve(reached.get(0.5), reached.get(0.9), reached.get(0.99), total, still_open)


@dataclass(frozen=True, slots=True)
class Expectation:
    """From when on a refund that is still open is late, and from when on it is stuck; and where that is from."""

    usual_after: dt.timedelta
    late_after: dt.timedelta
    stuck_after: dt.timedelta
    refunds: int = 0
    """How many refunds that ended it was learned from; 0: a documented default."""

    @property
    def is_learned(self) -> bool:
        return self.refunds > 0


DEFAULT = Expectation(LATE_AT_LEAST, DEFAULT_LATE_AFTER, DEFAULT_STUCK_AFTER)


def expectation(*curves: Curve | None) -> Expectation:
    """By the first curve that has enough behind it: the most specific one is given first."""
    for curve in curves:
        if curve is not None and curve.is_enough:
            return _learned(curve)
    return DEFAULT


def _learned(curve: Curve) -> Expectation:
    """A percentile that the history does not reach is no reason to wait for ever: the default is kept for it."""
    late = max(_hours(curve.p90_hours) or DEFAULT_LATE_AFTER, LATE_AT_LEAST)
    stuck = min(max(_hours(curve.p99_hours) or DEFAULT_STUCK_AFTER, STUCK_AT_LEAST, late), STUCK_AT_MOST)
    usual = min(_hours(curve.p50_hours) or LATE_AT_LEAST, late)
    return Expectation(usual, min(late, stuck), stuck, curve.ended)


def _hours(hours: int | None) -> dt.timedelta | None:
    return None if hours is None else dt.timedelta(hours=hours)


def in_words(length: dt.timedelta) -> str:
    """ "6 days", "1 day", "3 hours": rounded up, because it is said as a limit."""
    hours = max(math.ceil(length / dt.timedelta(hours=1)), 1)
    count, unit = (math.ceil(hours / 24), "day") if hours >= 24 else (hours, "hour")
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
