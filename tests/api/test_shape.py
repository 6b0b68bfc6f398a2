"""A refund's JSON has the same keys whichever processor carries it and whichever address gives it."""

from __future__ import annotations

import base64
import json

import pytest
from django.utils import timezone

from refunds.api import examples
from refunds.models import Refund, Scope
from tests.api.conftest import Caller, caller, configured, processor, says
from tests.conformance.fixtures import fixtures
from tests.factories import RefundFactory

pytestmark = pytest.mark.django_db

PRISM = {
    "id", "account", "connector", "merchant_refund_id", "connector_refund_id", "connector_transaction_id", "status",
    "error", "refund_amount", "payment_amount", "refund_reason", "created_at", "updated_at", "processed_at",
    "merchant_order_id", "acquirer_reference_number",
}  # fmt: skip
OURS = {"stage", "native_status", "returned_after_success", "source", "as_of", "checked_at", "live"}


def keys(value, path=""):
    """Every key of a refund's JSON; what an object holds only sometimes is no part of its shape."""
    names = {path} if path else set()
    if isinstance(value, dict) and not path.startswith("metadata"):
        for name, inner in value.items():
            names |= keys(inner, f"{path}.{name}".lstrip("."))
    return names


def top(refund):
    return {name for name in keys(refund) if "." not in name}


def registration(account):
    amount = {"minor_amount": 1234, "currency": "EUR"}
    return {"account": account.name, "connector_refund_id": "1234567890123456", "refund_amount": amount}


def event(connector):
    for case in fixtures(connector).deliveries:
        facts = [item for item in case.get("items", []) if item["item"] == "fact" and item["stage"]]
        if facts and not any("scope" in fact and fact["scope"].get("live") for fact in facts):
            signed = fixtures(connector).delivery(case["body"], signed_at=timezone.now())
            return {"body_base64": base64.b64encode(signed.body).decode(), "headers": dict(signed.headers)}
    raise AssertionError(f"{connector}: no delivery with a fact")


def every_answer(who: Caller, account):
    """The refund as each address of the API gives it, for one account."""
    registered = who.post("/api/refunds/", registration(account)).json()
    yield registered
    yield who.post("/api/refunds/", [registration(account)]).json()["results"][0]["refund"]
    yield who.get("/api/refunds/", account=account.name).json()["results"][0]
    yield who.get(f"/api/refunds/{registered['id']}/").json()
    yield who.get(f"/api/accounts/{account.name}/refunds/1234567890123456/").json()
    yield who.post(f"/api/accounts/{account.name}/events/", event(account.connector)).json()["events"][0]["refund"]
    with processor(says()):
        yield who.post(f"/api/refunds/{registered['id']}/sync/").json()
        yield who.get(f"/api/accounts/{account.name}/refunds/1234567890123456/", live="true").json()


CONNECTORS = ("adyen", "stripe")
"""One that can be asked and one that cannot."""


def test_the_same_keys_whichever_processor_and_whichever_address():
    who = caller(*Scope)
    shapes = {}
    for connector in CONNECTORS:
        account = configured(connector, name=f"of-{connector}")
        for n, refund in enumerate(every_answer(who, account)):
            shapes[connector, n] = frozenset(top(refund))
    assert len(shapes) == 8 * len(CONNECTORS)
    assert set(shapes.values()) == {frozenset(examples.REFUND)}
    assert frozenset(examples.REFUND) >= PRISM | OURS


def test_the_keys_do_not_depend_on_what_the_token_may_see(account):
    refund = RefundFactory.build(account=account)
    refund.customer = {"name": "Ada"}
    refund.save()
    url = f"/api/refunds/{refund.pk}/"
    bare, full = (caller(*scopes).get(url).json() for scopes in ([Scope.REFUNDS_READ], Scope))
    assert keys(bare) == keys(full)


def test_every_time_is_utc_with_a_z(account, writer):
    shown = writer.post("/api/refunds/", {**registration(account), "requested_at": "2026-03-14T11:00:00+01:00"}).json()
    times = {name: value for name, value in shown.items() if name.endswith(("_at", "_since")) or name == "as_of"}
    assert all(value is None or value.endswith("Z") for value in times.values())
    assert shown["requested_at"] == "2026-03-14T10:00:00Z"


def test_the_examples_are_what_the_api_answers(account):
    who = caller(*Scope)
    answer = who.post("/api/refunds/", [examples.REGISTRATION | {"account": "shop"}, {}]).json()
    assert keys(answer) == keys(examples.RESULTS)
    assert [keys(r) for r in answer["results"][:1]] == [keys({**examples.RESULTS["results"][0], "error": None,
        "refund": {**examples.STORED, "processor_amount": None}})]  # fmt: skip
    with processor(says(destination_details={"type": "card", "card": {"reference": "7412", "reference_type":
            "acquirer_reference_number", "reference_status": "available", "type": "refund"}})):  # fmt: skip
        live = who.get("/api/accounts/shop/refunds/re_3PqX/", live="true").json()
    assert keys(live) == keys(examples.REFUND)
    timeline = who.get(f"/api/refunds/{live['id']}/timeline/").json()
    assert keys(timeline) - keys(timeline["state"]["attributes"]) >= {"refund_id", "known_at", "state", "observations"}
    assert list(timeline) == list(examples.TIMELINE)
    assert list(timeline["state"]) == list(examples.TIMELINE["state"])
    assert list(timeline["observations"][0]) == list(examples.TIMELINE["observations"][0])
    handled = who.post("/api/accounts/shop/events/", event("stripe")).json()
    assert list(handled) == list(examples.HANDLED_EVENT)
    assert list(handled["events"][0]) == list(examples.HANDLED_EVENT["events"][0])


def test_a_page_of_refunds_is_json_without_floats(account, reader):
    Refund.objects.create(
        account=account, connector_refund_id="re_1", claimed_minor_amount=2**62, claimed_currency="EUR"
    )
    shown = json.loads(reader.get("/api/refunds/").content, parse_float=lambda text: pytest.fail(text))
    assert shown["results"][0]["refund_amount"]["minor_amount"] == 2**62
