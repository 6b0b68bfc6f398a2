"""When to ask again: decay, jitter that only makes things earlier, and the cheaper way of asking."""

from __future__ import annotations

import datetime as dt

import pytest

from connectors.contract import Connector, MethodFamily, ReferenceState, Stage, Status
from refunds import polling


class WithGet(Connector):
    def get_refund(self, reference):
        yield


class WithList(WithGet):
    def list_refunds(self, window, cursor):
        yield


class WithNothing(Connector):
    pass


def days(n: float) -> dt.timedelta:
    return dt.timedelta(days=n)


def wait(
    status: Status, connector: type[Connector], *, age: dt.timedelta = dt.timedelta(0), done: int = 0, jitter: float = 0
):
    return polling.next_poll(status, connector=connector, age=age, polls_done=done, jitter=jitter)


def test_asking_about_a_pending_refund_decays_but_never_stops():
    minutes = [wait(Status.PENDING, WithGet, done=n) / dt.timedelta(minutes=1) for n in range(7)]
    assert minutes == [1, 5, 15, 60, 360, 1440, 1440]


@pytest.mark.parametrize(
    ("connector", "age", "expected"),
    [
        (WithGet, days(1), days(1)),
        (WithGet, days(29), days(1)),
        (WithGet, days(31), days(7)),
        (WithGet, days(181), None),
        (WithList, days(1), None),
        (WithNothing, days(1), None),
    ],
    ids=["young", "a month", "older", "half a year", "listed instead", "cannot be asked"],
)
def test_what_seemed_settled_is_still_looked_at(connector, age, expected):
    assert wait(Status.SUCCEEDED, connector, age=age) == expected


def test_jitter_only_makes_it_earlier_and_by_a_tenth_at_most():
    waits = [wait(Status.PENDING, WithGet, jitter=share / 10) for share in range(11)]
    assert max(waits) == dt.timedelta(minutes=1)
    assert min(waits) == dt.timedelta(seconds=54)


@pytest.mark.parametrize(
    ("due", "created", "expected"),
    [(5, 5, False), (100, 100, True), (100, 100_000, False), (10_000, 10_000, True)],
)
def test_listing_is_chosen_where_it_costs_clearly_fewer_calls(due, created, expected):
    assert polling.listing_is_cheaper(due=due, created_in_window=created) is expected


def test_the_breaker_opens_after_five_failures_and_doubles_up_to_an_hour():
    pauses = [polling.breaker_pause(failures) for failures in range(4, 20)]
    assert pauses[0] is None
    assert pauses[1] == dt.timedelta(seconds=30)
    assert pauses[2] == dt.timedelta(seconds=60)
    assert pauses[-1] == dt.timedelta(hours=1)


def test_the_bucket_fills_with_time_and_holds_one_second():
    assert polling.permits(tokens=0, seconds=0.5, per_second=5) == 2.5
    assert polling.permits(tokens=0, seconds=100, per_second=5) == 5


class SendsReferencesLate(WithList):
    reference_follows = True
    payment_methods = {"visa": MethodFamily.CARD}


WANTED = {
    "stage": Stage.SUCCEEDED, "kind": "refund", "method": "visa", "arn": "", "reference_state": ReferenceState.PENDING,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"reference_state": ""}, True),
        ({"reference_state": ReferenceState.AVAILABLE}, True),
        ({"method": "sepa_debit"}, True),
        ({"method": "sepa_debit", "reference_state": ""}, False),
        ({"reference_state": ReferenceState.UNAVAILABLE}, False),
        ({"arn": "24011234567890123456783"}, False),
        ({"kind": "reversal"}, False),
        ({"stage": Stage.VOIDED}, False),
        ({"stage": Stage.FAILED}, False),
        ({"stage": Stage.PENDING}, False),
    ],
)
def test_an_arn_is_wanted_as_long_as_one_may_come(changes, expected):
    assert polling.wants_reference(SendsReferencesLate, **{**WANTED, **changes}) is expected
    assert not polling.wants_reference(WithList, **{**WANTED, **changes})


def wait_for_arn(connector: type[Connector], *, age: float, done: int) -> dt.timedelta | None:
    return polling.next_poll(
        Status.SUCCEEDED, connector=connector, age=days(age), polls_done=done, reference_wanted=True, jitter=0
    )  # fmt: skip


def test_asking_for_the_arn_decays_and_ends_after_a_month():
    assert [wait_for_arn(SendsReferencesLate, age=1, done=n) for n in range(6)] == [
        days(0.5), days(1), days(2), days(4), days(4), days(4),
    ]  # fmt: skip
    assert wait_for_arn(SendsReferencesLate, age=25.9, done=9) == days(4)
    assert wait_for_arn(SendsReferencesLate, age=26.1, done=9) is None


def test_where_a_refund_is_asked_about_daily_anyway_the_arn_changes_little():
    assert wait_for_arn(WithGet, age=1, done=0) == days(0.5)
    assert wait_for_arn(WithGet, age=1, done=5) == days(1)
    assert wait_for_arn(WithGet, age=40, done=5) == days(7)


def test_nobody_is_asked_who_cannot_be():
    assert wait_for_arn(WithNothing, age=1, done=0) is None
