"""What an account learns from its own history, and what is stuck by it."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from connectors.contract import Money, Stage
from refunds import expecting, facts, services
from refunds.facts import Source
from refunds.models import Refund, UsualTime
from refunds.models.usual_time import ALL_METHODS, Goal
from refunds.services import usual_times
from tests.factories import AccountFactory, RefundFactory
from tests.pages.world import Story, days

pytestmark = pytest.mark.django_db
HOUR = dt.timedelta(hours=1)


def key(moment: dt.datetime, stage: Stage) -> str:
    return facts.key(moment, stage, Source.WEBHOOK, "0" * 16)


def refund(account, *, age: dt.timedelta, done_after: dt.timedelta | None = None, **fields) -> Refund:
    """One that the processor called a success so long after it was made; or one that is still pending."""
    made = timezone.now() - age
    first = key(made + done_after, Stage.SUCCEEDED) if done_after is not None else ""
    status = "PENDING" if done_after is None else "SUCCEEDED"
    values = {"created_at": made, "status": status, "first_success_key": first, "payment_method": "card", **fields}
    return RefundFactory.create(account=account, **values)


def curve(account, *, goal: Goal = Goal.SUCCESS, method: str = ALL_METHODS):
    found = UsualTime.objects.get(account=account, goal=goal, method=method).curve
    return (found.p50_hours, found.p90_hours, found.p99_hours, found.ended, found.open)


@pytest.fixture
def account(db):
    return AccountFactory.create()


def test_percentiles_are_of_the_time_from_making_to_success(account):
    for hours in range(10):
        refund(account, age=days(20), done_after=hours * HOUR + dt.timedelta(minutes=30))
    assert services.learn(account) == 10
    assert curve(account) == (5, 9, 10, 10, 0)
    assert curve(account, method="card") == (5, 9, 10, 10, 0)


def test_what_is_still_pending_is_counted_as_far_as_it_came(account):
    for _ in range(6):
        refund(account, age=days(20), done_after=HOUR / 2)
    for _ in range(4):
        refund(account, age=days(20))
    services.learn(account)
    assert curve(account) == (1, None, None, 6, 4)


def test_a_refund_that_came_back_later_had_succeeded_once(account):
    bounced = key(timezone.now() - days(11), Stage.FAILED)
    refund(account, age=days(20), done_after=HOUR * 1.5, status="FAILED", first_failure_key=bounced)
    services.learn(account)
    assert curve(account)[3:] == (1, 0)


def test_a_failure_leaves_when_it_failed(account):
    made = timezone.now() - days(20)
    refund(account, age=days(20), status="FAILED", first_failure_key=key(made + HOUR * 1.5, Stage.FAILED))
    refund(account, age=days(20), done_after=HOUR * 4.5)
    services.learn(account)
    assert curve(account) == (5, 5, 5, 1, 1)


@pytest.mark.parametrize(("option", "ended"), [(True, 1), (False, 0)])
def test_accepted_is_an_end_only_where_the_account_calls_it_success(option, ended):
    account = AccountFactory.create(connector="adyen", accepted_is_success=option)
    refund(account, age=days(3), first_accepted_key=key(timezone.now() - days(2), Stage.ACCEPTED))
    services.learn(account)
    assert curve(account)[3] == ended


def test_a_booking_is_an_end_of_its_own(account):
    refund(account, age=days(20), done_after=HOUR / 2, settled_at=timezone.now() - days(18) + HOUR / 2)
    services.learn(account)
    assert curve(account, goal=Goal.SETTLEMENT) == (49, 49, 49, 1, 0)
    assert curve(account) == (1, 1, 1, 1, 0)


def test_a_claim_of_success_is_no_success(account):
    registration = services.Registration(
        connector_refund_id="re_1", amount=Money(1, "EUR"), status="SUCCEEDED", requested_at=timezone.now() - days(2)
    )
    services.register_refunds(account, [registration])
    services.learn(account)
    assert curve(account)[3:] == (0, 1)


def test_what_facts_say_is_what_is_learned(account):
    """Through the door by which facts come, not by columns written here."""
    for number in range(3):
        story = Story(account, f"re_{number}", Money(1, "EUR"), age=days(10))
        story.told(Stage.PENDING, "pending", after=dt.timedelta(seconds=1))
        story.told(Stage.SUCCEEDED, "succeeded", after=HOUR * 7.5)
    services.learn(account)
    assert curve(account) == (8, 8, 8, 3, 0)


def test_each_family_of_methods_has_a_curve_of_its_own(account):
    refund(account, age=days(20), done_after=HOUR / 2)
    refund(account, age=days(20), done_after=HOUR * 30.5, payment_method="sepa_debit")
    refund(account, age=days(20), done_after=HOUR * 40.5, payment_method="a word nobody knows")
    services.learn(account)
    assert curve(account, method="card")[1] == 1
    assert curve(account, method="bank")[1] == 31
    assert curve(account, method="unknown")[1] == 41


def test_old_refunds_and_other_accounts_teach_nothing(account):
    refund(account, age=usual_times.WINDOW + days(1), done_after=HOUR)
    refund(AccountFactory.create(), age=days(2), done_after=HOUR)
    assert services.learn(account) == 0
    assert curve(account) == (None, None, None, 0, 0)


def test_learning_again_replaces_what_was_known(account):
    gone = refund(account, age=days(2), done_after=HOUR, payment_method="sepa_debit")
    services.learn(account)
    Refund.objects.filter(pk=gone.pk).update(payment_method="card")
    services.learn(account)
    assert set(UsualTime.objects.values_list("method", flat=True)) == {"", "card"}


def test_the_cost_is_bounded_by_slots_and_not_by_refunds(account, monkeypatch):
    monkeypatch.setattr(usual_times, "MOST_IN_A_SLOT", 3)
    for number in range(10):
        refund(account, age=days(5) + number * dt.timedelta(seconds=1), done_after=HOUR)
    assert services.learn(account) == 3
    with CaptureQueriesContext(connection) as few:
        services.learn(account)
    for number in range(50):
        refund(account, age=days(9) + number * dt.timedelta(seconds=1), done_after=HOUR)
    with CaptureQueriesContext(connection) as many:
        services.learn(account)
    assert len(many) == len(few)


def test_the_ticker_learns_of_one_account_at_a_time_once_a_day(account):
    other = AccountFactory.create()
    for each in (account, other):
        refund(each, age=days(2), done_after=HOUR)
    assert [services.learn_usual_times() for _ in range(3)] == [1, 1, 0]
    UsualTime.objects.update(computed_at=timezone.now() - days(2))
    assert services.learn_usual_times() == 1


def learned(account, *, p99_days: int, method: str = ALL_METHODS, ended: int = expecting.ENOUGH) -> None:
    UsualTime.objects.create(
        account=account, goal=Goal.SUCCESS, method=method, p50_hours=24, p90_hours=48, p99_hours=p99_days * 24,
        ended=ended, open=0, since=timezone.now(), computed_at=timezone.now(),
    )  # fmt: skip


def test_a_list_of_stuck_refunds_reads_what_was_learned_once(account, django_assert_num_queries):
    learned(account, p99_days=4)
    for _ in range(5):
        refund(account, age=days(5))
    with django_assert_num_queries(2):
        assert [each.is_stuck for each in Refund.objects.select_related("account")] == [True] * 5


def test_stuck_goes_by_what_each_account_and_method_has_learned(account):
    slow, unlearned = AccountFactory.create(), AccountFactory.create()
    learned(account, p99_days=4)
    learned(account, p99_days=20, method="bank")
    learned(account, p99_days=1, method="wallet", ended=expecting.ENOUGH - 1)
    learned(slow, p99_days=30)
    stuck = [
        refund(account, age=days(5)),
        refund(account, age=days(5), payment_method=""),
        refund(account, age=days(21), payment_method="iDEAL"),
        refund(account, age=days(21), payment_method="bank"),
        refund(account, age=days(5), payment_method="paypal"),
        refund(slow, age=days(31)),
        refund(unlearned, age=days(11)),
    ]
    fine = [
        refund(account, age=days(3)),
        refund(account, age=days(19), payment_method="ideal"),
        refund(slow, age=days(29)),
        refund(unlearned, age=days(9)),
        refund(account, age=days(40), done_after=HOUR),
    ]
    UsualTime.forget_what_was_read()
    found = set(Refund.objects.stuck(timezone.now()))
    assert found == set(stuck)
    for each in [*stuck, *fine]:
        assert Refund.objects.get(pk=each.pk).is_stuck == (each in stuck)
