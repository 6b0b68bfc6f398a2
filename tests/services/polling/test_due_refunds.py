"""Refunds that are due: asked about one by one, and no odd answer changes what is shown."""

from __future__ import annotations

import datetime as dt

import httpx
import pytest
import time_machine
from django.utils import timezone

from connectors.contract import Money
from refunds import services
from refunds.models import Alert, AlertKind, CreationWindow, Observation, Refund, Sighting
from refunds.services import Registration
from tests.factories import RefundFactory
from tests.services.polling.double import due

pytestmark = pytest.mark.django_db


def test_a_due_refund_is_asked_about_and_its_next_poll_moves_on(account, processor):
    processor.has("re_1", "pending")
    due(account)
    assert services.poll_account(account) == 1
    refund = Refund.objects.get()
    assert (refund.stage_word, refund.source, refund.last_answer) == ("pending", "get", "answered")
    assert refund.checked_at is not None
    assert dt.timedelta(0) < refund.next_poll_at - timezone.now() <= dt.timedelta(minutes=5)


def test_what_is_not_due_is_left_alone(account, processor):
    RefundFactory.create(account=account, next_poll_at=timezone.now() + dt.timedelta(minutes=1))
    assert services.poll_account(account) == 0


def test_not_found_is_no_failure_of_the_refund(account, processor):
    refund = due(account)
    services.poll_account(account)
    refund.refresh_from_db()
    assert (refund.status, refund.last_answer, refund.polls_done) == ("PENDING", "not_found", 1)
    assert not Observation.objects.exists()


@pytest.mark.parametrize(
    "instead",
    [
        lambda _: httpx.Response(500),
        lambda _: httpx.Response(200, content=b"<html>"),
        lambda _: httpx.Response(200, content=b'{"id": "re_1", "status": NaN}'),
        lambda _: httpx.Response(302, headers={"Location": "http://169.254.169.254/"}),
        lambda _: httpx.Response(200, json={"id": "re_other", "status": "succeeded"}),
    ],
    ids=["500", "garbage", "NaN", "redirect", "another refund"],
)
def test_a_hostile_answer_changes_no_state(account, processor, instead):
    processor.instead = instead
    refund = due(account)
    services.poll_account(account)
    refund.refresh_from_db()
    assert refund.status == "PENDING"
    assert refund.last_answer in ("unavailable", "malformed_answer")
    assert not Observation.objects.exists()


def test_an_unreachable_processor_changes_no_state(account, processor):
    def unreachable(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    processor.instead = unreachable
    refund = due(account)
    services.poll_account(account)
    refund.refresh_from_db()
    assert (refund.status, refund.last_answer) == ("PENDING", "unavailable")


def test_a_word_we_do_not_know_is_not_asked_about_every_minute(account, processor):
    processor.has("re_1", "teleported")
    due(account)
    services.poll_account(account)
    assert Refund.objects.get().next_poll_at - timezone.now() <= dt.timedelta(seconds=60)
    for _ in range(3):
        Refund.objects.update(next_poll_at=timezone.now())
        services.poll_account(account)
    assert Refund.objects.get().next_poll_at - timezone.now() > dt.timedelta(minutes=10)


def test_an_unknown_word_said_again_adds_no_rows_and_keeps_its_since(account, processor):
    processor.has("re_1", "teleported")
    refund = due(account)
    services.sync_refund(refund)
    first = Refund.objects.get()
    with time_machine.travel(timezone.now() + dt.timedelta(minutes=5), tick=True):
        services.sync_refund(refund)
    again = Refund.objects.get()
    assert (Observation.objects.count(), again.unrecognized_since) == (1, first.unrecognized_since)
    assert Alert.objects.get(kind=AlertKind.UNKNOWN_WORD).count == 1
    assert again.checked_at > first.checked_at


def test_a_sighting_is_asked_about_until_it_is_found(account, processor):
    now = timezone.now()
    Sighting.objects.create(account=account, connector_refund_id="re_1", seen_at=now, next_poll_at=now)
    services.poll_account(account)
    assert Sighting.objects.get().polls_done == 1
    processor.has("re_1")
    Sighting.objects.update(next_poll_at=timezone.now())
    services.poll_account(account)
    assert Refund.objects.get().status == "SUCCEEDED"
    assert not Sighting.objects.exists()


def test_a_listing_that_happens_to_hold_a_refund_is_not_one_of_its_polls(account, processor):
    processor.has("re_1", "pending")
    soon = timezone.now() + dt.timedelta(seconds=50)
    refund = RefundFactory.create(account=account, connector_refund_id="re_1", next_poll_at=soon)
    services.poll_account(account)
    for _ in range(3):
        CreationWindow.objects.filter(day=timezone.now().date()).update(next_list_at=timezone.now())
        services.poll_account(account)
        # The first listing is news; what it says again is not.
        if not refund.polls_done:
            Refund.objects.update(next_poll_at=soon, polls_done=1)
            refund.refresh_from_db()
    refund.refresh_from_db()
    assert (refund.polls_done, refund.next_poll_at) == (1, soon)
    assert refund.checked_at is not None


def test_a_return_is_counted_once_however_often_it_is_confirmed(account, processor):
    services.register_refunds(account, [Registration(connector_refund_id="re_1", amount=Money(500, "EUR"))])
    for status in ("succeeded", "failed", "failed", "failed"):
        processor.has("re_1", status)
        with time_machine.travel(timezone.now() + dt.timedelta(minutes=status == "failed"), tick=True):
            services.sync_refund(Refund.objects.get())
    assert Alert.objects.get(kind=AlertKind.RETURNED_AFTER_SUCCESS).count == 1


def test_what_comes_with_an_unknown_word_is_kept(account, processor):
    processor.has("re_1", "teleported")
    refund = services.sync_refund(due(account)).refund
    assert (refund.minor_amount, refund.currency, refund.connector_transaction_id) == (500, "EUR", "pi_1")
