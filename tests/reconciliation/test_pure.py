"""The pure modules of reconciliation: codes, ladder, tolerances, ageing."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from refunds.reconciliation.ageing import AgeBucket, bucket, month_end_bucket
from refunds.reconciliation.codes import CODES, Code, Owner
from refunds.reconciliation.ladder import Pass
from refunds.reconciliation.rhythm import missed
from refunds.reconciliation.tolerance import (
    DEFAULT,
    FAR_AHEAD,
    LONG_AGO,
    Terms,
    batch_allowance,
    in_force,
    is_scale_error,
    plus_bank_days,
    spans,
    within,
)

NOW = dt.datetime(2026, 3, 14, 10, tzinfo=dt.UTC)


def test_every_code_says_whose_it_is():
    assert set(CODES) == set(Code)
    assert [code.label for code in Code][:3] == ["B01", "B02", "B03"]
    assert Code.RETURNED_AFTER_SUCCESS.about.owner is Owner.SUPPORT
    assert {code.label for code in Code if code.about.heals} == {"B01", "B02", "B04", "B32", "B33", "B51", "B52"}


def test_only_the_last_rung_suggests():
    assert [(rung.label, rung.suggests) for rung in Pass] == [
        ("M0", False), ("M1", False), ("M2", False), ("M3", False), ("M4", False), ("M6", False), ("M7", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("hours", "expected", "month_end"),
    [
        (-1, AgeBucket.NOT_DUE, "0-30"),
        (0, AgeBucket.ONE_DAY, "0-30"),
        (24, AgeBucket.ONE_DAY, "0-30"),
        (25, AgeBucket.THREE_DAYS, "0-30"),
        (73, AgeBucket.SEVEN_DAYS, "0-30"),
        (169, AgeBucket.OLDER, "0-30"),
        (31 * 24, AgeBucket.OLDER, "31-60"),
        (61 * 24, AgeBucket.OLDER, "61-90"),
        (91 * 24, AgeBucket.OLDER, "> 90"),
    ],
)
def test_age_counts_from_the_expected_date(hours, expected, month_end):
    due = NOW - dt.timedelta(hours=hours)
    assert bucket(due, NOW) is expected
    assert month_end_bucket(due, NOW) == month_end


@pytest.mark.parametrize(
    ("exponent", "lines", "allowed"),
    [(2, 999, 0), (2, 1000, 1), (2, 5500, 5), (2, 1_000_000, 100), (0, 1_000_000, 0), (3, 1000, 10)],
)
def test_a_batch_may_be_off_by_a_cent_for_each_thousand_lines_and_one_unit_at_most(exponent, lines, allowed):
    assert batch_allowance(DEFAULT, exponent, lines) == allowed


def test_a_batch_of_a_currency_without_decimals_may_be_off_by_what_is_agreed():
    assert batch_allowance(Terms(batch_per_thousand=Decimal(1), batch_most=Decimal(5)), 0, 3000) == 3


@pytest.mark.parametrize(("difference", "tolerated"), [(-2, True), (-3, False), (1, True), (2, False), (0, True)])
def test_below_and_above_are_apart(difference, tolerated):
    assert within(difference, below=2, above=1) is tolerated


@pytest.mark.parametrize(
    ("one", "other", "exponent", "found"),
    [(10, 1000, 2, True), (1000, 100, 2, True), (1, 1000, 0, True), (1, 10_000, 2, False), (12345, 12340, 3, True),
     (12345, 12340, 2, False), (12345, 12344, 3, False), (0, 0, 2, False), (0, 100, 2, False)],
)  # fmt: skip
def test_a_scale_error_is_a_factor_or_a_third_decimal_cut_off(one, other, exponent, found):
    assert is_scale_error(one, other, exponent) is found
    assert is_scale_error(other, one, exponent) is found


def test_terms_hold_from_their_moment_until_the_next_ones():
    first, second = Terms(since=NOW, books_below=1), Terms(since=NOW + dt.timedelta(days=1), books_below=2)
    assert in_force([first, second], NOW - dt.timedelta(seconds=1)) is DEFAULT
    assert in_force([second, first], NOW) is first
    assert in_force([first, second], second.since) is second
    assert [(since, until, terms.books_below) for since, until, terms in spans([second, first])] == [
        (LONG_AGO, NOW, 0), (NOW, second.since, 1), (second.since, FAR_AHEAD, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("day", "days", "expected"),
    [
        ("2026-03-06", 1, "2026-03-09"),
        ("2026-03-06", 3, "2026-03-11"),
        ("2026-03-07", 1, "2026-03-09"),
        ("2026-03-09", 0, "2026-03-09"),
    ],
)
def test_bank_days_leave_out_the_weekend(day, days, expected):
    assert plus_bank_days(dt.date.fromisoformat(day), days).isoformat() == expected


MONDAY = dt.date(2026, 3, 2)


def paid(*bank_days: int, weekends: bool = False) -> list[dt.date]:
    """The bank days of these numbers, counted from a Monday; and every Saturday and Sunday before the last of them."""
    days = [MONDAY + dt.timedelta(weeks=number // 5, days=number % 5) for number in bank_days]
    if weekends:
        every = (MONDAY + dt.timedelta(days=number) for number in range((days[-1] - MONDAY).days))
        days += [day for day in every if day.weekday() >= 5]
    return days


@pytest.mark.parametrize("weekends", [False, True])
@pytest.mark.parametrize(
    ("bank_days", "holes"),
    [
        (range(20), []),
        ([*range(10), *range(11, 20)], [("2026-03-16", "2026-03-16")]),
        ([*range(12), *range(15, 20)], [("2026-03-18", "2026-03-20")]),
        ([*range(9), *range(10, 20)], []),
        (range(15), []),
        ([*range(0, 60, 5)], []),
        ([*range(12), *range(13, 20), *range(21, 25)], [("2026-03-18", "2026-03-18")]),
    ],
    ids=[
        "every bank day", "one skipped", "three skipped, over no weekend", "no rhythm yet", "nothing came since",
        "weekly", "a second hole before the rhythm is there again",
    ],
)  # fmt: skip
def test_a_day_is_missed_only_where_every_bank_day_before_it_had_a_payout(bank_days, holes, weekends):
    found = missed(paid(*bank_days, weekends=weekends))
    assert [(str(first), str(last)) for first, last in found] == holes
