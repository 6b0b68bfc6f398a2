"""The ARN comes days after success: it is asked for ever more seldom, until it is there or will not come."""

from __future__ import annotations

import datetime as dt

import pytest
import time_machine
from django.utils import timezone

from refunds import polling, services
from refunds.models import Refund
from tests.pages.world import ARN
from tests.services.polling.double import due

pytestmark = pytest.mark.django_db


@pytest.fixture
def card(processor):
    """What the processor says of the card, by now."""
    processor.has("re_1", "succeeded")
    said = {"type": "refund", "reference_status": "pending", "reference_type": "acquirer_reference_number"}
    processor.refunds["re_1"]["destination_details"] = {"type": "card", "card": said}
    return said


def wait() -> dt.timedelta:
    return Refund.objects.get().next_poll_at - timezone.now()


def ask(account, clock) -> None:
    """Go to the moment the refund is due, and poll."""
    clock.move_to(Refund.objects.get().next_poll_at + dt.timedelta(seconds=1))
    services.poll_account(account)


def test_it_is_asked_for_until_it_is_there(account, card):
    due(account)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        services.poll_account(account)
        waits = [wait()]
        for _ in range(4):
            ask(account, clock)
            waits.append(wait())
        for found, longest in zip(waits, (0.5, 1, 2, 4, 4), strict=True):
            assert found <= dt.timedelta(days=longest) * 1.001
            assert found >= dt.timedelta(days=longest) * 0.89
        card |= {"reference_status": "available", "reference": ARN}
        ask(account, clock)
    refund = Refund.objects.get()
    assert (refund.acquirer_reference_number, refund.next_poll_at) == (ARN, None)


def test_it_is_asked_for_no_more_once_there_will_be_none(account, card):
    card["reference_status"] = "unavailable"
    due(account)
    services.poll_account(account)
    assert Refund.objects.get().next_poll_at is None


def test_it_is_asked_for_no_more_after_a_month(account, card):
    due(account)
    with time_machine.travel(timezone.now(), tick=False) as clock:
        services.poll_account(account)
        asked = 1
        while Refund.objects.get().next_poll_at is not None:
            ask(account, clock)
            asked += 1
            assert asked < 20
        age = timezone.now() - Refund.objects.get().created_at
    assert age <= polling.REFERENCE_UNTIL
    assert 8 <= asked <= 12


def test_a_reversal_is_not_asked_about(account, card):
    card["type"] = "reversal"
    due(account)
    services.poll_account(account)
    assert Refund.objects.get().next_poll_at is None
