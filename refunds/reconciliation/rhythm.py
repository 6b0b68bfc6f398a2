"""Pure: the days on which an account that is paid out every bank day was not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from itertools import pairwise

from refunds.reconciliation.tolerance import is_bank_day

DAILY_AFTER = 10
"""So many bank days in a row, each with a payout, make a rhythm. Whoever is paid weekly never has one."""


def missed(days: Iterable[dt.date]) -> list[tuple[dt.date, dt.date]]:
    """Each hole in the rhythm, by its first and last bank day.

    `days` are those with a payout. A hole is told once a later payout has shown that it is one, and only where every
    one of the ten bank days before it had a payout. Weekends are in nobody's way, whether paid on or not.
    """
    there = set(days)
    holes = []
    for before, after in pairwise(sorted(there)):
        hole = _bank_days_between(before, after)
        if hole and _is_daily_until(hole[0], there):
            holes.append((hole[0], hole[-1]))
    return holes


def _bank_days_between(before: dt.date, after: dt.date) -> list[dt.date]:
    days = (before + dt.timedelta(days=number) for number in range(1, (after - before).days))
    return [day for day in days if is_bank_day(day)]


def _is_daily_until(day: dt.date, there: set[dt.date]) -> bool:
    seen = 0
    while seen < DAILY_AFTER:
        day -= dt.timedelta(days=1)
        if is_bank_day(day):
            if day not in there:
                return False
            seen += 1
    return True
