"""An account's option changes what is shown, not what is known, and sends nobody a message."""

from __future__ import annotations

import pytest

from connectors.contract import Stage
from refunds import history, services
from refunds.facts import Source
from refunds.models import OutboxEvent, Refund
from tests.factories import T0, AccountFactory, fact

pytestmark = pytest.mark.django_db


@pytest.fixture
def account():
    account = AccountFactory.create(connector="adyen")
    said = [
        fact("re_sent", Stage.ACCEPTED),
        fact("re_back", Stage.ACCEPTED),
        fact("re_back", Stage.FAILED, at=60),
        fact("re_done", Stage.SUCCEEDED),
    ]
    services.record_facts(
        [services.item_of_event(one, account_id=account.pk, source=Source.WEBHOOK, received_at=T0) for one in said]
    )
    return account


def shown() -> dict[str, tuple[str, bool]]:
    rows = Refund.objects.values_list("connector_refund_id", "status", "returned_after_success")
    return {refund_id: (status, returned) for refund_id, status, returned in rows}


def test_accepted_becomes_pending_and_back_again(account):
    before, messages = shown(), OutboxEvent.objects.count()
    assert before == {"re_sent": ("SUCCEEDED", False), "re_back": ("FAILED", True), "re_done": ("SUCCEEDED", False)}
    account.accepted_is_success = False
    account.save()
    assert shown() == {"re_sent": ("PENDING", False), "re_back": ("FAILED", False), "re_done": ("SUCCEEDED", False)}
    for refund in Refund.objects.select_related("account"):
        told = history.timeline(refund)
        assert (told.status, told.returned_after_success) == (refund.status, refund.returned_after_success)
    account.accepted_is_success = True
    account.save()
    assert shown() == before
    assert OutboxEvent.objects.count() == messages
