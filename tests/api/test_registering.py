"""POST /api/refunds/: one refund, or a thousand."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from refunds.models import Refund, Scope
from tests.api.conftest import caller
from tests.factories import AccountFactory, RefundFactory

pytestmark = pytest.mark.django_db
URL = "/api/refunds/"


def registration(**changes):
    body = {"account": "shop", "connector_refund_id": "re_1", "refund_amount": euros(1234), **changes}
    return {name: value for name, value in body.items() if value is not ...}


def euros(minor_amount):
    return {"minor_amount": minor_amount, "currency": "EUR"}


def refused(response, field):
    """The message for the only field that was refused."""
    assert response.status_code == 400, response.content
    error = response.json()["error"]
    assert error["code"] == "invalid"
    assert list(error["fields"]) == [field]
    assert Refund.objects.count() == 0
    return error["fields"][field]


FULL = registration(
    connector_transaction_id="pi_1",
    merchant_refund_id="R-1",
    merchant_order_id="O-1",
    payment_amount=euros(5000),
    refund_reason="too small",
    payment_method="card",
    card_brand="visa",
    card_last4="4242",
    customer={"name": "Ada Example", "email": "ada@example.com", "language": "de"},
    requested_at="2026-03-14T11:00:00+01:00",
    status="PENDING",
    metadata={"ticket": "A-17", "rush": True, "attempt": 2},
)


def test_a_new_refund_is_created_with_everything_that_was_said_of_it(account, writer):
    response = writer.post(URL, FULL)
    assert response.status_code == 201
    shown = response.json()
    said = {name: shown[name] for name in FULL if name not in ("customer", "requested_at", "status")}
    assert said == {name: value for name, value in FULL.items() if name in said}
    assert (shown["status"], shown["stage"], shown["source"]) == ("PENDING", "requested", "claim")
    assert (shown["requested_at"], shown["created_at"]) == ("2026-03-14T10:00:00Z", "2026-03-14T10:00:00Z")
    assert (shown["claimed_amount"], shown["processor_amount"]) == (euros(1234), None)
    assert Refund.objects.get().customer == FULL["customer"]


def test_the_same_registration_again_is_known_and_changes_nothing(account, writer):
    first = writer.post(URL, FULL).json()
    again = writer.post(URL, FULL)
    assert again.status_code == 200
    assert again.json() == first


@pytest.mark.parametrize(
    "claimed", [euros(1235), {"minor_amount": 1234, "currency": "USD"}], ids=["amount", "currency"]
)
def test_another_amount_or_currency_than_registered_before_is_a_conflict(account, writer, claimed):
    writer.post(URL, registration())
    response = writer.post(URL, registration(refund_amount=claimed))
    assert response.status_code == 409
    assert response.json()["error"]["code"] == "conflict"
    assert list(response.json()["error"]["fields"]) == ["refund_amount"]
    assert Refund.objects.get().claimed_minor_amount == 1234


def test_a_difference_from_the_processors_amount_is_no_conflict(account, writer):
    RefundFactory.create(
        account=account, connector_refund_id="re_1", processor_minor_amount=999, processor_currency="EUR"
    )
    response = writer.post(URL, registration())
    assert response.status_code == 201
    assert response.json()["amounts_differ"] is True
    assert response.json()["refund_amount"] == euros(999)


def test_null_means_not_given(account, writer):
    nothing = dict.fromkeys(set(FULL) - {"account", "connector_refund_id", "refund_amount"})
    assert writer.post(URL, registration(**nothing)).status_code == 201


@pytest.mark.parametrize("missing", ["account", "connector_refund_id", "refund_amount"])
def test_what_is_required_is_named_when_it_is_missing(account, writer, missing):
    assert refused(writer.post(URL, registration(**{missing: ...})), missing) == "is required"


@pytest.mark.parametrize(
    "amount", ["12.0", "1e2", '"12"', "true", "null", "0", "-1", "12.34", "9223372036854775808"],
)  # fmt: skip
def test_only_a_positive_json_integer_is_an_amount(account, writer, amount):
    body = (
        '{"account": "shop", "connector_refund_id": "re_1", "refund_amount": {"currency": "EUR", "minor_amount": %s}}'
    )
    refused(writer.post(URL, body % amount), "refund_amount.minor_amount")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"refund_amount": {**euros(1), "scale": 2}}, "refund_amount.scale"),
        ({"refund_amount": {"minor_amount": 1, "currency": "eur"}}, "refund_amount.currency"),
        ({"refund_amount": {"minor_amount": 1, "currency": "XXQ"}}, "refund_amount.currency"),
        ({"refund_amount": {"minor_amount": 1}}, "refund_amount.currency"),
        ({"refund_amount": 12}, "refund_amount"),
        ({"payment_amount": euros(1.5)}, "payment_amount.minor_amount"),
        ({"connector_refund_id": ""}, "connector_refund_id"),
        ({"connector_refund_id": "r" * 256}, "connector_refund_id"),
        ({"connector_refund_id": "re_\0"}, "connector_refund_id"),
        ({"connector_refund_id": "re_\ud800"}, "connector_refund_id"),
        ({"connector_refund_id": " re_1"}, "connector_refund_id"),
        ({"connector_refund_id": 17}, "connector_refund_id"),
        ({"merchant_order_id": "o" * 256}, "merchant_order_id"),
        ({"refund_reason": "r" * 501}, "refund_reason"),
        ({"refund_reason": "paid with 4111 1111 1111 1111"}, "refund_reason"),
        ({"card_last4": "4111111111111111"}, "card_last4"),
        ({"card_last4": "424"}, "card_last4"),
        ({"card_last4": "٤٢٤٢"}, "card_last4"),
        ({"card_brand": "378282246310005"}, "card_brand"),
        ({"customer": {"name": "5555-5555-5555-4444"}}, "customer.name"),
        ({"customer": {"email": "not an address"}}, "customer.email"),
        ({"customer": {"language": "de_DE!"}}, "customer.language"),
        ({"customer": {"phone": "1"}}, "customer.phone"),
        ({"customer": "Ada"}, "customer"),
        ({"requested_at": "2026-03-14T10:00:00"}, "requested_at"),
        ({"requested_at": "2026-03-14"}, "requested_at"),
        ({"requested_at": "2026-13-14T10:00:00Z"}, "requested_at"),
        ({"requested_at": "0001-01-01T00:00:00+14:00"}, "requested_at"),
        ({"requested_at": 1773482400}, "requested_at"),
        ({"status": "succeeded"}, "status"),
        ({"status": ["PENDING"]}, "status"),
        ({"metadata": {"a": {"b": 1}}}, "metadata"),
        ({"metadata": {"a": 1.0}}, "metadata"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"metadata": {"": "x"}}, "metadata"),
        ({"metadata": {"a": "x" * 9000}}, "metadata"),
        ({"metadata": {f"k{n}": n for n in range(51)}}, "metadata"),
        ({"metadata": {"card": "4111111111111111"}}, "metadata"),
        ({"metadata": {"card": 4111111111111111}}, "metadata"),
        ({"metadata": []}, "metadata"),
    ],
    ids=lambda value: str(value)[:50] if isinstance(value, dict) else None,
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_by_name(account, writer, changes, field):
    refused(writer.post(URL, registration(**changes)), field)


def test_a_backslash_and_zeros_are_only_text(account, writer):
    assert writer.post(URL, registration(metadata={"path": "\\u0000"})).status_code == 201


def test_an_unknown_and_a_forbidden_account_are_refused_alike(account):
    AccountFactory.create(name="theirs")
    limited = caller(Scope.REFUNDS_WRITE, accounts=[account])
    unknown = refused(limited.post(URL, registration(account="nowhere")), "account")
    assert refused(limited.post(URL, registration(account="theirs")), "account") == unknown


@pytest.mark.parametrize("body", ["5", '"re_1"', "null", "true"])
def test_what_is_no_object_is_refused(account, writer, body):
    assert refused(writer.post(URL, body), "body") == "must be an object"


def test_of_a_list_the_good_ones_are_kept_and_the_bad_ones_named(account, writer):
    writer.post(URL, registration(connector_refund_id="known"))
    listed = [
        registration(connector_refund_id="new"),
        registration(connector_refund_id="bad", refund_amount=euros(1.5)),
        registration(connector_refund_id="known"),
        registration(connector_refund_id="known", refund_amount=euros(1)),
        registration(account="nowhere"),
        "not an object",
    ]
    response = writer.post(URL, listed)
    assert response.status_code == 200
    answer = response.json()
    assert [(r["index"], r["outcome"], r["http_status"]) for r in answer["results"]] == [
        (0, "created", 201), (1, "invalid", 400), (2, "known", 200), (3, "conflict", 409), (4, "invalid", 400),
        (5, "invalid", 400),
    ]  # fmt: skip
    assert [r["refund"] and r["refund"]["connector_refund_id"] for r in answer["results"][:4]] == [
        "new", None, "known", None,
    ]  # fmt: skip
    assert [r["error"] and list(r["error"]["fields"]) for r in answer["results"]] == [
        None, ["refund_amount.minor_amount"], None, ["refund_amount"], ["account"], ["body"],
    ]  # fmt: skip
    assert {name: answer[name] for name in ("created", "known", "conflict", "invalid")} == {
        "created": 1, "known": 1, "conflict": 1, "invalid": 3,
    }  # fmt: skip
    assert set(Refund.objects.values_list("connector_refund_id", flat=True)) == {"known", "new"}


def test_a_refund_twice_in_one_list_is_created_once(account, writer):
    answer = writer.post(URL, [registration(), registration(), registration(refund_amount=euros(1))]).json()
    assert [result["outcome"] for result in answer["results"]] == ["created", "known", "conflict"]


def test_a_list_over_several_accounts_keeps_its_order(account, writer):
    AccountFactory.create(name="other")
    names = ["shop", "other", "shop", "other"]
    listed = [registration(account=name, connector_refund_id=f"re_{n}") for n, name in enumerate(names)]
    refunds = [result["refund"] for result in writer.post(URL, listed).json()["results"]]
    assert [(r["account"], r["connector_refund_id"]) for r in refunds] == [
        ("shop", "re_0"), ("other", "re_1"), ("shop", "re_2"), ("other", "re_3"),
    ]  # fmt: skip


def test_an_empty_list_is_refused(account, writer):
    refused(writer.post(URL, []), "body")


def test_more_than_a_thousand_are_refused_whole(account, writer):
    response = writer.post(URL, [registration(connector_refund_id=f"re_{n}") for n in range(1001)])
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "too_large"
    assert Refund.objects.count() == 0


def test_a_thousand_registrations_take_few_queries(account, writer):
    listed = [registration(connector_refund_id=f"re_{n}", customer={"name": "Ada"}) for n in range(1000)]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = writer.post(URL, listed).json()
    assert answer["created"] == 1000
    assert len(queries) <= QUERIES_FOR_A_THOUSAND


QUERIES_FOR_A_THOUSAND = 30
"""SQLite takes at most 999 parameters in a statement, so announcing a thousand takes a dozen of them."""
