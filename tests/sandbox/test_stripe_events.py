"""Stripe's events: which fire, what they show, and how they are listed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.config import SandboxConfig, StripeAccount
from connectors.sandbox.sandbox import Sandbox
from tests.sandbox.conftest import field_names

Ask = Callable[..., Any]

# The field list of stripe-python at API version 2026-06-24.dahlia.
EVENT = field_names("account api_version context created data id livemode object pending_webhooks request type")


def event_types(ask_stripe: Ask) -> list[str]:
    """Oldest first."""
    return [event["type"] for event in ask_stripe("/v1/events?limit=100")["data"]][::-1]


def test_a_success_that_fails_fires_refund_failed_and_no_refund_updated(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.start_refund("stripe", word="succeeded", refund_id="re_1")
    sandbox.says("re_1", "failed", reason="lost_or_stolen_card")
    assert event_types(ask_stripe) == ["refund.created", "charge.refunded", "refund.failed", "charge.refund.updated"]
    failed = ask_stripe("/v1/events?types[]=refund.failed")["data"][0]
    assert set(failed) == EVENT - {"account", "context"}
    assert failed["data"]["object"] == ask_stripe("/v1/refunds/re_1")
    assert failed["data"]["previous_attributes"] == {
        "failure_balance_transaction": None,
        "failure_reason": None,
        "status": "succeeded",
    }


def test_other_changes_fire_refund_updated(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.start_refund("stripe", life="manual", refund_id="re_1")
    sandbox.says("re_1", "succeeded")
    updated = ask_stripe("/v1/events?type=refund.updated")["data"]
    assert [event["data"]["previous_attributes"]["status"] for event in updated] == ["pending"]
    assert "previous_attributes" not in ask_stripe("/v1/events?type=refund.created")["data"][0]["data"]


def test_an_event_shows_the_refund_as_it_was_then(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.start_refund("stripe", life="manual", refund_id="re_1")
    sandbox.says("re_1", "succeeded")
    sandbox.says("re_1", "failed")
    created = ask_stripe("/v1/events?type=refund.created")["data"][0]
    assert created["data"]["object"]["status"] == "pending"
    assert ask_stripe(f"/v1/events/{created['id']}") == created


def test_a_charge_tells_how_much_of_it_is_refunded(sandbox: Sandbox, ask_stripe: Ask) -> None:
    refund = sandbox.start_refund("stripe", word="succeeded", amount_minor=300, payment_amount_minor=1000)
    event = ask_stripe("/v1/events?type=charge.refunded")["data"][0]
    assert event["data"]["object"]["amount_refunded"] == 300
    assert event["data"]["previous_attributes"] == {"amount_refunded": 0}
    sandbox.says(refund.refund_id, "failed")
    charge = ask_stripe(f"/v1/charges/{refund.payment_id}")
    assert (charge["amount"], charge["amount_refunded"], charge["refunded"]) == (1000, 0, False)


def test_a_dispute_is_an_event_of_the_charge(sandbox: Sandbox, ask_stripe: Ask) -> None:
    refund = sandbox.start_refund("stripe", word="pending", refund_id="re_1")
    sandbox.disputes("re_1")
    dispute = ask_stripe("/v1/events?types[]=charge.dispute.created")["data"][0]["data"]["object"]
    assert (dispute["object"], dispute["charge"]) == ("dispute", refund.payment_id)
    assert sandbox.truth_of("re_1").disputed


def test_events_are_filtered_by_several_types_and_wildcards(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.start_refund("stripe", life="manual", refund_id="re_1")
    sandbox.says("re_1", "succeeded")
    sandbox.says("re_1", "failed")
    chosen = ask_stripe("/v1/events?types[]=refund.failed&types[0]=refund.created")["data"]
    assert [event["type"] for event in chosen] == ["refund.failed", "refund.created"]
    charges = ask_stripe("/v1/events?type=charge.*")["data"]
    assert [event["type"] for event in charges] == [
        "charge.refund.updated",
        "charge.refund.updated",
        "charge.refunded",
    ]


def test_events_are_kept_for_thirty_days(sandbox: Sandbox, clock: VirtualClock, ask_stripe: Ask) -> None:
    sandbox.start_refund("stripe", word="succeeded")
    event_id = ask_stripe("/v1/events")["data"][0]["id"]
    clock.advance(days=30)
    assert len(ask_stripe("/v1/events")["data"]) == 2
    clock.advance(seconds=1)
    assert ask_stripe("/v1/events")["data"] == []
    gone = sandbox.handle("GET", f"/v1/events/{event_id}", {"Authorization": "Bearer sk_test_sandbox"})
    assert (gone.status, gone.json()["error"]["code"]) == (404, "resource_missing")


def test_undelivered_events_can_be_asked_for(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.start_refund("stripe", word="succeeded")
    assert len(ask_stripe("/v1/events?delivery_success=false")["data"]) == 2
    for delivery in sandbox.deliveries_due():
        sandbox.delivered(delivery, 200)
    assert ask_stripe("/v1/events?delivery_success=false")["data"] == []
    assert len(ask_stripe("/v1/events?delivery_success=true")["data"]) == 2


def test_only_a_connect_account_is_named_in_its_events(clock: VirtualClock) -> None:
    config = SandboxConfig(stripe=StripeAccount(connect=True, processor_account="acct_9"))
    sandbox = Sandbox(config, clock=clock)
    sandbox.start_refund("stripe")
    event = sandbox.handle("GET", "/v1/events", {"Authorization": "Bearer sk_test_sandbox"}).json()["data"][0]
    assert (event["account"], event["livemode"]) == ("acct_9", False)
