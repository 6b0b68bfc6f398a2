"""Stripe: its own signature examples, and what no other connector has."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import httpx
import pytest

from connectors.contract import (
    Account,
    CredentialsRejected,
    Delivery,
    Endpoint,
    ForeignAddress,
    MalformedAnswer,
    RefundNotFound,
    RefundReference,
    ReportReference,
    Secret,
    SignatureExpired,
    SignatureInvalid,
    Window,
)
from connectors.money import to_major
from connectors.processors.stripe import Stripe
from connectors.processors.stripe.objects import event_items, refund_fact
from tests.conformance.fixtures import drive, fixtures

VECTORS = json.loads((Path(__file__).parent.parent / "fixtures/stripe/vectors.json").read_text())["vectors"]
UNLIMITED_SECONDS = 10**10
NOW = dt.datetime(2026, 9, 21, 14, 13, 30, tzinfo=dt.UTC)


def bound(key: str = "rk_test_Fixture", environment: str = "test", **options: str) -> Stripe:
    return Stripe(
        Account(environment, "https://api.stripe.com", Stripe.Credentials(Secret(key)), Stripe.Options(**options))
    )


def endpoint(*secrets: str, tolerance_seconds: int = 300) -> Endpoint:
    return Endpoint(tuple(Stripe.WebhookSecrets(Secret(secret)) for secret in secrets), tolerance_seconds)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_official_signature_vectors_hold(vector):
    same: dict[str, object] = next((other for other in VECTORS if other["name"] == vector.get("same_as")), {})
    vector = {**same, **vector}
    body = (vector["payload"] + vector.get("payload_append", "")).encode()
    received_at = dt.datetime.fromtimestamp(vector.get("now", 12345), dt.UTC)
    tolerance_seconds = vector.get("tolerance") or UNLIMITED_SECONDS
    delivery = Delivery(body, {"stripe-signature": vector["header"]}, received_at)
    door = endpoint(vector["secret"], tolerance_seconds=tolerance_seconds)
    if vector["valid"]:
        Stripe().verify_webhook(delivery, door)
    else:
        with pytest.raises(SignatureInvalid):
            Stripe().verify_webhook(delivery, door)


def test_the_official_vector_expires():
    vector = VECTORS[0]
    received_at = dt.datetime.fromtimestamp(vector["timestamp"] + 301, dt.UTC)
    delivery = Delivery(vector["payload"].encode(), {"stripe-signature": vector["header"]}, received_at)
    with pytest.raises(SignatureExpired):
        Stripe().verify_webhook(delivery, endpoint(vector["secret"]))


def test_a_signature_from_the_future_is_expired_too():
    delivery = fixtures("stripe").delivery({}, signed_at=NOW + dt.timedelta(seconds=301))
    with pytest.raises(SignatureExpired):
        Stripe().verify_webhook(
            Delivery(delivery.body, delivery.headers, NOW), fixtures("stripe").endpoint("webhook_secrets")
        )


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header + "," + header,
        lambda header: header.replace("t=", "t=1,t="),
        lambda header: header.replace("t=", "t=-"),
        lambda header: header.replace("t=", "t=0x"),
        lambda header: header.replace("t=1", "t=１"),
        lambda header: header.replace("v1=", "v0="),
        lambda header: header.replace("v1=", "v1"),
        lambda header: header.upper(),
    ],
)
def test_a_bent_signature_header_is_invalid(change):
    delivery = fixtures("stripe").delivery({"id": "evt_1"})
    bent = Delivery(delivery.body, {"stripe-signature": change(delivery.headers["stripe-signature"])}, NOW)
    with pytest.raises(SignatureInvalid):
        Stripe().verify_webhook(bent, fixtures("stripe").endpoint("webhook_secrets"))


def test_one_of_several_signatures_is_enough_while_a_secret_is_rolled():
    delivery = fixtures("stripe").delivery({"id": "evt_1"})
    header = delivery.headers["stripe-signature"].replace("v1=", "v1=0000,v1=")
    Stripe().verify_webhook(
        Delivery(delivery.body, {"stripe-signature": header}, NOW), fixtures("stripe").endpoint("webhook_secrets")
    )


def test_the_version_is_pinned_and_the_connected_account_named():
    request = next(bound(connected_account="acct_1Connected").get_refund(RefundReference("re_1")))
    assert request.headers["stripe-version"] == "2026-06-24.dahlia"
    assert request.headers["stripe-account"] == "acct_1Connected"
    assert request.headers["authorization"] == "Bearer rk_test_Fixture"
    assert "stripe-account" not in next(bound().get_refund(RefundReference("re_1"))).headers


def test_a_window_of_fractions_of_a_second_is_rounded_so_that_it_stays_half_open():
    since = dt.datetime(2026, 9, 21, 0, 0, 0, 1, tzinfo=dt.UTC)
    request = next(bound().list_refunds(Window(since, since + dt.timedelta(seconds=1)), None))
    assert request.url.params["created[gte]"] == "1789948801"
    assert request.url.params["created[lt]"] == "1789948802"


def test_a_key_of_the_other_mode_is_found_out_without_asking():
    with pytest.raises(CredentialsRejected, match="this is a test key, but the account is live"):
        next(bound("rk_test_Fixture", "live").check_credentials())


def test_a_refund_of_the_other_mode_is_not_found_and_the_error_says_why():
    body = {"error": {"code": "resource_missing", "message": "a similar object exists in live mode, but a test mode …"}}
    with pytest.raises(RefundNotFound, match="only in the other mode"):
        drive(bound().get_refund(RefundReference("re_1")), [httpx.Response(404, json=body)])


def test_the_error_names_the_request_for_stripes_support():
    with pytest.raises(RefundNotFound) as caught:
        drive(bound().get_refund(RefundReference("re_1")), [httpx.Response(404, headers={"Request-Id": "req_1"})])
    assert caught.value.request_id == "req_1"


@pytest.mark.parametrize(
    ("environment", "payment", "url"),
    [
        ("live", "pi_1", "https://dashboard.stripe.com/payments/pi_1"),
        ("test", "ch_1", "https://dashboard.stripe.com/test/payments/ch_1"),
        ("test", "", ""),
        ("sandbox", "pi_1", ""),
    ],
)
def test_the_dashboard_shows_the_payment(environment, payment, url):
    assert bound(environment=environment).dashboard_url(RefundReference("re_1", payment)) == url


@pytest.mark.parametrize(
    ("wire", "major"), [(("isk", 500), "5.00"), (("ugx", 500), "5.00"), (("jpy", 500), "500"), (("mga", 500), "500")]
)
def test_amounts_have_the_decimals_stripe_gives_them(wire, major):
    currency, amount = wire
    refund = {"id": "re_1", "object": "refund", "amount": amount, "currency": currency, "status": "succeeded"}
    fact, _ = drive(bound().get_refund(RefundReference("re_1")), [httpx.Response(200, json=refund)])
    assert str(to_major(fact.amount, Stripe.currency_exponents)) == major


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("", "letters, digits"),
        ("rk_test_1 ", "letters, digits"),
        ("pk_live_1", "publishable"),
        ("whsec_1", "webhook signing secret"),
    ],
)
def test_a_key_of_the_wrong_kind_is_refused_with_words(key, complaint):
    with pytest.raises(ValueError, match=complaint):
        Stripe.Credentials(Secret(key))


@pytest.mark.parametrize(("secret", "complaint"), [("", "empty"), ("whsec 1", "spaces"), ("rk_live_1", "API key")])
def test_a_signing_secret_of_the_wrong_kind_is_refused_with_words(secret, complaint):
    with pytest.raises(ValueError, match=complaint):
        Stripe.WebhookSecrets(Secret(secret))


def test_a_connected_account_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="acct_"):
        Stripe.Options(connected_account="acct_1\r\nX-Evil: 1")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": 4711}, "id: expected a text, found a number"),
        ({"id": None}, "the refund has no id"),
        ({"object": "charge"}, "object: not a refund"),
        ({"created": "2026"}, "created: expected seconds since 1970"),
        ({"created": -1}, "created: expected seconds since 1970"),
        ({"failure_reason": "Ada" * 50}, "failure_reason: longer than 120 characters"),
        ({"reason": "A\0da"}, "reason: holds characters that cannot be stored"),
        ({"charge": {"id": ["Ada"]}}, "charge: expected a text, found a list"),
        ({"payment_intent": 7}, "payment_intent: expected a text, found a number"),
        ({"destination_details": "Ada"}, "destination_details: expected an object, found a text"),
        ({"currency": 7}, "currency: expected a text, found a number"),
    ],
)
def test_what_cannot_be_read_is_said_by_its_field_and_never_by_its_value(changes, reason):
    wire = {"id": "re_1", "object": "refund", "status": "succeeded", "amount": 1, "currency": "eur", "created": 1}
    with pytest.raises(MalformedAnswer) as found:
        refund_fact(wire | changes)
    assert str(found.value) == reason


def test_an_event_that_cannot_be_read_says_so_by_its_field():
    event = {"id": "evt_1", "object": "event", "type": "refund.created", "created": 1, "data": {"object": [1]}}
    for changes, reason in (
        ({}, "data.object: expected an object, found a list"),
        ({"data": 1}, "data: expected an object, found a number"),
        ({"object": "list"}, "object: not an event"),
        ({"type": 1}, "type: expected a text, found a number"),
    ):
        with pytest.raises(MalformedAnswer) as found:
            event_items(event | changes)
        assert str(found.value) == reason


def test_odd_metadata_of_the_merchant_is_no_reason_to_doubt_the_refund():
    refund = {"id": "re_1", "amount": 1, "currency": "eur", "status": "failed", "metadata": {"order_id": "x" * 300}}
    fact, _ = drive(bound().get_refund(RefundReference("re_1")), [httpx.Response(200, json=refund)])
    assert (fact.native_status, fact.merchant_order_id) == ("failed", "")


# Reports.


@pytest.mark.parametrize(
    ("report_type", "is_read"),
    [
        ("payout_reconciliation.itemized.5", True),
        ("payout_reconciliation.by_id.itemized.4", True),
        ("payout_reconciliation.summary.1", False),
        ("balance_change_from_activity.itemized.7", False),
    ],
)
def test_only_the_payout_reconciliation_is_read(report_type, is_read):
    assert Stripe().reads_report(ReportReference(f"{report_type}_frr_1.csv")) is is_read


def test_beside_practice_processors_the_files_are_theirs_too():
    stripe = Stripe(Account("sandbox", "http://127.0.0.1:9", Stripe.Credentials(Secret("sk_test_x")), Stripe.Options()))
    file = "http://127.0.0.1:9/v1/files/file_1/contents"
    assert str(stripe.report_request(ReportReference("r.csv", file)).url) == file
    with pytest.raises(ForeignAddress):
        stripe.report_request(ReportReference("r.csv", file.replace("http://127.0.0.1:9", "https://files.stripe.com")))
