"""The queue is a doorbell and one ticker: what rings, what the ticker finds, and that losing a task loses nothing."""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import Any
from unittest.mock import Mock

import pytest
from django.conf import settings
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.signing import SignedPackage

from connectors.models import ConnectorAccount, DeliveryState, WebhookDelivery
from refunds import services, tasks, ticker
from refunds.models import AccountPolling, Alert, AlertKind, CreationWindow, Heartbeat, Refund, Sighting
from tests.factories import AccountFactory, RefundFactory
from tests.services.test_deliveries import Door, event

pytestmark = pytest.mark.django_db


def queued() -> list[tuple[str, tuple[Any, ...]]]:
    tasks_waiting = [SignedPackage.loads(entry.payload) for entry in OrmQ.objects.order_by("id")]
    return [(task["func"], task["args"]) for task in tasks_waiting]


@pytest.fixture
def quiet_account():
    account = AccountFactory.create()
    later = timezone.now() + dt.timedelta(hours=1)
    AccountPolling.objects.create(account=account, next_changes_at=later, next_settlement_at=later)
    CreationWindow.objects.create(account=account, day=timezone.now().date(), next_list_at=later)
    return account


def test_of_several_supervisors_one_puts_the_tick_and_a_minute_must_pass():
    assert [ticker.put_tick_when_due() for _ in range(3)] == [True, False, False]
    assert queued() == [("refunds.tasks.tick_unless_just_done", ())]
    Heartbeat.objects.update(started_at=timezone.now() - dt.timedelta(days=4))
    assert [ticker.put_tick_when_due() for _ in range(3)] == [True, False, False]


def test_ticks_that_piled_up_while_no_worker_was_there_run_once():
    assert [ticker.begin_tick() for _ in range(3)] == [True, False, False]


def test_a_bad_schedule_row_stops_nothing():
    Schedule.objects.create(name="bad", func="refunds.tasks.gone", args="not python(", next_run=timezone.now())
    assert ticker.put_tick_when_due()
    assert settings.Q_CLUSTER["scheduler"] is False


def test_a_step_of_the_tick_that_fails_stops_no_other_and_is_alerted_until_it_works(quiet_account, monkeypatch):
    Door(quiet_account).post(event())
    OrmQ.objects.all().delete()
    with monkeypatch.context() as poisoned:
        poisoned.setattr(services, "release_held", Mock(side_effect=ZeroDivisionError, __name__="release_held"))
        tasks.tick()
    assert ("refunds.tasks.apply_deliveries", ()) in queued()
    assert Alert.objects.get(kind=AlertKind.TICK_FAILED).closed_at is None
    tasks.tick()
    assert Alert.objects.get(kind=AlertKind.TICK_FAILED).closed_at is not None


def test_a_delivery_rings_the_doorbell_with_a_task_without_arguments():
    Door(AccountFactory.create()).post(event())
    assert queued() == [("refunds.tasks.apply_deliveries", ())]


def test_the_doorbell_rings_at_most_once_a_second():
    door = Door(AccountFactory.create())
    for n in range(5):
        door.post(event(event_id=f"evt_{n}"))
    assert len(queued()) == 1


def test_the_ticker_finds_what_a_lost_doorbell_left(quiet_account):
    Door(quiet_account).post(event())
    OrmQ.objects.all().delete()
    tasks.tick()
    assert ("refunds.tasks.apply_deliveries", ()) in queued()
    assert tasks.apply_deliveries() == 1
    assert WebhookDelivery.objects.get().state == DeliveryState.APPLIED
    assert Refund.objects.get().status == "SUCCEEDED"


def test_the_last_of_a_crowd_is_rung_for_again(quiet_account):
    door = Door(quiet_account)
    door.post(event(event_id="evt_1"))
    assert not ticker.ring_again()
    services.apply_deliveries()
    OrmQ.objects.all().delete()
    assert not ticker.ring_again()
    door.post(event(event_id="evt_2"))
    assert queued() == []
    assert ticker.ring_again()
    assert queued() == [("refunds.tasks.apply_deliveries", ())]


def test_who_has_applied_something_looks_on_for_more(quiet_account, monkeypatch):
    door = Door(quiet_account)
    door.post(event(event_id="evt_1"))
    OrmQ.objects.all().delete()
    later = iter([lambda: door.post(event(event_id="evt_2"))])
    monkeypatch.setattr(time, "sleep", lambda _: next(later, lambda: None)())
    assert tasks.apply_deliveries() == 2


def test_nobody_looks_on_while_other_tasks_wait(quiet_account, monkeypatch):
    Door(quiet_account).post(event())
    assert queued() == [("refunds.tasks.apply_deliveries", ())]
    monkeypatch.setattr(time, "sleep", Mock(side_effect=AssertionError("it waited")))
    assert tasks.apply_deliveries() == 1


def test_who_has_found_nothing_at_all_does_not_wait(quiet_account, monkeypatch):
    monkeypatch.setattr(time, "sleep", Mock(side_effect=AssertionError("it waited")))
    assert tasks.apply_deliveries() == 0


def test_what_is_due_to_be_tried_again_is_rung_for_and_not_before(quiet_account):
    Door(quiet_account).post(event())
    later = timezone.now() + dt.timedelta(hours=1)
    WebhookDelivery.objects.update(attempts=1, next_attempt_at=later)
    OrmQ.objects.all().delete()
    assert not ticker.ring_again()
    WebhookDelivery.objects.update(next_attempt_at=timezone.now())
    assert ticker.ring_again()


def test_what_is_to_be_tried_again_has_a_task_of_its_own(quiet_account):
    Door(quiet_account).post(event())
    WebhookDelivery.objects.update(attempts=1)
    OrmQ.objects.all().delete()
    assert tasks.apply_deliveries() == 0
    assert queued() == [("refunds.tasks.try_deliveries_again", ())]
    assert tasks.try_deliveries_again() == 1
    assert WebhookDelivery.objects.get().state == DeliveryState.APPLIED


def test_the_ticker_polls_only_accounts_with_something_due(quiet_account):
    assert tasks.accounts_due() == []
    RefundFactory.create(account=quiet_account, next_poll_at=timezone.now())
    tasks.tick()
    assert ("refunds.tasks.poll_accounts", ([quiet_account.pk],)) in queued()


def test_a_sighting_or_a_change_feed_that_is_due_makes_an_account_due(quiet_account):
    now = timezone.now()
    sighting = Sighting.objects.create(account=quiet_account, connector_refund_id="re", seen_at=now, next_poll_at=now)
    assert tasks.accounts_due() == [quiet_account.pk]
    sighting.delete()
    AccountPolling.objects.update(next_changes_at=now)
    assert tasks.accounts_due() == [quiet_account.pk]


def test_a_new_day_makes_an_account_that_lists_due(quiet_account):
    CreationWindow.objects.update(day=timezone.now().date() - dt.timedelta(days=1))
    assert tasks.accounts_due() == [quiet_account.pk]


def test_an_account_that_can_be_asked_nothing_is_never_due():
    AccountFactory.create(connector="adyen")
    assert tasks.accounts_due() == []


def test_a_paused_account_is_left_alone(quiet_account):
    RefundFactory.create(account=quiet_account, next_poll_at=timezone.now())
    AccountPolling.objects.update(paused_until=timezone.now() + dt.timedelta(minutes=5))
    assert tasks.accounts_due() == []


def test_polling_an_account_that_is_gone_does_nothing():
    assert tasks.poll_account(4711) == 0


@pytest.mark.django_db(transaction=True)
def test_accounts_are_polled_side_by_side_and_a_bug_at_one_ends_no_other_turn(monkeypatch):
    accounts = [AccountFactory.create(connector="adyen") for _ in range(3)]
    meeting = threading.Barrier(2, timeout=10)

    def poll(account: ConnectorAccount) -> int:
        if account == accounts[0]:
            raise RuntimeError("a bug")
        # Nobody gets past this unless both are being polled at this moment.
        meeting.wait()
        return 1

    monkeypatch.setattr(services, "poll_account", poll)
    assert tasks.poll_accounts([account.pk for account in accounts]) == 2


def test_accounts_that_answer_come_before_those_in_trouble(quiet_account):
    troubled = AccountFactory.create()
    AccountPolling.objects.create(account=troubled, failures=3)
    AccountPolling.objects.filter(account=quiet_account).update(next_changes_at=timezone.now())
    fresh = AccountFactory.create()
    assert tasks.accounts_due() == [fresh.pk, quiet_account.pk, troubled.pk]


def test_a_clock_that_was_set_back_delays_no_feed_and_is_told_until_a_processor_agrees(quiet_account):
    now = timezone.now()
    Heartbeat.objects.create(name=Heartbeat.TICKER, beat_at=now + dt.timedelta(hours=1))
    AccountPolling.objects.update(next_changes_at=now + dt.timedelta(minutes=65))
    tasks.tick_unless_just_done()
    assert AccountPolling.objects.get().next_changes_at < now + dt.timedelta(minutes=6)
    assert CreationWindow.objects.get().next_list_at < now + dt.timedelta(minutes=1)
    alerts = Alert.objects.filter(kind=AlertKind.CLOCK_SKEW, closed_at__isnull=True)
    assert alerts.count() == 1
    tasks.tick_unless_just_done()
    assert alerts.count() == 1
    AccountPolling.objects.update(last_answer_at=timezone.now() + dt.timedelta(seconds=1))
    tasks.tick_unless_just_done()
    assert not alerts.exists()


def test_the_ticker_does_not_sleep_until_a_clock_that_was_set_back_catches_up():
    assert ticker.put_tick_when_due()
    assert ticker.begin_tick()
    an_hour_ahead = timezone.now() + dt.timedelta(hours=1)
    Heartbeat.objects.filter(name=Heartbeat.TICKER).update(started_at=an_hour_ahead, beat_at=an_hour_ahead)
    assert [ticker.put_tick_when_due() for _ in range(2)] == [True, False]
    assert [ticker.begin_tick() for _ in range(2)] == [True, False]


def test_a_delivery_kept_before_our_clock_was_set_back_is_applied_at_once(quiet_account):
    Door(quiet_account).post(event())
    WebhookDelivery.objects.update(next_attempt_at=timezone.now() + dt.timedelta(hours=1))
    assert tasks.apply_deliveries() == 1


def test_an_account_that_is_being_polled_is_not_started_once_more(quiet_account):
    RefundFactory.create(account=quiet_account, next_poll_at=timezone.now())
    state = AccountPolling.of(quiet_account)
    assert state.take_lease(seconds=60)
    assert tasks.accounts_due() == []
    AccountPolling.objects.update(lease_until=timezone.now() - dt.timedelta(seconds=1))
    assert tasks.accounts_due() == [quiet_account.pk]
