"""Pure: what an account agreed to: how much parties may differ, by when they are expected, which fee is taken.

Terms are dated: what lies before their day is judged by the terms before. Below and above are apart, because less than
expected and more than expected are seldom equally bad.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

LONG_AGO = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
FAR_AHEAD = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
_THOUSAND = 1000
_SATURDAY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for one account from a moment on; what nobody has set is as it stands here.

    Amounts of minor units are in whichever currency is compared; `batch_*` are in major units.
    """

    since: dt.datetime = LONG_AGO
    books_below: int = 0
    books_above: int = 0
    settled_below: int = 0
    settled_above: int = 0
    rounding_most: int = 1000
    """How much of an account's differences of one currency may pass as rounding within one period."""
    batch_per_thousand: Decimal = Decimal("0.01")
    batch_most: Decimal = Decimal("1.00")
    fx_basis_points: int = 50
    grace_hours: int = 24
    """How long our books and the processor may not know of each other."""
    settles_within_days: int = 7
    bank_days: int = 3
    stuck_after_days: int = 10
    fee_fixed: int | None = None
    """In minor units of `fee_currency`; None where nobody has said what a refund costs."""
    fee_basis_points: int = 0
    fee_currency: str = ""
    time_zone: str = "UTC"
    cut_off: dt.time = dt.time(0)
    second_person_above: int = 100_000
    """From where on a write-off or a forced match needs a second person; in minor units of whichever currency it is."""


DEFAULT = Terms()


def in_force(terms: Iterable[Terms], at: dt.datetime) -> Terms:
    """The terms of a moment: the last ones that had begun."""
    return max((each for each in terms if each.since <= at), key=lambda each: each.since, default=DEFAULT)


def spans(terms: Iterable[Terms]) -> list[tuple[dt.datetime, dt.datetime, Terms]]:
    """Each terms with the half-open span it holds for; together they cover all of time."""
    ordered = sorted(terms, key=lambda each: each.since)
    if not ordered or ordered[0].since > LONG_AGO:
        ordered.insert(0, DEFAULT)
    ends = [each.since for each in ordered[1:]] + [FAR_AHEAD]
    return [(each.since, end, each) for each, end in zip(ordered, ends, strict=True)]


def batch_units(terms: Terms, exponent: int) -> tuple[int, int]:
    """What a batch may be off by, in minor units: for every thousand lines, and at most."""
    return int(terms.batch_per_thousand.scaleb(exponent)), int(terms.batch_most.scaleb(exponent))


def batch_allowance(terms: Terms, exponent: int, lines: int) -> int:
    """What a batch of so many lines may be off by, in minor units, rounded down."""
    per_thousand, most = batch_units(terms, exponent)
    return min(most, lines * per_thousand // _THOUSAND)


def within(difference: int, *, below: int, above: int) -> bool:
    """Whether a difference (what is there less what was expected) is tolerated."""
    return -below <= difference <= above


def is_scale_error(one: int, other: int, exponent: int) -> bool:
    """Whether two amounts differ by a factor of exactly 10, 100 or 1000, or by a third decimal that was cut off."""
    small, large = sorted((abs(one), abs(other)))
    if small == large:
        return False
    if small and any(large == small * factor for factor in (10, 100, 1000)):
        return True
    return exponent == 3 and large - small < 10 and (small % 10 == 0 or large % 10 == 0)


def is_bank_day(day: dt.date) -> bool:
    """Monday to Friday. Holidays are not known here."""
    return day.weekday() < _SATURDAY


def plus_bank_days(day: dt.date, days: int) -> dt.date:
    """So many bank days later."""
    for _ in range(days):
        day += dt.timedelta(days=1)
        while not is_bank_day(day):
            day += dt.timedelta(days=1)
    return day
