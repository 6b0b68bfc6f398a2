from __future__ import annotations

import datetime as dt
import json

import pytest
from django.core.management.base import CommandError
from django.utils import timezone

from connectors import inbox
from connectors.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from refunds import services
from refunds.models import Observation, Refund
from tests.commands.conftest import Run
from tests.factories import T0, AccountFactory, EndpointFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def endpoint() -> WebhookEndpoint:
    account = AccountFactory.create(name="shop", connector="adyen", processor_account="Shop")
    found: WebhookEndpoint = EndpointFactory.create(connector="adyen", accounts=[account])
    return found


def _keep(endpoint: WebhookEndpoint, reference: str, *, state: DeliveryState = DeliveryState.PARKED) -> WebhookDelivery:
    item = {
        "eventCode": "REFUND", "success": "true", "pspReference": reference, "originalReference": "PAY1",
        "merchantAccountCode": "Shop", "merchantReference": "order-1", "eventDate": "2026-03-14T11:00:00+01:00",
        "amount": {"value": 1234, "currency": "EUR"}, "reason": "",
    }  # fmt: skip
    body = json.dumps({"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}).encode()
    return WebhookDelivery.objects.create(
        endpoint=endpoint, received_at=T0, body=body, headers_json="{}", dedupe_key=reference, state=state,
        next_attempt_at=T0, error="a bug of ours",
    )  # fmt: skip


def test_a_dry_run_shows_the_change_and_makes_none(run: Run, endpoint: WebhookEndpoint) -> None:
    delivery = _keep(endpoint, "REF1")
    said = run("deliveries", "replay", "--parked", "--dry-run").out
    assert f"delivery {delivery.pk}: REF1 not known -> SUCCEEDED (accepted) 1 new observation\n" in said
    assert "1 deliveries would be replayed: 1 changes. Nothing was changed." in said
    assert not Refund.objects.exists()
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.PARKED


def test_a_replayed_delivery_is_applied_again(run: Run, endpoint: WebhookEndpoint) -> None:
    delivery = _keep(endpoint, "REF1")
    assert (
        run("deliveries", "replay", "--id", str(delivery.pk)).out
        == "1 deliveries wait again; the worker applies them.\n"
    )
    services.apply_deliveries()
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.APPLIED
    assert Refund.objects.get().connector_refund_id == "REF1"


def test_a_replay_of_what_was_applied_changes_nothing(run: Run, endpoint: WebhookEndpoint) -> None:
    delivery = _keep(endpoint, "REF1")
    for _ in range(3):
        run("deliveries", "replay", "--id", str(delivery.pk))
        services.apply_deliveries()
    assert Observation.objects.count() == 1
    assert "no change" in run("deliveries", "replay", "--id", str(delivery.pk), "--dry-run").out


def test_only_what_was_asked_for_is_replayed(run: Run, endpoint: WebhookEndpoint) -> None:
    parked = _keep(endpoint, "REF1")
    applied = _keep(endpoint, "REF2", state=DeliveryState.APPLIED)
    stranger = _keep(
        EndpointFactory.create(connector="adyen", accounts=[AccountFactory.create(connector="adyen")]), "REF3"
    )
    run("deliveries", "replay", "--parked", "--account", "shop")
    states = dict(WebhookDelivery.objects.values_list("pk", "state"))
    assert states == {
        parked.pk: DeliveryState.WAITING, applied.pk: DeliveryState.APPLIED, stranger.pk: DeliveryState.PARKED,
    }  # fmt: skip


def test_a_span_of_time_selects(run: Run, endpoint: WebhookEndpoint) -> None:
    _keep(endpoint, "REF1")
    late = (T0 + dt.timedelta(seconds=1)).isoformat()
    assert run("deliveries", "replay", "--since", late).out.startswith("0 deliveries")
    assert run("deliveries", "replay", "--since", T0.isoformat(), "--until", late).out.startswith("1 deliveries")


def test_one_that_waits_is_left_alone(run: Run, endpoint: WebhookEndpoint) -> None:
    waiting = _keep(endpoint, "REF1", state=DeliveryState.WAITING)
    lease, _ = inbox.claim(limit=1)
    said = run("deliveries", "replay", "--id", str(waiting.pk))
    assert f"Left out, because they wait already or do not match: {waiting.pk}" in said.err
    inbox.finish(lease, [(waiting.pk, "done")])


def test_everything_at_once_must_be_asked_for(run: Run) -> None:
    with pytest.raises(CommandError, match="say which"):
        run("deliveries", "replay", "--dry-run")


def test_the_list_shows_state_and_error_but_no_body(run: Run, endpoint: WebhookEndpoint) -> None:
    _keep(endpoint, "REF1")
    _keep(endpoint, "REF2", state=DeliveryState.APPLIED)
    said = run("deliveries", "list", "--state", "parked").out
    assert "a bug of ours" in said
    assert len(said.splitlines()) == 2
    assert "notificationItems" not in said
    assert run("deliveries", "list", "--since", timezone.now().isoformat()).out.count("\n") == 1
