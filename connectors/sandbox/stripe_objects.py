"""Pure: Stripe's objects as its API shows them today (API version 2026-06-24.dahlia)."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from connectors.sandbox.config import StripeAccount
from connectors.sandbox.identifiers import seeded, stripe_id
from connectors.sandbox.model import Event, Payment, Payout, Refund, ReportFile, State, Transaction
from connectors.sandbox.stripe_effects import amount_refunded

if TYPE_CHECKING:
    from connectors.sandbox.world import World

API_VERSION = "2026-06-24.dahlia"
Document = dict[str, Any]

_WITH_REFERENCE = ("eu_bank_transfer", "us_bank_transfer", "gb_bank_transfer", "th_bank_transfer", "jp_bank_transfer")


def epoch(moment: dt.datetime) -> int:
    return int(moment.timestamp())


def refund_object(world: World, refund: Refund, index: int = -1) -> Document:
    """The refund as it was in its history's state `index`. What does not apply to that state is left out."""
    payment = world.payments[refund.payment_id]
    index = index % len(refund.history)
    state = refund.history[index]
    words = {earlier.word for earlier in refund.history[: index + 1]}
    document: Document = {
        "id": refund.refund_id,
        "object": "refund",
        "amount": refund.amount_minor,
        "balance_transaction": refund.debit_id if refund.debit_id and "succeeded" in words else None,
        "charge": refund.payment_id,
        "created": epoch(refund.created_at),
        "currency": refund.currency.lower(),
        "destination_details": _destination(refund, state),
        "metadata": _metadata(refund, payment),
        "payment_intent": payment.intent_id or None,
        "reason": refund.requested_reason or None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": state.word,
        "transfer_reversal": None,
    }
    if state.word in ("failed", "canceled"):
        document["failure_balance_transaction"] = refund.credit_id or None
        document["failure_reason"] = state.reason or "unknown"
    if state.pending_reason:
        document["pending_reason"] = state.pending_reason
    if state.word == "requires_action":
        document["instructions_email"] = payment.customer.email
        document["next_action"] = _next_action(state, payment)
    return document


def _metadata(refund: Refund, payment: Payment) -> Document:
    if not refund.registered:
        return {}
    return {"merchant_refund_id": refund.merchant_refund_id, "merchant_order_id": payment.order_id}


def _destination(refund: Refund, state: State) -> Document:
    if refund.method != "card":
        return {refund.method: _bank_reference(refund, state), "type": refund.method}
    if refund.is_reversal:
        return {"card": {"type": "reversal"}, "type": "card"}
    card: Document = {"reference_type": "acquirer_reference_number", "type": "refund"}
    if state.reference:
        card["reference"] = state.reference
    card["reference_status"] = "available" if state.reference else "pending"
    return {"card": card, "type": "card"}


def _bank_reference(refund: Refund, state: State) -> Document:
    if refund.method not in _WITH_REFERENCE:
        return {}
    return {"reference": state.reference or None, "reference_status": "available" if state.reference else "pending"}


def _next_action(state: State, payment: Payment) -> Document:
    sent = {"email_sent_at": epoch(state.at), "email_sent_to": payment.customer.email}
    expires_at = epoch(state.at + dt.timedelta(days=45))
    return {"type": "display_details", "display_details": {"email_sent": sent, "expires_at": expires_at}}


def charge_object(world: World, payment: Payment, refunded_minor: int | None = None) -> Document:
    refunded = amount_refunded(world, payment.payment_id) if refunded_minor is None else refunded_minor
    return {
        "id": payment.payment_id,
        "object": "charge",
        "amount": payment.amount_minor,
        "amount_captured": payment.amount_minor,
        "amount_refunded": refunded,
        "balance_transaction": None,
        "billing_details": {"email": payment.customer.email, "name": payment.customer.name},
        "calculated_statement_descriptor": "SANDBOX SHOP",
        "captured": True,
        "created": epoch(payment.created_at),
        "currency": payment.currency.lower(),
        "customer": None,
        "description": None,
        "disputed": payment.disputed,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {"merchant_order_id": payment.order_id},
        "paid": True,
        "payment_intent": payment.intent_id or None,
        "payment_method": None,
        "payment_method_details": _method_details(payment),
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": refunded >= payment.amount_minor,
        "statement_descriptor": None,
        "status": "succeeded",
    }


def _method_details(payment: Payment) -> Document:
    details = {"brand": payment.brand, "last4": payment.last4} if payment.method == "card" else {}
    return {payment.method: details, "type": payment.method}


def dispute_object(event: Event, payment: Payment) -> Document:
    return {
        "id": event.detail,
        "object": "dispute",
        "amount": payment.amount_minor,
        "balance_transactions": [],
        "charge": payment.payment_id,
        "created": epoch(event.at),
        "currency": payment.currency.lower(),
        "evidence_details": {"due_by": epoch(event.at + dt.timedelta(days=9)), "has_evidence": False},
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "payment_intent": payment.intent_id or None,
        "reason": "credit_not_processed",
        "status": "needs_response",
    }


def report_run_object(account: StripeAccount, file: ReportFile) -> Document:
    """The run that made the file, as it was when it had come to its end."""
    at, url = epoch(file.written_at), f"{account.files_base_url}/v1/files/{file.name}/contents"
    result = {
        "id": file.name,
        "object": "file",
        "created": at,
        "expires_at": None,
        "filename": f"{file.name}.csv",
        "purpose": "finance_report_run",
        "size": len(file.content.encode()),
        "title": None,
        "type": "csv",
        "url": url,
    }
    return {
        "id": file.name.replace("file_", "frr_"),
        "object": "reporting.report_run",
        "created": at,
        "error": None,
        "livemode": account.live,
        "parameters": {"interval_start": at - 86_400, "interval_end": at, "timezone": "Etc/UTC"},
        "report_type": "payout_reconciliation.itemized.5",
        "result": result,
        "status": "succeeded",
        "succeeded_at": at,
    }


def event_object(world: World, account: StripeAccount, event: Event, pending_webhooks: int = 0) -> Document:
    """The event, its object rendered as it was when the event happened."""
    document: Document = {
        "id": event.event_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": epoch(event.at),
        "data": _event_data(world, account, event),
        "livemode": account.live,
        "pending_webhooks": pending_webhooks,
        "request": _event_request(world, event),
        "type": event.type,
    }
    if account.connect:
        document["account"] = account.processor_account
    return document


def _event_request(world: World, event: Event) -> Document:
    if event.type not in ("refund.created", "charge.refunded"):
        return {"id": None, "idempotency_key": None}
    rng = seeded(world.seed, "request", event.refund_id)
    return {"id": stripe_id("req", rng)[:18], "idempotency_key": stripe_id("key", rng)}


def _event_data(world: World, account: StripeAccount, event: Event) -> Document:
    if event.type == "reporting.report_run.succeeded":
        return {"object": report_run_object(account, world.reports[event.detail])}
    payment = world.payments[event.payment_id]
    if event.type == "charge.refunded":
        return _charge_refunded(world, event, payment)
    if event.type == "charge.dispute.created":
        return {"object": dispute_object(event, payment)}
    refund = world.refunds[event.refund_id]
    now = refund_object(world, refund, event.state_index)
    if event.state_index == 0:
        return {"object": now}
    before = refund_object(world, refund, event.state_index - 1)
    return {"object": now, "previous_attributes": previous_attributes(before, now)}


def _charge_refunded(world: World, event: Event, payment: Payment) -> Document:
    refunded = int(event.detail)
    before = refunded - world.refunds[event.refund_id].amount_minor
    now = charge_object(world, payment, refunded)
    return {"object": now, "previous_attributes": previous_attributes(charge_object(world, payment, before), now)}


def previous_attributes(before: Document, now: Document) -> Document:
    """What changed, with the value it had before; null where the attribute was not there."""
    changed: Document = {}
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        changed[key] = previous_attributes(old, new) if isinstance(old, dict) and isinstance(new, dict) else old
    return changed


def transaction_object(line: Transaction, now: dt.datetime) -> Document:
    return {
        "id": line.transaction_id,
        "object": "balance_transaction",
        "amount": line.amount_minor,
        "available_on": epoch(line.available_at),
        "balance_type": "payments",
        "created": epoch(line.created_at),
        "currency": line.currency.lower(),
        "description": None,
        "exchange_rate": float(line.exchange_rate) if line.exchange_rate else None,
        "fee": line.fee_minor,
        "fee_details": _fee_details(line),
        "net": line.amount_minor - line.fee_minor,
        "reporting_category": line.reporting_category,
        "source": line.source,
        "status": "available" if line.available_at <= now else "pending",
        "type": line.type,
    }


def _fee_details(line: Transaction) -> list[Document]:
    if not line.fee_minor:
        return []
    fee = {"amount": line.fee_minor, "application": None, "currency": line.currency.lower()}
    return [{**fee, "description": "Stripe processing fees", "type": "stripe_fee"}]


def payout_object(payout: Payout) -> Document:
    return {
        "id": payout.payout_id,
        "object": "payout",
        "amount": payout.amount_minor,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": epoch(payout.created_at),
        "automatic": True,
        "balance_transaction": payout.transaction_id,
        "created": epoch(payout.created_at),
        "currency": payout.currency.lower(),
        "description": "STRIPE PAYOUT",
        "destination": None,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "completed",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "paid",
        "trace_id": None,
        "type": "bank_account",
    }
