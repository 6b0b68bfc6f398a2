"""Webhooks and registrations: signed, late, twice, never, and again after a refusal."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from collections import Counter

import pytest

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.courier import Habits, OutgoingDelivery
from connectors.sandbox.sandbox import Sandbox


def sent_ids(deliveries: list[OutgoingDelivery]) -> list[str]:
    return [event_id for delivery in deliveries for event_id in delivery.letter.event_ids]


def a_busy_day(clock: VirtualClock, **habits: float) -> tuple[Sandbox, list[OutgoingDelivery]]:
    sandbox = Sandbox(seed=11, clock=clock, habits=Habits(**habits))  # type: ignore[arg-type]
    for _ in range(300):
        sandbox.start_refund("stripe", life="instant")
        clock.advance(seconds=30)
    clock.advance(days=30)
    return sandbox, sandbox.deliveries_due()


def test_a_good_courier_delivers_everything_once_and_in_order(clock: VirtualClock) -> None:
    sandbox, deliveries = a_busy_day(clock)
    assert sent_ids(deliveries) == sorted(sandbox.world.events, key=lambda key: sandbox.world.events[key].number)
    assert sandbox.deliveries_due() == []


def test_about_the_asked_share_is_lost(clock: VirtualClock) -> None:
    sandbox, deliveries = a_busy_day(clock, loss=0.1)
    assert 0.07 < len(sandbox.courier.lost) / len(sandbox.world.events) < 0.13
    assert set(sent_ids(deliveries)) == set(sandbox.world.events) - set(sandbox.courier.lost)


def test_about_the_asked_share_is_duplicated(clock: VirtualClock) -> None:
    sandbox, deliveries = a_busy_day(clock, duplicates=0.2)
    times = Counter(sent_ids(deliveries))
    assert set(times) == set(sandbox.world.events)
    assert 0.16 < sum(count > 1 for count in times.values()) / len(times) < 0.24


def test_about_the_asked_share_comes_late(clock: VirtualClock) -> None:
    sandbox, deliveries = a_busy_day(clock, disorder=0.3)
    late = [one for one in deliveries if one.letter.due_at > sandbox.world.events[one.letter.event_ids[0]].at]
    assert 0.26 < len(late) / len(deliveries) < 0.34
    numbers = [sandbox.world.events[event_id].number for event_id in sent_ids(deliveries)]
    assert numbers != sorted(numbers)


def test_the_same_seed_loses_the_same_events(clock: VirtualClock) -> None:
    first, _ = a_busy_day(clock, loss=0.1)
    second, _ = a_busy_day(VirtualClock(), loss=0.1)
    assert first.courier.lost == second.courier.lost
    assert first.courier.lost != []


def test_a_type_of_event_can_be_lost_altogether(sandbox: Sandbox) -> None:
    sandbox.courier.habits.lost_types = frozenset({"refund.failed", "charge.refund.updated"})
    sandbox.start_refund("stripe", word="succeeded", refund_id="re_1")
    sandbox.says("re_1", "failed")
    assert [json.loads(one.body)["type"] for one in sandbox.deliveries_due()] == ["refund.created", "charge.refunded"]


def test_a_delivery_is_signed_with_every_secret_when_it_is_sent(sandbox: Sandbox, clock: VirtualClock) -> None:
    sandbox.start_refund("stripe", word="succeeded")
    sandbox.add_secret("stripe", "whsec_next")
    clock.advance(days=9)
    delivery = sandbox.deliveries_due()[0]
    sent_at = int(clock().timestamp())
    signed = f"{sent_at}.".encode() + delivery.body
    expected = [
        hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in ("whsec_sandbox", "whsec_next")
    ]
    assert delivery.headers["Stripe-Signature"] == f"t={sent_at},v1={expected[0]},v1={expected[1]}"


def test_the_last_secret_cannot_be_removed(sandbox: Sandbox) -> None:
    sandbox.add_secret("adyen", "AB" * 32)
    sandbox.remove_secret("adyen", "5A" * 32)
    assert sandbox.config.adyen.hmac_keys == ["AB" * 32]
    with pytest.raises(ValueError, match="the only one"):
        sandbox.remove_secret("adyen", "AB" * 32)


def test_a_refused_delivery_comes_again_with_a_new_signature(sandbox: Sandbox, clock: VirtualClock) -> None:
    sandbox.start_refund("stripe", word="succeeded")
    first, second = sandbox.deliveries_due()
    sandbox.delivered(first, 503)
    sandbox.delivered(second, 200)
    assert sandbox.deliveries_due() == []
    clock.advance(minutes=1)
    (again,) = sandbox.deliveries_due()
    assert again.letter.event_ids == first.letter.event_ids
    assert again.headers["Stripe-Signature"] != first.headers["Stripe-Signature"]
    assert json.loads(again.body)["pending_webhooks"] == 1


def test_stripe_gives_up_after_three_days(sandbox: Sandbox, clock: VirtualClock) -> None:
    sandbox.start_refund("stripe", word="succeeded")
    attempts = 0
    for _ in range(24 * 6):
        for delivery in sandbox.deliveries_due():
            attempts += 1
            sandbox.delivered(delivery, None)
        clock.advance(minutes=60)
    assert attempts == 2 * 12
    assert sandbox.stats()["deliveries"]["given_up"] == 2


def test_adyens_queue_waits_behind_a_refused_delivery(sandbox: Sandbox, clock: VirtualClock) -> None:
    refund = sandbox.start_refund("adyen", life="manual")
    sandbox.says(refund.refund_id, "REFUND")
    (refused,) = sandbox.deliveries_due()
    sandbox.delivered(refused, 500)
    clock.advance(seconds=30)
    sandbox.says(refund.refund_id, "REFUND_FAILED")
    assert sandbox.deliveries_due() == []
    clock.advance(minutes=2)
    again, newer = sandbox.deliveries_due()
    assert again.body == refused.body
    assert json.loads(newer.body)["notificationItems"][0]["NotificationRequestItem"]["eventCode"] == "REFUND_FAILED"


def test_adyen_puts_several_items_into_one_delivery(sandbox: Sandbox, clock: VirtualClock) -> None:
    sandbox.courier.habits.batch_limit = 4
    for _ in range(60):
        sandbox.start_refund("adyen", life="refused")
    clock.advance(days=2)
    sizes = Counter(len(json.loads(one.body)["notificationItems"]) for one in sandbox.deliveries_due())
    assert set(sizes) == {1, 2, 3, 4}
    assert sum(size * count for size, count in sizes.items()) == 60


def test_adyens_deliveries_carry_basic_credentials(sandbox: Sandbox) -> None:
    sandbox.write_reports()
    delivery = sandbox.deliveries_due()[0]
    assert delivery.headers["Authorization"] == "Basic d2ViaG9vazp3ZWJob29rLXBhc3N3b3Jk"


def test_a_refund_is_registered_with_what_the_service_knows(sandbox: Sandbox) -> None:
    refund = sandbox.start_refund(
        "stripe", refund_id="re_1", life="instant", currency="EUR", amount_minor=1234, merchant_order_id="ORD-1"
    )
    sandbox.config.registration.token = "secret"
    (registration,) = sandbox.registrations_due()
    claim = json.loads(registration.body)
    assert registration.headers["Authorization"] == "Bearer secret"
    assert (claim["account"], claim["connector_refund_id"]) == ("stripe-sandbox", "re_1")
    assert claim["connector_transaction_id"] == refund.payment_id
    assert claim["refund_amount"] == {"minor_amount": 1234, "currency": "EUR"}
    assert claim["merchant_order_id"] == "ORD-1"
    assert set(claim["customer"]) == {"name", "email", "language"}
    assert dt.datetime.fromisoformat(claim["requested_at"]) == refund.created_at


def test_a_refund_made_in_the_processors_dashboard_is_not_registered(sandbox: Sandbox) -> None:
    sandbox.start_refund("stripe", registered=False)
    assert sandbox.registrations_due() == []


def test_a_late_registration_comes_an_hour_after_the_webhook(clock: VirtualClock) -> None:
    sandbox = Sandbox(clock=clock, late_registrations=1.0)
    sandbox.start_refund("stripe", life="instant")
    clock.advance(minutes=59)
    assert len(sandbox.deliveries_due()) == 2
    assert sandbox.registrations_due() == []
    clock.advance(minutes=1)
    assert len(sandbox.registrations_due()) == 1


def test_a_registration_is_retried_until_it_is_accepted(sandbox: Sandbox, clock: VirtualClock) -> None:
    sandbox.start_refund("stripe")
    (registration,) = sandbox.registrations_due()
    sandbox.registered(registration, 503)
    clock.advance(seconds=1)
    (again,) = sandbox.registrations_due()
    sandbox.registered(again, 201)
    clock.advance(days=1)
    assert sandbox.registrations_due() == []
    assert sandbox.stats()["registrations"] == {"retried": 1, "registered": 1, "waiting": 0}
