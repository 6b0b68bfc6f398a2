"""HandleEvent: POST /api/accounts/{account}/events/."""

from __future__ import annotations

import base64
import datetime as dt

import pytest
from django.utils import timezone

from connectors.models import WebhookDelivery
from refunds.models import Refund, Scope
from tests.api.conftest import caller, configured, processor, says
from tests.conformance.fixtures import fixtures

pytestmark = pytest.mark.django_db
URL = "/api/accounts/shop/events/"


@pytest.fixture
def relay():
    return caller(Scope.EVENTS_WRITE)


def delivered(connector, name, *, signed_at=None, **changes):
    """The fixture's delivery of that name, as another system hands it in."""
    case = next(case for case in fixtures(connector).deliveries if case["name"] == name)
    signed = fixtures(connector).delivery(case["body"], signed_at=signed_at or timezone.now(), **changes)
    return {"body_base64": base64.b64encode(signed.body).decode(), "headers": dict(signed.headers)}


SUCCEEDED = ("stripe", "refund.updated, succeeded with an ARN")


def test_a_fact_is_recorded_and_answered_with_its_refund_and_the_acknowledgement(account, relay):
    response = relay.post(URL, delivered(*SUCCEEDED))
    assert response.status_code == 200
    handled = response.json()
    [event] = handled["events"]
    assert (event["event_type"], event["kind"], event["source_verified"]) == ("refund.updated", "fact", True)
    assert (event["native_status"], event["stage"]) == ("succeeded", "succeeded")
    assert (event["refund"]["account"], event["refund"]["status"]) == ("shop", "SUCCEEDED")
    assert (event["refund"]["source"], event["refund"]["live"]) == ("webhook", False)
    assert (handled["duplicate"], handled["late"]) == (False, False)
    assert handled["acknowledgement"] == {
        "http_status": 200, "body": "", "content_type": "text/plain; charset=utf-8",
    }  # fmt: skip
    assert WebhookDelivery.objects.get().pk == handled["delivery_id"]


def test_each_processor_gets_the_acknowledgement_it_wants(relay):
    configured("adyen", name="cards")
    handled = relay.post("/api/accounts/cards/events/", delivered("adyen", "REFUND true")).json()
    assert handled["acknowledgement"]["body"] == "[accepted]"
    assert [(e["kind"], e["stage"], e["refund"]["account"]) for e in handled["events"]] == [
        ("fact", "accepted", "cards")
    ]


def test_every_item_of_a_batch_is_answered(relay):
    configured("adyen", name="cards")
    name = "a batch: an item that cannot be read does not cost the others"
    handled = relay.post("/api/accounts/cards/events/", delivered("adyen", name)).json()
    assert [(event["kind"], event["refund"] is None) for event in handled["events"]] == [
        ("unreadable", True), ("fact", False),
    ]  # fmt: skip


def test_the_same_event_again_is_a_duplicate(account, relay):
    event = delivered(*SUCCEEDED)
    first, again = relay.post(URL, event).json(), relay.post(URL, event).json()
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert first["delivery_id"] == again["delivery_id"]
    assert again["events"][0]["refund"]["status"] == "SUCCEEDED"


def test_an_event_nobody_vouches_for_is_401_and_nothing_is_kept(account, relay):
    response = relay.post(URL, delivered(*SUCCEEDED, secrets="other_webhook_secrets"))
    assert (response.status_code, response.json()["error"]["code"]) == (401, "event_unverified")
    assert not WebhookDelivery.objects.exists()
    assert not Refund.objects.exists()


def test_an_event_that_was_held_up_is_late_and_only_a_hint(account, relay):
    earlier = timezone.now() - dt.timedelta(hours=2)
    handled = relay.post(URL, {**delivered(*SUCCEEDED, signed_at=earlier), "received_at": earlier.isoformat()}).json()
    assert (handled["late"], handled["events"][0]["kind"]) == (True, "hint")
    assert not Refund.objects.filter(status="SUCCEEDED").exists()


def test_verify_asks_the_processor_afterwards(account, relay):
    with processor(says("failed")) as requests:
        handled = relay.post(URL, {**delivered(*SUCCEEDED), "verify": True}).json()
    assert len(requests) == 1
    assert (handled["events"][0]["stage"], handled["events"][0]["refund"]["status"]) == ("succeeded", "FAILED")


def test_an_event_about_something_else_gives_no_events(account, relay):
    handled = relay.post(URL, delivered("stripe", "an event about something else")).json()
    assert handled["events"] == []


def test_an_authentic_event_that_cannot_be_read_is_kept_and_acknowledged(account, relay):
    response = relay.post(URL, delivered("stripe", "a refund event without its refund"))
    assert response.status_code == 200
    assert [event["kind"] for event in response.json()["events"]] == ["unreadable"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"body_base64": "not base64!"}, "body_base64"),
        ({"body_base64": 5}, "body_base64"),
        ({"body_base64": base64.b64encode(b"x" * (1024 * 1024 + 1)).decode()}, "body_base64"),
        ({"headers": []}, "headers"),
        ({"headers": {"a": 1}}, "headers"),
        ({"headers": {"a": "1", "A": "2"}}, "headers"),
        ({"headers": {f"h{n}": "" for n in range(101)}}, "headers"),
        ({"received_at": "2026-03-14T10:00:00"}, "received_at"),
        ({"received_at": "9999-03-14T10:00:00Z"}, "received_at"),
        ({"verify": "true"}, "verify"),
        ({"colour": "red"}, "colour"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_an_event_is_refused_by_name(account, relay, changes, field):
    response = relay.post(URL, {"body_base64": "e30=", "headers": {}, **changes})
    assert (response.status_code, list(response.json()["error"]["fields"])) == (400, [field])
    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize("missing", ["body_base64", "headers"])
def test_what_an_event_needs_is_named(account, relay, missing):
    event = {"body_base64": "e30=", "headers": {}}
    del event[missing]
    assert relay.post(URL, event).json()["error"]["fields"] == {missing: "is required"}


def test_events_of_an_unknown_and_of_a_forbidden_account_are_the_same_404(account):
    configured("adyen", name="theirs")
    limited = caller(Scope.EVENTS_WRITE, accounts=[account])
    unknown, theirs = (limited.post(f"/api/accounts/{name}/events/", {}) for name in ("nowhere", "theirs"))
    assert (unknown.status_code, theirs.status_code) == (404, 404)
    assert unknown.content == theirs.content
