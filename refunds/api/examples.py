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
    "settlement": {"fee": None, "net": None, "payout_id": None, "hidden": False},
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

EXPLANATION: dict[str, Any] = {
    "refund_id": 4711,
    "language": "de",
    "text": "Unser Zahlungsdienstleister hat am 14. März 2026 (UTC) bestätigt, dass Ihre Erstattung über "
    "12,34\u00a0EUR an die Karte gesendet wurde, mit der Sie bezahlt haben.",
    "sentences": [
        {
            "key": "done_card",
            "text": "Unser Zahlungsdienstleister hat am 14. März 2026 (UTC) bestätigt, dass Ihre Erstattung über "
            "12,34\u00a0EUR an die Karte gesendet wurde, mit der Sie bezahlt haben.",
        }
    ],
    "mail": {
        "subject": "Ihre Erstattung über 12,34\u00a0EUR",
        "body": "Guten Tag,\n\nUnser Zahlungsdienstleister hat am 14. März 2026 (UTC) bestätigt, dass Ihre Erstattung "
        "über 12,34\u00a0EUR an die Karte gesendet wurde, mit der Sie bezahlt haben.\n\nMit freundlichen Grüßen",
    },
    "meaning": ["Done, as far as the processor says. Whether the customer's bank shows it yet, nobody knows here."],
    "next_steps": ["Nothing else. Send the text."],
    "expected": {
        "by": "2026-03-27",
        "what": "visible to the customer",
        "because": "10 bank days after success are our default.",
        "age": "expected",
    },
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

LEDGER_ENTRY: dict[str, Any] = {
    "account": "shop-eu",
    "reference": "GL-2026-0301",
    "kind": "refund",
    "amount": {"minor_amount": 1234, "currency": "EUR"},
    "booked_at": "2026-03-14T10:00:00Z",
    "connector_refund_id": "re_3PqX",
    "merchant_refund_id": "R-2026-0042",
}

LEDGER_RESULTS: dict[str, Any] = {
    "created": 1,
    "known": 0,
    "conflict": 0,
    "invalid": 0,
    "results": [{"index": 0, "outcome": "created", "http_status": 201, "entry_id": 9001, "error": None}],
}

LEDGER_IMPORT: dict[str, Any] = {
    "id": 31,
    "account": "shop-eu",
    "name": "refunds-2026-03.csv",
    "came_by": "api",
    "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "created": 1840,
    "known": 12,
    "refused": 1,
    "created_at": "2026-04-02T08:00:00Z",
    "error": None,
}

LEDGER_AGAIN: dict[str, Any] = {"columns": {"amount": "Betrag", "reference": "Beleg"}}

ROW_ERROR: dict[str, Any] = {
    "line": 418,
    "column": "amount",
    "reason": "'12,50' is not an amount such as 12.34, with a point and no blanks or commas",
}

REPORT: dict[str, Any] = {
    "id": 17,
    "account": "shop-cards",
    "name": "settlement_detail_report_batch_7.csv",
    "came_by": "api",
    "state": "imported",
    "percent": 100,
    "size_bytes": 1843200,
    "sha256": "fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9",
    "rows": 12000,
    "about_refunds": 840,
    "booked_lines": 840,
    "came_before": 0,
    "other": 11160,
    "not_ours": 0,
    "unreadable": 0,
    "refunds_changed": 3,
    "created_at": "2026-04-02T08:00:00Z",
    "finished_at": "2026-04-02T08:00:09Z",
    "error": None,
}

REPORT_WAITING: dict[str, Any] = REPORT | {
    "state": "stored",
    "percent": 0,
    "rows": 0,
    "about_refunds": 0,
    "booked_lines": 0,
    "other": 0,
    "refunds_changed": 0,
    "finished_at": None,
}

TERMS: dict[str, Any] = {
    "since": "2026-03-01T00:00:00Z",
    "in_force": True,
    "books_below": 2,
    "books_above": 2,
    "settled_below": 0,
    "settled_above": 0,
    "rounding_most": 1000,
    "batch_per_thousand": "0.010",
    "batch_most": "1.000",
    "fx_basis_points": 50,
    "grace_hours": 24,
    "settles_within_days": 7,
    "bank_days": 3,
    "stuck_after_days": 10,
    "fee_fixed": None,
    "fee_basis_points": 0,
    "fee_currency": "",
    "time_zone": "Europe/Amsterdam",
    "cut_off": "00:00",
    "second_person_above": 100000,
}

RUN_REQUEST: dict[str, Any] = {
    "since": "2026-03-01T00:00:00Z",
    "until": "2026-04-01T00:00:00Z",
    "accounts": ["shop-eu"],
    "as_of": "2026-04-06T00:00:00Z",
}

RUN_WAITING: dict[str, Any] = {
    "id": 12,
    "state": "waiting",
    "since": "2026-03-01T00:00:00Z",
    "until": "2026-04-01T00:00:00Z",
    "accounts": ["shop-eu"],
    "parties": "RPS",
    "as_of": "2026-04-06T00:00:00Z",
    "rule_version": 2,
    "percent": 0,
    "step": None,
    "items": 0,
    "matches": 0,
    "suggested": 0,
    "breaks": 0,
    "summary": [],
    "created_at": "2026-04-06T08:00:00.250000Z",
    "finished_at": None,
    "error": None,
}

RUN: dict[str, Any] = {
    **RUN_WAITING,
    "state": "done",
    "percent": 100,
    "items": 20000,
    "matches": 19999,
    "suggested": 2,
    "breaks": 1,
    "summary": [
        {
            "code": "B04",
            "name": "MISSING_IN_SETTLEMENT",
            "breaks": 1,
            "at_risk": {"minor_amount": 1234, "currency": "EUR"},
        }
    ],
    "finished_at": "2026-04-06T08:00:02.750000Z",
}

BREAK: dict[str, Any] = {
    "id": 345,
    "identity": "4/PS/3/4711/0/0/0/1234EUR/",
    "code": "B04",
    "name": "MISSING_IN_SETTLEMENT",
    "family": "existence",
    "severity": "medium",
    "owner": "finance",
    "state": "open",
    "parties": "PS",
    "account": "shop-eu",
    "refund_id": 4711,
    "connector_refund_id": "re_3PqX",
    "entry_id": None,
    "line_id": None,
    "payout_id": None,
    "at_risk": {"minor_amount": 1234, "currency": "EUR"},
    "expected_at": "2026-03-21T10:04:00Z",
    "age": "> 7 d",
    "detail": None,
}

PERIOD_REQUEST: dict[str, Any] = {"account": "shop-eu", "since": "2026-03-01", "until": "2026-04-01"}

PERIOD_OPEN: dict[str, Any] = {
    "id": 3,
    "account": "shop-eu",
    "since": "2026-03-01T00:00:00Z",
    "until": "2026-04-01T00:00:00Z",
    "state": "open",
    "version": None,
    "digest": None,
    "closing": None,
    "proposal": None,
    "events": [
        {"step": "opened", "by": "ada", "at": "2026-03-01T08:00:00Z", "reason": None, "road": "api"},
    ],
}

PERIOD: dict[str, Any] = {
    **PERIOD_OPEN,
    "state": "closed",
    "version": 1,
    "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "closing": {
        "state": "done",
        "version": 1,
        "run": 12,
        "known_until": "2026-04-06T00:00:00Z",
        "decided_until": "2026-04-06T09:00:00Z",
        "asked_by": "ada",
        "asked_at": "2026-04-06T09:00:00Z",
        "finished_at": "2026-04-06T09:00:04Z",
        "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "rollforward": [
            {
                "currency": "EUR",
                "opening": 5000,
                "requested": 120000,
                "settled": -118000,
                "failed": -1000,
                "returned": 500,
                "amount": 0,
                "excess": 0,
                "cleared": -500,
                "restated": 0,
                "closing": 6000,
                "open_items": 6000,
                "difference": 0,
                "items": 4,
                "ages": [6000, 0, 0, 0],
                "late": [],
            }
        ],
        "blockers": [],
    },
    "events": [
        *PERIOD_OPEN["events"],
        {"step": "closed", "by": "ada", "at": "2026-04-06T09:00:04Z", "reason": None, "road": "api"},
    ],
}
OPEN_BREAK: dict[str, Any] = {**BREAK, "run_id": 12, "version": 0, "proposed": None}

DECISION: dict[str, Any] = {
    "act": "resolve",
    "reason": "arrived_later",
    "text": "Its line is in the file of 2 April.",
    "version": 0,
}

ONE_BREAK: dict[str, Any] = {
    **BREAK,
    "state": "resolved",
    "run_id": 12,
    "version": 1,
    "proposed": None,
    "decisions": [
        {
            "version": 1,
            "act": "resolve",
            "was": "open",
            "state": "resolved",
            "proposes": None,
            "reason": "arrived_later",
            "text": "Its line is in the file of 2 April.",
            "decided_by": "ann",
            "decided_at": "2026-04-06T09:30:00.250000Z",
            "seconded_by": None,
            "decision_id": 71,
        }
    ],
}

DECIDED: dict[str, Any] = {
    "id": 71,
    "act": "resolve",
    "state": "done",
    "reason": "arrived_later",
    "text": "Its line is in the file of 2 April.",
    "breaks": 1,
    "sums": [{"account": "shop-eu", "breaks": 1, "at_risk": {"minor_amount": 1234, "currency": "EUR"}}],
    "chosen": {},
    "decided_by": "ann",
    "decided_at": "2026-04-06T09:30:00.250000Z",
    "answered_by": None,
    "answered_at": None,
    "answer_text": None,
    "undoes": None,
}

PREVIEW_REQUEST: dict[str, Any] = {"run": 12, "code": "B04", "currency": "EUR"}

PREVIEW: dict[str, Any] = {
    "token": "eyJ3YW50ZWQiOiB7fX0:1wXyZ:signature",
    "count": 1,
    "left_out": 0,
    "sums": [{"account": "shop-eu", "breaks": 1, "at_risk": {"minor_amount": 1234, "currency": "EUR"}}],
    "acts": ["resolve", "write_off", "force", "void"],
    "needs_second_person": False,
    "sample": [OPEN_BREAK],
}

GROUP_DECISION: dict[str, Any] = {
    "preview": "eyJ3YW50ZWQiOiB7fX0:1wXyZ:signature",
    "act": "write_off",
    "reason": "immaterial",
    "text": "Agreed with the auditor.",
}

WAITING_DECISION: dict[str, Any] = {
    **DECIDED,
    "id": 72,
    "act": "write_off",
    "state": "waiting",
    "reason": "immaterial",
    "text": "Agreed with the auditor.",
    "breaks": 40,
    "sums": [{"account": "shop-eu", "breaks": 40, "at_risk": {"minor_amount": 123400, "currency": "EUR"}}],
    "chosen": {"run": 12, "code": "B04", "currency": "EUR"},
    "decided_by": "order service (rfd_abcdef...)",
}

UNDO: dict[str, Any] = {"reason": "decided_by_mistake", "text": "It was the wrong month."}

UNDONE: dict[str, Any] = {
    **DECIDED,
    "id": 73,
    "act": "undo",
    "reason": "decided_by_mistake",
    "text": "It was the wrong month.",
    "sums": [],
    "undoes": 71,
}

WITHDRAW: dict[str, Any] = {"answer": "withdraw", "text": "Not needed any more."}

WITHDRAWN: dict[str, Any] = {
    **WAITING_DECISION,
    "state": "withdrawn",
    "answered_at": "2026-04-06T10:00:00.250000Z",
    "answer_text": "Not needed any more.",
}

EXPORT_REQUEST: dict[str, Any] = {
    "report": "refunds",
    "format": "csv",
    "refunds": {
        "basis": "settled",
        "since": "2026-03-01",
        "until": "2026-03-31",
        "zone": "Europe/Berlin",
        "status": ["SUCCEEDED"],
        "accounts": ["shop-eu"],
    },
    "only_new": False,
}

EXPORT_WAITING: dict[str, Any] = {
    "id": 17,
    "report": "refunds",
    "format": "csv",
    "state": "waiting",
    "percent": 0,
    "accounts": ["shop-eu"],
    "only_new": False,
    "previous": None,
    "rows": 0,
    "name": None,
    "size_bytes": 0,
    "sha256": None,
    "taken_at": None,
    "created_at": "2026-04-06T08:00:00.250000Z",
    "finished_at": None,
    "expires_at": None,
    "error": None,
}

EXPORT: dict[str, Any] = {
    **EXPORT_WAITING,
    "state": "done",
    "percent": 100,
    "rows": 20000,
    "name": "refunds-settled-2026-03-01-to-2026-03-31-Europe-Berlin-export-17.csv",
    "size_bytes": 9876543,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "taken_at": "2026-04-06T08:00:00.750000Z",
    "finished_at": "2026-04-06T08:00:02.750000Z",
    "expires_at": "2026-04-13T08:00:02.750000Z",
}
NOTE_REQUEST: dict[str, Any] = {"text": "The bank asks for a letter.", "reference": "helpdesk-4711-3"}

NOTE_EDIT: dict[str, Any] = {"version": 1, "text": "The bank asks for a letter; sent on Monday."}

NOTE: dict[str, Any] = {
    "id": 88,
    "version": 1,
    "text": "The bank asks for a letter.",
    "author": "API: helpdesk",
    "created_at": "2026-03-16T09:12:00.400000Z",
    "edited_by": None,
    "edited_at": "2026-03-16T09:12:00.400000Z",
    "deleted_at": None,
    "erased_at": None,
    "reference": "helpdesk-4711-3",
}

CASE_CHANGE: dict[str, Any] = {
    "assignee": "grace",
    "follow_up_on": "2026-03-20",
    "ticket_url": "https://tickets.example.com/4711",
    "add_tags": ["bank-letter"],
}

CASE: dict[str, Any] = {
    "refund_id": 4711,
    "assignee": "grace",
    "follow_up_on": "2026-03-20",
    "ticket_url": "https://tickets.example.com/4711",
    "tags": ["bank-letter"],
    "note_count": 1,
    "version": 5,
    "changed_at": "2026-03-16T09:12:01.100000Z",
    "notes": [NOTE],
}

CASE_HISTORY: dict[str, Any] = {
    "next": None,
    "results": [
        {
            "id": 702,
            "kind": "tagged",
            "author": "API: helpdesk",
            "at": "2026-03-16T09:12:01.100000Z",
            "words": "added the tag bank-letter",
        }
    ],
}
