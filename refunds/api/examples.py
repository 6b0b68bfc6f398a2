"""Examples the API's description shows; a test holds them against what the API really answers."""

from __future__ import annotations

from typing import Any

REFUND: dict[str, Any] = {
    "id": 4711,
    "account": "shop-eu",
    "connector": "connector-name",
    "merchant_refund_id": "R-2026-0042",
    "connector_refund_id": "re_3PqX",
    "connector_transaction_id": "pi_3PqW",
    "other_transaction_id": "ch_3PqW",
    "status": "SUCCEEDED",
    "error": None,
    "refund_amount": {"minor_amount": 1234, "currency": "EUR"},
    "payment_amount": {"minor_amount": 5000, "currency": "EUR"},
    "refund_reason": "requested_by_customer",
    "created_at": "2026-03-14T10:00:00Z",
    "updated_at": "2026-03-14T10:04:05.120000Z",
    "processed_at": "2026-03-14T10:04:00Z",
    "merchant_order_id": "O-1001",
    "acquirer_reference_number": "74123456078001234567890",
    "reference_state": "available",
    "kind": "refund",
    "stage": "succeeded",
    "native_status": "succeeded",
    "pending_reason": None,
    "returned_after_success": False,
    "source": "get",
    "as_of": "2026-03-14T10:04:00Z",
    "received_at": "2026-03-14T10:04:05.120000Z",
    "checked_at": "2026-03-14T10:04:05.120000Z",
    "live": True,
    "answer": {"code": "answered", "message": "The processor answered just now."},
    "last_answer": "answered",
    "last_answer_at": "2026-03-14T10:04:05.120000Z",
    "stuck": False,
    "unrecognized_since": None,
    "unrecognized_word": None,
    "disputed": False,
    "registered": True,
    "registered_at": "2026-03-14T10:00:01.500000Z",
    "requested_at": "2026-03-14T10:00:00Z",
    "first_seen_at": "2026-03-14T10:00:01.500000Z",
    "settled_at": None,
    "claimed_status": None,
    "claimed_amount": {"minor_amount": 1234, "currency": "EUR"},
    "processor_amount": {"minor_amount": 1234, "currency": "EUR"},
    "amounts_differ": False,
    "payment_method": "card",
    "card_brand": "visa",
    "card_last4": "4242",
    "customer": {"name": None, "email": None, "language": "de", "hidden": True},
    "metadata": {"ticket": "A-17"},
}

STORED: dict[str, Any] = {**REFUND, "live": False, "answer": None}

NOT_ASKED: dict[str, Any] = {
    **REFUND,
    "live": False,
    "answer": {"code": "unavailable", "message": "The processor answered HTTP 503."},
    "last_answer": "unavailable",
    "last_answer_at": "2026-03-14T12:00:00Z",
}

REGISTRATION: dict[str, Any] = {
    "account": "shop-eu",
    "connector_refund_id": "re_3PqX",
    "refund_amount": {"minor_amount": 1234, "currency": "EUR"},
    "connector_transaction_id": "pi_3PqW",
    "merchant_refund_id": "R-2026-0042",
    "merchant_order_id": "O-1001",
    "payment_amount": {"minor_amount": 5000, "currency": "EUR"},
    "refund_reason": "requested_by_customer",
    "payment_method": "card",
    "card_brand": "visa",
    "card_last4": "4242",
    "customer": {"name": "Ada Example", "email": "ada@example.com", "language": "de"},
    "requested_at": "2026-03-14T10:00:00Z",
    "metadata": {"ticket": "A-17"},
}

FLOAT_AMOUNT: dict[str, Any] = {
    "code": "invalid",
    "message": "Correct these and send it again: refund_amount.minor_amount.",
    "fields": {
        "refund_amount.minor_amount": "must be an integer in the currency's smallest unit, "
        "for example 1234 for 12.34 EUR"
    },
}

RESULTS: dict[str, Any] = {
    "created": 1,
    "known": 0,
    "conflict": 0,
    "invalid": 1,
    "results": [
        {"index": 0, "outcome": "created", "http_status": 201, "refund": STORED, "error": None},
        {"index": 1, "outcome": "invalid", "http_status": 400, "refund": None, "error": FLOAT_AMOUNT},
    ],
}

_ATTRIBUTES: dict[str, Any] = {
    "refund_amount": {"minor_amount": 1234, "currency": "EUR"},
    "acquirer_reference_number": "74123456078001234567890",
}

TIMELINE: dict[str, Any] = {
    "refund_id": 4711,
    "known_at": None,
    "state": {
        "status": "SUCCEEDED",
        "stage": "succeeded",
        "native_status": "succeeded",
        "source": "get",
        "as_of": "2026-03-14T10:04:00Z",
        "received_at": "2026-03-14T10:04:05.120000Z",
        "returned_after_success": False,
        "unrecognized_since": None,
        "unrecognized_word": None,
        "registered_at": "2026-03-14T10:00:01.500000Z",
        "attributes": _ATTRIBUTES,
    },
    "observations": [
        {
            "id": 90210,
            "source": "get",
            "standing": "counted",
            "stage": "succeeded",
            "native_status": "succeeded",
            "as_of": "2026-03-14T10:04:00Z",
            "received_at": "2026-03-14T10:04:05.120000Z",
            "last_as_of": "2026-03-14T10:04:00Z",
            "last_received_at": "2026-03-14T10:04:05.120000Z",
            "count": 1,
            "event_id": None,
            "event_type": None,
            "shown": True,
            "late": False,
            "note": None,
            "attributes": _ATTRIBUTES,
        }
    ],
}

EVENT: dict[str, Any] = {
    "body_base64": "eyJpZCI6ICJldnRfMSJ9",
    "headers": {"Content-Type": "application/json", "X-Signature": "t=1773482640,v1=5257a869"},
    "received_at": "2026-03-14T10:04:01Z",
    "verify": False,
}

HANDLED_EVENT: dict[str, Any] = {
    "delivery_id": 31337,
    "duplicate": False,
    "late": False,
    "events": [
        {
            "event_type": "refund.updated",
            "kind": "fact",
            "source_verified": True,
            "native_status": "succeeded",
            "stage": "succeeded",
            "note": None,
            "refund": STORED,
        }
    ],
    "acknowledgement": {"http_status": 200, "body": "", "content_type": "text/plain; charset=utf-8"},
}
