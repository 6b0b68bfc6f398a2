"""Applied deliveries leave the inbox after their time; nothing else does, and what they said stays."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from connectors import archive, inbox
from connectors.models import ConnectorAccount, DeliveryArchive, DeliveryState, WebhookDelivery, WebhookEndpoint
from refunds import services
from refunds.models import Alert, AlertKind, Observation, Refund
from refunds.operations.health import health
from tests.factories import T0, AccountFactory
from tests.services.test_deliveries import Door, event

pytestmark = pytest.mark.django_db

DAY = dt.timedelta(days=1)
OLD = 91 * DAY


@pytest.fixture
def door():
    return Door(AccountFactory.create())


def age(by: dt.timedelta = OLD) -> None:
    WebhookDelivery.objects.update(received_at=timezone.now() - by)


def last_valid_at() -> dt.datetime | None:
    """Of the only endpoint."""
    found: dt.datetime | None = getattr(WebhookEndpoint.objects.with_last_valid_at().get(), "last_valid_at", T0)
    return found


def test_an_applied_delivery_is_purged_after_its_time_and_what_it_said_stays(door):
    door.post(event())
    services.apply_deliveries()
    number = WebhookDelivery.objects.get().pk
    age(dt.timedelta(days=89))
    assert services.purge_deliveries() == 0
    age()
    assert services.purge_deliveries() == 1
    assert not WebhookDelivery.objects.exists()
    assert Refund.objects.get().status == "SUCCEEDED"
    assert Observation.objects.get().delivery_id == number


def test_what_waits_or_is_parked_stays_however_old(door):
    for n in range(2):
        door.post(event(event_id=f"evt_{n}"))
    WebhookDelivery.objects.filter(dedupe_key="evt_1").update(state=DeliveryState.PARKED)
    age()
    assert services.purge_deliveries() == 0
    assert WebhookDelivery.objects.count() == 2


def test_nought_days_keep_deliveries_for_ever(door, settings):
    settings.KEEP_DELIVERIES_DAYS = 0
    door.post(event())
    services.apply_deliveries()
    age()
    assert services.purge_deliveries() == 0


def test_what_is_not_archived_yet_stays(door, monkeypatch):
    for n in range(2):
        door.post(event(event_id=f"evt_{n}"))
    services.apply_deliveries()
    age()
    WebhookDelivery.objects.filter(dedupe_key="evt_0").update(received_at=timezone.now() - 2 * OLD)
    monkeypatch.setattr(inbox, "kept_until", [lambda: timezone.now() - 1.5 * OLD, lambda: None])
    assert services.purge_deliveries() == 1
    assert WebhookDelivery.objects.get().dedupe_key == "evt_1"


def test_where_there_is_an_archive_purging_waits_for_it(door, tmp_path):
    door.post(event(event_id="evt_archived"))
    services.apply_deliveries()
    age()
    WebhookDelivery.objects.update(received_at=timezone.now() - 2 * OLD)
    archive.archive(tmp_path)
    DeliveryArchive.objects.update(received_until=timezone.now() - 1.5 * OLD)
    door.post(event(event_id="evt_since"))
    services.apply_deliveries()
    WebhookDelivery.objects.filter(dedupe_key="evt_since").update(received_at=timezone.now() - OLD)
    assert services.purge_deliveries() == 1
    assert WebhookDelivery.objects.get().dedupe_key == "evt_since"


def test_an_event_that_comes_again_after_its_delivery_was_purged_changes_nothing(door):
    door.post(event())
    services.apply_deliveries()
    before = Refund.objects.values("status", "winning_key").get()
    age()
    services.purge_deliveries()
    door.post(event())
    services.apply_deliveries()
    assert Refund.objects.values("status", "winning_key").get() == before
    assert Observation.objects.count() == 1


def test_a_purge_ends_in_time_and_goes_on_at_the_next_tick(door, monkeypatch):
    monkeypatch.setattr(services.purging, "PURGE_BATCH", 1)
    for n in range(3):
        door.post(event(event_id=f"evt_{n}"))
    services.apply_deliveries()
    age()
    assert services.purge_deliveries(seconds=0) == 0
    assert services.purge_deliveries() == 3


def test_an_endpoint_whose_deliveries_were_all_purged_is_remembered_as_healthy(door):
    door.post(event())
    services.apply_deliveries()
    age()
    services.purge_deliveries()
    door.post(event(event_id="evt_bad"), secret="whsec_other")
    services.watch_endpoints()
    assert [alert.kind for alert in Alert.objects.filter(closed_at=None)] == [AlertKind.SIGNATURES_FAIL]


def test_when_an_endpoint_was_last_healthy_does_not_change_by_purging(door):
    for n, days in enumerate((200, 100, 120)):
        door.post(event(event_id=f"evt_{n}"))
        services.apply_deliveries()
        WebhookDelivery.objects.filter(dedupe_key=f"evt_{n}").update(received_at=timezone.now() - days * DAY)
    WebhookDelivery.objects.filter(dedupe_key="evt_0").update(state=DeliveryState.PARKED)
    newest = WebhookDelivery.objects.get(dedupe_key="evt_1").received_at
    services.purge_deliveries()
    assert WebhookDelivery.objects.get().dedupe_key == "evt_0"
    assert last_valid_at() == newest
    [account] = health(ConnectorAccount.objects.all())
    assert account.last_webhook_at == newest


def test_an_endpoint_that_never_held_anything_has_no_last_valid_delivery(door):
    assert last_valid_at() is None
