"""Adyen's notification items and report files."""

from __future__ import annotations

import base64
import csv
import datetime as dt
import hashlib
import hmac
import io
from collections.abc import Callable
from typing import Any

import pytest

from connectors.sandbox.adyen_items import signature
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.exchange import basic_authorization
from connectors.sandbox.sandbox import Sandbox
from tests.sandbox.conftest import field_names

Items = Callable[[], list[dict[str, Any]]]
Download = Callable[[str], str]

# The header lines of real files.
ACCOUNTING = (
    "Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Payment Method Variant,"
    "Booking Date,TimeZone,Record Type,Modification Psp Reference,Main Currency,Main Amount,Payment Currency,"
    "Received (PC),Exchange Rate,Authorised (PC),Captured (PC),Settlement Currency,Payable (SC),Commission (SC),"
    "Markup (SC),Scheme Fees (SC),Interchange (SC),Processing Fee Currency,Processing Fee (FC),"
    "Modification Merchant Reference,Original Amount,Merchant Order Reference,Shopper Reference,"
    "Reserved3,Reserved4,Reserved5,Reserved6,Reserved7,Reserved8,Reserved9,Reserved10"
)
SETTLEMENT = (
    "Company Account,Merchant Account,Psp Reference,Merchant Reference,Payment Method,Creation Date,TimeZone,Type,"
    "Modification Reference,Gross Currency,Gross Debit (GC),Gross Credit (GC),Exchange Rate,Net Currency,"
    "Net Debit (NC),Net Credit (NC),Commission (NC),Markup (NC),Scheme Fees (NC),Interchange (NC),"
    "Payment Method Variant,Modification Merchant Reference,Batch Number,"
    "Reserved4,Reserved5,Reserved6,Reserved7,Reserved8,Reserved9,Reserved10"
)
ITEM = field_names(
    "additionalData amount eventCode eventDate merchantAccountCode merchantReference originalReference paymentMethod "
    "pspReference reason success"
)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_an_item_carries_the_refund_and_its_payment(sandbox: Sandbox, adyen_items: Items) -> None:
    refund = sandbox.start_refund("adyen", life="manual", currency="EUR", amount_minor=1234, merchant_refund_id="RF-1")
    sandbox.says(refund.refund_id, "REFUND")
    (item,) = adyen_items()
    assert set(item) == ITEM
    assert item["amount"] == {"currency": "EUR", "value": 1234}
    assert (item["pspReference"], item["originalReference"]) == (refund.refund_id, refund.payment_id)
    assert (item["eventCode"], item["success"], item["reason"]) == ("REFUND", "true", "")
    assert (item["merchantAccountCode"], item["merchantReference"]) == ("SandboxMerchant", "RF-1")
    assert item["eventDate"] == "2026-03-02T10:00:00+01:00"
    assert item["additionalData"]["arn"] == sandbox.truth_of(refund.refund_id).arn


@pytest.mark.parametrize(
    ("word", "event_code", "success", "action"),
    [
        ("REFUND:false", "REFUND", "false", None),
        ("REFUND_FAILED", "REFUND_FAILED", "true", None),
        ("REFUNDED_REVERSED", "REFUNDED_REVERSED", "true", None),
        ("CANCEL_OR_REFUND:refund", "CANCEL_OR_REFUND", "true", "refund"),
        ("CANCEL_OR_REFUND:cancel", "CANCEL_OR_REFUND", "true", "cancel"),
        ("CANCEL_OR_REFUND:false", "CANCEL_OR_REFUND", "false", None),
        ("TECHNICAL_CANCEL", "TECHNICAL_CANCEL", "true", None),
        ("VOID_PENDING_REFUND", "VOID_PENDING_REFUND", "true", None),
        ("REFUND_NOT_CLEARED", "REFUND_NOT_CLEARED", "true", None),
    ],
)
def test_a_word_becomes_code_success_and_action(
    sandbox: Sandbox, adyen_items: Items, word: str, event_code: str, success: str, action: str | None
) -> None:
    refund = sandbox.start_refund("adyen", life="manual")
    sandbox.says(refund.refund_id, word, reason="why")
    (item,) = adyen_items()
    assert (item["eventCode"], item["success"], item["reason"]) == (event_code, success, "why")
    assert item["additionalData"].get("modification.action") == action


def test_the_signature_is_the_public_one() -> None:
    """An official vector: adyen-python's mocks/util/backslash_notification.json."""
    item = {
        "amount": {"currency": "EUR", "value": 1000},
        "eventCode": "AUTHORISATION",
        "merchantAccountCode": "AntoniStroinski",
        "merchantReference": "\\\\slashes are fun",
        "pspReference": "T7FD4VM4D3RZNN82",
        "success": "true",
    }
    key = "74F490DD33F7327BAECC88B2947C011FC02D014A473AAA33A8EC93E4DC069174"
    assert signature(item, key) == "nIgT81gaB5oJpn2jPXupDq68iRo2wUlBsuYjtYfwKqo="


def test_every_item_of_a_batch_is_signed_by_itself(sandbox: Sandbox, clock: VirtualClock, adyen_items: Items) -> None:
    sandbox.courier.habits.batch_limit = 5
    for _ in range(30):
        sandbox.start_refund("adyen")
    clock.advance(days=40)
    sandbox.write_reports()
    items = adyen_items()
    assert len(items) > 30
    for item in items:
        amount = item["amount"]
        text = (
            f"{item['pspReference']}:{item.get('originalReference', '')}:{item['merchantAccountCode']}:"
            f"{item['merchantReference']}:{amount['value']}:{amount['currency']}:{item['eventCode']}:{item['success']}"
        )
        mac = hmac.new(bytes.fromhex("5A" * 32), text.encode(), hashlib.sha256)
        assert item["additionalData"]["hmacSignature"] == base64.b64encode(mac.digest()).decode()


def test_a_reprocessed_refund_repeats_its_signed_fields(
    sandbox: Sandbox, clock: VirtualClock, adyen_items: Items
) -> None:
    sandbox.start_refund("adyen", life="reprocessed")
    clock.advance(days=40)
    first, failed, again = adyen_items()
    assert [item["eventCode"] for item in (first, failed, again)] == ["REFUND", "REFUND_FAILED", "REFUND"]
    assert first["additionalData"]["hmacSignature"] == again["additionalData"]["hmacSignature"]
    assert first["eventDate"] < failed["eventDate"] < again["eventDate"]


def test_a_refund_made_in_the_dashboard_carries_the_payments_reference(sandbox: Sandbox, adyen_items: Items) -> None:
    refund = sandbox.start_refund("adyen", life="manual", registered=False, merchant_order_id="ORD-1")
    sandbox.says(refund.refund_id, "REFUND")
    assert [item["merchantReference"] for item in adyen_items()] == ["ORD-1"]


def test_there_is_no_call_that_retrieves_a_refund(sandbox: Sandbox) -> None:
    refund = sandbox.start_refund("adyen")
    for path in (f"/v71/payments/{refund.payment_id}/refunds/{refund.refund_id}", "/pal/servlet/Payment/v68/refund"):
        assert sandbox.handle("GET", path).status == 404


def test_both_reports_are_announced(sandbox: Sandbox, adyen_items: Items) -> None:
    names = sandbox.write_reports()
    assert names == ["payments_accounting_report_2026_03_02.csv", "settlement_detail_report_batch_1.csv"]
    items = adyen_items()
    base = "https://ca-test.adyen.com/reports/download/MerchantAccount/SandboxMerchant"
    assert [(item["eventCode"], item["pspReference"], item["reason"]) for item in items] == [
        ("REPORT_AVAILABLE", name, f"{base}/{name}") for name in names
    ]


def test_a_quiet_days_files_hold_their_header_only(sandbox: Sandbox, download: Download) -> None:
    accounting, settlement = sandbox.write_reports()
    assert download(accounting) == ACCOUNTING + "\n"
    assert download(settlement) == SETTLEMENT + "\n"


def test_the_accounting_report_tells_what_was_booked(sandbox: Sandbox, clock: VirtualClock, download: Download) -> None:
    refund = sandbox.start_refund("adyen", life="returned", currency="EUR", amount_minor=1000)
    clock.advance(days=60)
    found = rows(download(sandbox.write_reports()[0]))
    assert [(row["Record Type"], row["Main Amount"]) for row in found] == [
        ("SentForRefund", "-10.00"),
        ("Refunded", "-10.00"),
        ("RefundedReversed", "10.00"),
    ]
    assert {row["Modification Psp Reference"] for row in found} == {refund.refund_id}
    assert {row["Psp Reference"] for row in found} == {refund.payment_id}
    assert {row["Main Currency"] for row in found} == {"EUR"}
    truth = sandbox.truth_of(refund.refund_id)
    assert truth.reported_stage == "returned"
    local = [f"{row['Booking Date']} {row['TimeZone']}" for row in found]
    assert local[0] == (truth.bookings[0][0] + dt.timedelta(hours=1)).strftime("%F %T CET")


def test_a_refund_that_failed_at_the_scheme_never_reaches_the_settlement(
    sandbox: Sandbox, clock: VirtualClock, download: Download
) -> None:
    sandbox.start_refund("adyen", life="late_failure")
    clock.advance(days=30)
    accounting, settlement = sandbox.write_reports()
    assert [row["Record Type"] for row in rows(download(accounting))] == ["SentForRefund", "RefundFailed"]
    assert "Refunded" not in {row["Type"] for row in rows(download(settlement))}


def test_a_settlement_file_debits_refunds_and_comes_to_zero(
    sandbox: Sandbox, clock: VirtualClock, download: Download
) -> None:
    refund = sandbox.start_refund("adyen", life="returned", currency="EUR", amount_minor=1000)
    clock.advance(days=60)
    found = rows(download(sandbox.write_reports()[1]))
    assert [row["Type"] for row in found] == ["Settled", "Refunded", "RefundedReversed", "Fee", "MerchantPayout"]
    out, back = found[1:3]
    assert (out["Gross Debit (GC)"], out["Gross Credit (GC)"]) == ("10.00", "")
    assert (back["Gross Debit (GC)"], back["Gross Credit (GC)"]) == ("", "10.00")
    assert (out["Psp Reference"], out["Modification Reference"]) == (refund.payment_id, refund.refund_id)
    assert {row["Batch Number"] for row in found} == {"1"}
    cents = [
        int(row[f"Net {side} (NC)"].replace(".", "") or 0) * sign
        for row in found
        for side, sign in (("Credit", 1), ("Debit", -1))
    ]
    assert sum(cents) == 0


def test_amounts_in_reports_are_major_units_of_adyens_decimals(
    sandbox: Sandbox, clock: VirtualClock, download: Download
) -> None:
    for currency, minor_amount in (("CLP", 123400), ("JPY", 500), ("KWD", 1230), ("IDR", 15000)):
        sandbox.start_refund("adyen", life="accepted", currency=currency, amount_minor=minor_amount)
    clock.advance(days=10)
    found = rows(download(sandbox.write_reports()[1]))
    amounts = {row["Gross Currency"]: row["Gross Debit (GC)"] for row in found if row["Type"] == "Refunded"}
    assert amounts == {"CLP": "1234.00", "JPY": "500", "KWD": "1.230", "IDR": "15000"}


def test_nothing_is_reported_twice_and_batches_are_consecutive(
    sandbox: Sandbox, clock: VirtualClock, download: Download
) -> None:
    sandbox.start_refund("adyen", life="accepted")
    clock.advance(days=10)
    sandbox.write_reports()
    accounting, settlement = sandbox.write_reports()
    assert (accounting, settlement) == (
        "payments_accounting_report_2026_03_12_2.csv",
        "settlement_detail_report_batch_2.csv",
    )
    assert (rows(download(accounting)), rows(download(settlement))) == ([], [])


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({}, "MerchantAccount/SandboxMerchant/x.csv", 401),
        ({"X-API-Key": "wrong"}, "MerchantAccount/SandboxMerchant/x.csv", 401),
        ({"Authorization": basic_authorization("report", "wrong")}, "MerchantAccount/SandboxMerchant/x.csv", 401),
        ({"X-API-Key": "report-api-key"}, "MerchantAccount/Other/x.csv", 403),
        ({"X-API-Key": "report-api-key"}, "MerchantAccount/SandboxMerchant/x.csv", 404),
    ],
    ids=["no credentials", "wrong key", "wrong password", "another merchant", "no such file"],
)
def test_downloads_that_are_not_permitted_are_refused(
    sandbox: Sandbox, headers: dict[str, str], path: str, status: int
) -> None:
    assert sandbox.handle("GET", f"/reports/download/{path}", headers).status == status


def test_a_file_of_another_processor_is_none_of_adyens(sandbox: Sandbox, clock: VirtualClock) -> None:
    sandbox.start_refund("stripe")
    clock.advance(days=20)
    sandbox.write_reports()
    [name] = [name for name in sandbox.world.reports if name.startswith("file_")]
    path = f"/reports/download/MerchantAccount/SandboxMerchant/{name}"
    assert sandbox.handle("GET", path, {"X-API-Key": "report-api-key"}).status == 404
