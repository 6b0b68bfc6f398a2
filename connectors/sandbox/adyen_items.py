"""Adyen's notification items as its standard webhooks carry them, each with its own HMAC."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from connectors.sandbox import identifiers
from connectors.sandbox.config import AdyenAccount
from connectors.sandbox.model import Event, Payment, Refund

if TYPE_CHECKING:
    from connectors.sandbox.world import World

Document = dict[str, Any]


def batch(world: World, account: AdyenAccount, events: Sequence[Event]) -> bytes:
    """The body of one delivery."""
    items = [{"NotificationRequestItem": notification_item(world, account, event)} for event in events]
    return json.dumps({"live": str(account.live).lower(), "notificationItems": items}, ensure_ascii=False).encode()


def notification_item(world: World, account: AdyenAccount, event: Event) -> Document:
    """One item, signed with the account's newest key."""
    if event.type == "REPORT_AVAILABLE":
        item = _report_available(account, event)
    elif event.type == "CHARGEBACK":
        item = _chargeback(world, account, event)
    else:
        item = _modification(world, account, event)
    item.setdefault("additionalData", {})["hmacSignature"] = signature(item, account.hmac_keys[-1])
    return item


def signature(item: Document, hex_key: str) -> str:
    """HMAC-SHA256 over the eight signed fields, joined by colons without escaping, in base64."""
    amount = item.get("amount") or {}
    signed = [item.get(name) for name in ("pspReference", "originalReference", "merchantAccountCode")]
    signed += [item.get("merchantReference"), amount.get("value"), amount.get("currency")]
    signed += [item.get("eventCode"), item.get("success")]
    text = ":".join("" if value is None else str(value) for value in signed)
    return base64.b64encode(hmac.digest(bytes.fromhex(hex_key), text.encode(), hashlib.sha256)).decode()


def event_date(account: AdyenAccount, at: dt.datetime) -> str:
    """ISO 8601 in the platform's own zone, with its offset."""
    return at.astimezone(ZoneInfo(account.zone)).isoformat(timespec="seconds")


def _modification(world: World, account: AdyenAccount, event: Event) -> Document:
    refund = world.refunds[event.refund_id]
    payment = world.payments[refund.payment_id]
    state = refund.history[event.state_index]
    outcome = state.word.partition(":")[2]
    method, variant = identifiers.adyen_method(payment.brand or payment.method)
    additional: Document = {"paymentMethodVariant": variant}
    if state.reference and event.type in ("REFUND", "CANCEL_OR_REFUND", "REFUND_WITH_DATA"):
        additional |= {"arn": state.reference, "bookingDate": event_date(account, event.at)}
    if outcome in ("refund", "cancel"):
        additional["modification.action"] = outcome
    if event.type == "REFUND_FAILED":
        additional["acquirerErrorCode"] = "14"
    return {
        "additionalData": additional,
        "amount": {"currency": refund.currency, "value": refund.amount_minor},
        "eventCode": event.type,
        "eventDate": event_date(account, event.at),
        "merchantAccountCode": account.merchant_account,
        "merchantReference": _reference(refund, payment),
        "originalReference": payment.payment_id,
        "paymentMethod": method,
        "pspReference": refund.refund_id,
        "reason": state.reason,
        "success": "false" if outcome == "false" else "true",
    }


def _reference(refund: Refund, payment: Payment) -> str:
    """The modification's own reference, or the payment's where none was sent."""
    return refund.merchant_refund_id or payment.order_id


def _chargeback(world: World, account: AdyenAccount, event: Event) -> Document:
    payment = world.payments[event.payment_id]
    method, variant = identifiers.adyen_method(payment.brand or payment.method)
    return {
        "additionalData": {
            "chargebackReasonCode": "13.6",
            "chargebackSchemeCode": method,
            "disputeStatus": "Undefended",
            "paymentMethodVariant": variant,
        },
        "amount": {"currency": payment.currency, "value": payment.amount_minor},
        "eventCode": event.type,
        "eventDate": event_date(account, event.at),
        "merchantAccountCode": account.merchant_account,
        "merchantReference": payment.order_id,
        "originalReference": payment.payment_id,
        "paymentMethod": method,
        "pspReference": identifiers.psp_reference(identifiers.seeded(world.seed, "chargeback", event.event_id)),
        "reason": "Credit not processed",
        "success": "true",
    }


def _report_available(account: AdyenAccount, event: Event) -> Document:
    """The item's reference is the file's name and its reason the URL, which nothing signs."""
    return {
        "amount": {"currency": "EUR", "value": 0},
        "eventCode": event.type,
        "eventDate": event_date(account, event.at),
        "merchantAccountCode": account.merchant_account,
        "merchantReference": "",
        "pspReference": event.detail,
        "reason": report_url(account, event.detail),
        "success": "true",
    }


def report_url(account: AdyenAccount, name: str) -> str:
    return f"{account.report_base_url}/reports/download/MerchantAccount/{account.merchant_account}/{name}"
