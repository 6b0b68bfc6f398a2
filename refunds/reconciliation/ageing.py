"""Pure: how old a break is, counted from when the missing or right thing was expected."""

from __future__ import annotations

import datetime as dt
import enum


class AgeBucket(enum.IntEnum):
    """While the month runs."""

    NOT_DUE = 0
    ONE_DAY = 1
    THREE_DAYS = 2
    SEVEN_DAYS = 3
    OLDER = 4

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    AgeBucket.NOT_DUE: "not due",
    AgeBucket.ONE_DAY: "0-24 h",
    AgeBucket.THREE_DAYS: "1-3 d",
    AgeBucket.SEVEN_DAYS: "3-7 d",
    AgeBucket.OLDER: "> 7 d",
}
LIMITS = (
    (AgeBucket.ONE_DAY, dt.timedelta(days=1)),
    (AgeBucket.THREE_DAYS, dt.timedelta(days=3)),
    (AgeBucket.SEVEN_DAYS, dt.timedelta(days=7)),
)
MONTH_END = (("0-30", 30), ("31-60", 60), ("61-90", 90))
"""Label and last day of each bucket of the month's end; beyond the last it is "> 90"."""


def bucket(expected_at: dt.datetime, as_of: dt.datetime) -> AgeBucket:
    """The bucket at a moment. What is exactly a day old is still in the first one."""
    if expected_at > as_of:
        return AgeBucket.NOT_DUE
    age = as_of - expected_at
    return next((name for name, limit in LIMITS if age <= limit), AgeBucket.OLDER)


def month_end_bucket(expected_at: dt.datetime, as_of: dt.datetime) -> str:
    """The bucket in days that the month's end is reported by."""
    days = max((as_of - expected_at).days, 0)
    return next((label for label, last in MONTH_END if days <= last), "> 90")
