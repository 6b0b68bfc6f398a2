"""Percentiles from a history in which some refunds are still open, and what they mean for one refund."""

from __future__ import annotations

import datetime as dt
import random

import pytest

from refunds import expecting
from refunds.expecting import Curve, Spell, expectation, in_words, kaplan_meier


def days(number: float) -> dt.timedelta:
    return dt.timedelta(days=number)


def test_without_open_refunds_it_is_the_plain_percentile():
    curve = kaplan_meier(Spell(hours, True, 1) for hours in range(1, 101))
    assert curve == Curve(50, 90, 99, ended=100, open=0)


def test_the_example_of_the_textbook():
    """Freireich's 21 patients on 6-MP, in weeks: half of them relapsed within 23."""
    ended = [Spell(6, True, 3), *(Spell(weeks, True, 1) for weeks in (7, 10, 13, 16, 22, 23))]
    lost = [Spell(weeks, False, 1) for weeks in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)]
    curve = kaplan_meier(ended + lost)
    assert (curve.p50_hours, curve.p90_hours, curve.ended, curve.open) == (23, None, 9, 12)


def test_open_refunds_make_it_slower_than_leaving_them_out_would():
    ended = [Spell(1, True, 80), Spell(100, True, 10)]
    assert kaplan_meier(ended).p50_hours == 1
    assert kaplan_meier([*ended, Spell(50, False, 90)]).p50_hours == 100


def test_what_has_just_begun_says_nothing_about_how_long_it_takes():
    settled = [Spell(hours, True, 10) for hours in range(1, 101)]
    assert kaplan_meier([*settled, Spell(1, False, 5_000)]).p90_hours in range(85, 95)


def test_it_finds_the_truth_behind_a_window_that_cuts_off_the_newest():
    chance = random.Random(7)
    lengths = [(chance.expovariate(1 / 60), chance.uniform(0, 2_000)) for _ in range(20_000)]
    spells = [Spell(int(min(length, seen)) + 1, length <= seen, 1) for length, seen in lengths]
    curve = kaplan_meier(spells)
    assert curve.p50_hours == pytest.approx(60 * 0.693, rel=0.05)
    assert curve.p90_hours == pytest.approx(60 * 2.303, rel=0.05)
    assert curve.p99_hours == pytest.approx(60 * 4.605, rel=0.08)


def test_order_and_splitting_change_nothing():
    spells = [Spell(3, True, 4), Spell(3, False, 2), Spell(9, True, 1)]
    split = [Spell(9, True, 1), Spell(3, False, 1), Spell(3, True, 4), Spell(3, False, 1)]
    assert kaplan_meier(spells) == kaplan_meier(split)


def test_no_history_has_no_percentiles():
    assert kaplan_meier([]) == Curve()


def test_until_there_is_enough_the_documented_default_holds():
    few = Curve(1, 2, 3, ended=expecting.ENOUGH - 1)
    assert expectation(few, None) is expecting.DEFAULT
    assert not expecting.DEFAULT.is_learned
    assert expecting.DEFAULT.stuck_after == days(10)


def test_the_most_specific_history_with_enough_behind_it_counts():
    few, many = Curve(1, 2, 3, ended=50), Curve(24, 144, 240, ended=412)
    found = expectation(few, many)
    assert (found.usual_after, found.late_after, found.stuck_after, found.refunds) == (days(1), days(6), days(10), 412)
    assert expectation(many, few) == found


@pytest.mark.parametrize(
    ("curve", "late", "stuck"),
    [
        (Curve(1, 1, 2, ended=500), days(1), days(3)),
        (Curve(24, 100 * 24, None, ended=500), days(60), days(60)),
        (Curve(24, None, None, ended=500), days(5), days(10)),
        (Curve(24, 48, 90 * 24, ended=500), days(2), days(60)),
    ],
    ids=["seconds are no reason to cry", "very slow", "most are still open", "a long tail"],
)
def test_what_was_learned_stays_within_reason(curve, late, stuck):
    found = expectation(curve)
    assert (found.late_after, found.stuck_after) == (late, stuck)


@pytest.mark.parametrize(
    ("length", "words"),
    [(days(6), "6 days"), (days(5.1), "6 days"), (days(1), "1 day"), (days(1 / 8), "3 hours"), (days(0), "1 hour")],
)
def test_a_length_is_rounded_up(length, words):
    assert in_words(length) == words
