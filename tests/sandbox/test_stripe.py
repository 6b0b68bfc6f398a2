"""Stripe's objects, lists and errors, against its public field lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.exchange import basic_authorization
from connectors.sandbox.sandbox import Sandbox
from tests.sandbox.conftest import field_names

Ask = Callable[..., Any]

# The field lists of stripe-python at API version 2026-06-24.dahlia.
REFUND = field_names(
    "amount balance_transaction charge created currency description destination_details failure_balance_transaction "
    "failure_reason id instructions_email metadata next_action object payment_intent pending_reason "
    "presentment_details reason receipt_number source_transfer_reversal status transfer_reversal"
)
OPTIONAL = field_names(
    "description failure_balance_transaction failure_reason instructions_email next_action pending_reason "
    "presentment_details"
)
BALANCE_TRANSACTION = field_names(
    "amount available_on balance_type created currency description exchange_rate fee fee_details id net object "
    "reporting_category source status type"
)
CARD = {"reference", "reference_status", "reference_type", "type"}
STATUSES = {"pending", "requires_action", "succeeded", "failed", "canceled"}
PENDING_REASONS = {"charge_pending", "insufficient_funds", "processing"}
FAILURE_REASONS = field_names(
    "lost_or_stolen_card expired_or_canceled_card charge_for_pending_refund_disputed insufficient_funds declined "
    "merchant_request unknown"
)


@pytest.fixture
def a_month_of_refunds(sandbox: Sandbox, clock: VirtualClock) -> Sandbox:
    for _ in range(60):
        sandbox.start_refund("stripe")
        clock.advance(hours=6)
    clock.advance(days=7)
    return sandbox


def every(ask_stripe: Ask, path: str) -> list[Any]:
    """All objects of a list, page by page."""
    separator = "&" if "?" in path else "?"
    found: list[Any] = []
    cursor = ""
    while True:
        page = ask_stripe(f"{path}{separator}limit=7{cursor}")
        found += page["data"]
        if not page["has_more"]:
            return found
        cursor = f"&starting_after={found[-1]['id']}"


def test_refunds_have_the_shape_of_the_api(a_month_of_refunds: Sandbox, ask_stripe: Ask) -> None:
    refunds = every(ask_stripe, "/v1/refunds")
    assert len(refunds) == 60
    for refund in refunds:
        assert set(refund) <= REFUND
        assert set(refund) >= REFUND - OPTIONAL
        assert refund["status"] in STATUSES
        assert type(refund["amount"]) is int
        assert refund["currency"].islower()
        details = refund["destination_details"]
        assert set(details) == {details["type"], "type"}
        if details["type"] == "card":
            assert set(details["card"]) <= CARD
        assert refund.get("pending_reason", "processing") in PENDING_REASONS
        assert refund.get("failure_reason", "unknown") in FAILURE_REASONS
    assert {refund["status"] for refund in refunds} >= {"succeeded", "failed"}


def test_the_list_says_what_the_truth_says(a_month_of_refunds: Sandbox, ask_stripe: Ask) -> None:
    shown = {refund["id"]: refund["status"] for refund in every(ask_stripe, "/v1/refunds")}
    assert shown == {truth.refund_id: truth.native_status for truth in a_month_of_refunds.truth()}


def test_a_list_is_newest_first_and_pages_both_ways(a_month_of_refunds: Sandbox, ask_stripe: Ask) -> None:
    whole = ask_stripe("/v1/refunds?limit=100")
    ids = [refund["id"] for refund in whole["data"]]
    created = [refund["created"] for refund in whole["data"]]
    assert (whole["object"], whole["has_more"], whole["url"]) == ("list", False, "/v1/refunds")
    assert created == sorted(created, reverse=True)
    below = ask_stripe(f"/v1/refunds?limit=5&starting_after={ids[9]}")
    assert ([refund["id"] for refund in below["data"]], below["has_more"]) == (ids[10:15], True)
    above = ask_stripe(f"/v1/refunds?limit=5&ending_before={ids[9]}")
    assert ([refund["id"] for refund in above["data"]], above["has_more"]) == (ids[4:9], True)
    assert len(ask_stripe("/v1/refunds")["data"]) == 10


def test_created_filters_are_exact(sandbox: Sandbox, clock: VirtualClock, ask_stripe: Ask) -> None:
    for number in range(1, 4):
        sandbox.start_refund("stripe", refund_id=f"re_{number}")
        clock.advance(seconds=1)
    second = ask_stripe("/v1/refunds/re_2")["created"]
    for query, expected in (
        (f"created={second}", ["re_2"]),
        (f"created[gte]={second}", ["re_3", "re_2"]),
        (f"created[gt]={second}", ["re_3"]),
        (f"created[lte]={second}", ["re_2", "re_1"]),
        (f"created[lt]={second}", ["re_1"]),
        (f"created[gte]={second}&created[lt]={second}", []),
    ):
        assert [refund["id"] for refund in ask_stripe(f"/v1/refunds?{query}")["data"]] == expected


def test_refunds_are_listed_by_charge_and_payment_intent(sandbox: Sandbox, ask_stripe: Ask) -> None:
    first = sandbox.start_refund("stripe", life="instant", amount_minor=100, payment_amount_minor=500)
    second = sandbox.start_refund("stripe", payment_id=first.payment_id, amount_minor=100)
    sandbox.start_refund("stripe", payment_id="ch_other")
    intent = ask_stripe(f"/v1/refunds/{first.refund_id}")["payment_intent"]
    for query in (f"charge={first.payment_id}", f"payment_intent={intent}"):
        listed = [refund["id"] for refund in ask_stripe(f"/v1/refunds?{query}")["data"]]
        assert listed == [second.refund_id, first.refund_id]


def test_the_arn_becomes_available_later(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.start_refund("stripe", word="succeeded", refund_id="re_1")
    before = ask_stripe("/v1/refunds/re_1")["destination_details"]["card"]
    arn = sandbox.learns_reference("re_1")
    after = ask_stripe("/v1/refunds/re_1")["destination_details"]["card"]
    assert before == {
        "reference_status": "pending",
        "reference_type": "acquirer_reference_number",
        "type": "refund",
    }
    assert after == {**before, "reference": arn, "reference_status": "available"}
    assert sandbox.truth_of("re_1").arn == arn
    assert len(arn) == 23


def test_a_reversal_has_no_reference(sandbox: Sandbox, clock: VirtualClock, ask_stripe: Ask) -> None:
    sandbox.start_refund("stripe", life="reversal", refund_id="re_1")
    clock.advance(days=30)
    assert ask_stripe("/v1/refunds/re_1")["destination_details"] == {"card": {"type": "reversal"}, "type": "card"}
    assert sandbox.truth_of("re_1").arn == ""


def test_a_refund_that_fails_leaves_two_lines_that_sum_to_zero(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.start_refund("stripe", word="succeeded", refund_id="re_1", amount_minor=1000, currency="EUR")
    sandbox.says("re_1", "failed")
    lines = ask_stripe("/v1/balance_transactions?source=re_1")["data"]
    assert [(line["reporting_category"], line["net"]) for line in lines] == [
        ("refund_failure", 1000),
        ("refund", -1000),
    ]
    assert all(set(line) == BALANCE_TRANSACTION for line in lines)
    refund = ask_stripe("/v1/refunds/re_1?expand[]=balance_transaction")
    assert refund["balance_transaction"] == lines[1]
    assert refund["failure_balance_transaction"] == lines[0]["id"]


def test_another_currency_is_converted_at_a_rate_that_is_told(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.start_refund("stripe", word="succeeded", refund_id="re_1", amount_minor=16400, currency="JPY")
    line = ask_stripe("/v1/balance_transactions?type=refund")["data"][0]
    assert (line["currency"], line["amount"], line["exchange_rate"]) == ("eur", -10001, 0.006098)


def test_a_payout_holds_its_lines_and_comes_to_zero_with_its_own(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.start_refund("stripe", word="succeeded", currency="EUR")
    payouts = [name for name in sandbox.write_reports() if name.startswith("po_")]
    lines = ask_stripe(f"/v1/balance_transactions?payout={payouts[0]}&limit=100")["data"]
    assert {line["type"] for line in lines} == {"charge", "refund", "payout"}
    assert sum(line["net"] for line in lines) == 0
    assert ask_stripe(f"/v1/payouts/{payouts[0]}")["reconciliation_status"] == "completed"
    assert [payout["id"] for payout in ask_stripe("/v1/payouts")["data"]] == payouts
    assert ask_stripe("/v1/balance")["object"] == "balance"


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({}, 401, "did not provide an API key"),
        ({"Authorization": "Bearer sk_test_wrong_key_0000"}, 401, "Invalid API Key provided"),
        ({"Authorization": basic_authorization("sk_test_wrong", "")}, 401, "Invalid API Key provided"),
        ({"Authorization": "Bearer rk_test_without_permission"}, 403, "required permissions"),
        ({"Authorization": "Bearer sk_test_sandbox", "Stripe-Account": "acct_other"}, 403, "does not have access"),
    ],
    ids=["no key", "wrong key", "wrong basic key", "restricted key", "another account"],
)
def test_keys_that_do_not_fit_are_refused(sandbox: Sandbox, headers: dict[str, str], status: int, words: str) -> None:
    response = sandbox.handle("GET", "/v1/refunds", headers)
    assert response.status == status
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert words in response.json()["error"]["message"]


def test_the_key_is_accepted_as_basic_too(sandbox: Sandbox) -> None:
    headers = {"Authorization": basic_authorization("sk_test_sandbox", "")}
    assert sandbox.handle("GET", "/v1/refunds", headers).status == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/refunds/re_unknown", 404, "resource_missing"),
        ("/v1/refunds?starting_after=re_unknown", 400, "resource_missing"),
        ("/v1/refunds?status=failed", 400, "parameter_unknown"),
        ("/v1/refunds?limit=101", 400, None),
        ("/v1/refunds?limit=many", 400, None),
        ("/v1/refunds?created[gte]=yesterday", 400, None),
        ("/v1/nothing", 404, None),
        ("/v1/charges/ch_unknown", 404, "resource_missing"),
    ],
)
def test_wrong_questions_get_stripes_errors(sandbox: Sandbox, path: str, status: int, code: str | None) -> None:
    response = sandbox.handle("GET", path, {"Authorization": "Bearer sk_test_sandbox"})
    assert (response.status, response.json()["error"].get("code")) == (status, code)


def test_every_answer_has_a_request_id_and_the_worlds_date(sandbox: Sandbox) -> None:
    good = sandbox.handle("GET", "/v1/refunds", {"Authorization": "Bearer sk_test_sandbox"})
    bad = sandbox.handle("GET", "/v1/refunds")
    assert good.headers["Request-Id"].startswith("req_")
    assert good.headers["Request-Id"] != bad.headers["Request-Id"]
    assert bad.headers["Date"] == "Mon, 02 Mar 2026 09:00:00 GMT"
