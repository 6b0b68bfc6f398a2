from __future__ import annotations

import json

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from connectors.models import DeliveryState, WebhookDelivery
from refunds import services
from refunds.models import Refund
from refunds.redaction import redact
from tests.factories import T0, AccountFactory, EndpointFactory

pytestmark = pytest.mark.django_db

REPLAY = "/operations/replay/"


@pytest.fixture
def delivery() -> WebhookDelivery:
    endpoint = EndpointFactory.create(
        connector="adyen", accounts=[AccountFactory.create(connector="adyen", processor_account="Shop")]
    )
    item = {
        "eventCode": "REFUND", "success": "true", "pspReference": "REF1", "originalReference": "PAY1",
        "merchantAccountCode": "Shop", "merchantReference": "order-1", "eventDate": "2026-03-14T11:00:00+01:00",
        "amount": {"value": 1234, "currency": "EUR"}, "reason": "",
        "additionalData": {"shopperEmail": "canary@example.com", "cardHolderName": "Ada Canary"},
    }  # fmt: skip
    body = json.dumps({"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}).encode()
    return WebhookDelivery.objects.create(
        endpoint=endpoint, received_at=T0, body=body, dedupe_key="REF1", state=DeliveryState.PARKED, next_attempt_at=T0,
        headers_json='{"some-signature": "canary-signature", "user-agent": "Processor/1"}', error="a bug of ours",
    )  # fmt: skip


def test_a_delivery_is_shown_without_what_is_personal(engineer: Client, delivery: WebhookDelivery) -> None:
    page = engineer.get(reverse("admin:connectors_webhookdelivery_change", args=[delivery.pk])).content.decode()
    assert "REF1" in page
    assert "a bug of ours" in page
    assert "Processor/1" in page
    assert "canary" not in page.lower()


def test_the_replay_page_shows_the_change_and_makes_none(engineer: Client, delivery: WebhookDelivery) -> None:
    sent = {"action": "replay", "_selected_action": [delivery.pk]}
    page = engineer.post(reverse("admin:connectors_webhookdelivery_changelist"), sent, follow=True).content.decode()
    assert '<strong class="differs">SUCCEEDED (accepted)</strong>' in page
    assert not Refund.objects.exists()
    delivery.refresh_from_db()
    assert delivery.state == DeliveryState.PARKED


def test_replaying_for_real_puts_it_back_and_is_noted(engineer: Client, delivery: WebhookDelivery) -> None:
    page = engineer.post(f"{REPLAY}?ids={delivery.pk}", follow=True).content.decode()
    assert "1 delivery waits again" in page
    assert LogEntry.objects.get().change_message == "Replayed."
    services.apply_deliveries()
    assert Refund.objects.get().connector_refund_id == "REF1"


def test_what_waits_already_is_left_out(engineer: Client, delivery: WebhookDelivery) -> None:
    WebhookDelivery.objects.update(state=DeliveryState.WAITING, lease="somebody's")
    assert "1 left out" in engineer.get(f"{REPLAY}?ids={delivery.pk}").content.decode()
    engineer.post(f"{REPLAY}?ids={delivery.pk}")
    delivery.refresh_from_db()
    assert delivery.lease == "somebody's"


def test_too_many_at_once_are_refused(engineer: Client) -> None:
    ids = ",".join(str(number) for number in range(101))
    assert "At most 100 at once" in engineer.get(f"{REPLAY}?ids={ids}", follow=True).content.decode()


@pytest.mark.parametrize("ids", ["9" * 23, "9" * 5_000, "999999999999999999", "x,,-1"])
def test_an_id_that_no_delivery_has_finds_none(engineer: Client, ids: str) -> None:
    assert "Replay 0 deliveries" in engineer.get(f"{REPLAY}?ids={ids}").content.decode()


PERSONAL = {
    "name": "Ada Canary",
    "email": "canary@example.com",
    "receipt_email": "canary@example.com",
    "phone": "+49 170 canary",
    "customer": "cus_canary",
    "billing_details": {"address": {"line1": "Canary Wharf 1", "country": "canary"}, "name": "Canary"},
    "shipping": {"tracking_number": "canary", "id": "canary"},
    "metadata": {"anything_id": "canary"},
    "payment_method_details": {"card": {"last4": "canary", "fingerprint": "canary"}},
    "additionalData": {"shopperReference": "canary", "shopperName.firstName": "canary"},
    "description": "Refund for Canary",
    "statement_descriptor": "CANARY",
    "merchantReference": "canary@example.com",
    "reason": "card 4111 1111 1111 1111 canary",
    "a_field_nobody_thought_of": "canary",
    "number": 4111111111111111,
    "list": ["canary", {"iban": "DE00 canary"}],
}
HARMLESS = {
    "id": "re_1",
    "object": "refund",
    "amount": 123456789,
    "currency": "eur",
    "created": 1_773_482_400,
    "status": "succeeded",
    "pspReference": "8815658961765250",
    "eventCode": "REFUND",
    "eventDate": "2026-03-14T11:00:00+01:00",
    "success": "true",
    "livemode": False,
    "payment_intent": "pi_1",
    "failure_reason": "lost_or_stolen_card",
    "reason": None,
}


def test_nothing_personal_survives_redaction() -> None:
    shown = redact(json.dumps(PERSONAL).encode())
    assert "canary" not in shown.lower()
    assert "4111" not in shown
    assert set(json.loads(shown)) == set(PERSONAL)


def test_what_an_engineer_needs_survives_redaction() -> None:
    assert json.loads(redact(json.dumps(HARMLESS).encode())) == HARMLESS


@pytest.mark.parametrize("body", [b"name=canary", b"\xff\x00", b"{", b'{"a": NaN}', b"[" * 100_000])
def test_what_is_not_json_is_described_not_shown(body: bytes) -> None:
    assert redact(body).startswith(f"Not JSON: {len(body)} bytes")


def test_a_delivery_is_found_by_its_key_or_its_number(engineer: Client, delivery: WebhookDelivery) -> None:
    """Whether quickly: `make bench ARGS=year`."""
    page = reverse("admin:connectors_webhookdelivery_changelist")
    for asked, number in (("REF1", 1), (f" {delivery.pk} ", 1), ("REF", 0), ("9" * 30, 0), ("", 1)):
        assert len(engineer.get(page, {"q": asked}).context["cl"].result_list) == number, asked
