"""Pure: Stripe's Refund, Charge, Dispute and Event objects, translated.

`connector_transaction_id` is the refund's PaymentIntent where it has one (its Charge is the other id then), else its
Charge. Hints and dispute marks name the payment by the same rule (`_payment_of`), so that they meet the refunds they
are about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.contract import (
    Fact,
    Hint,
    Item,
    MalformedAnswer,
    Mark,
    MarkKind,
    Money,
    ReferenceState,
    RefundKind,
    RefundReference,
    ReportReference,
    Scope,
    Stage,
    read_object,
    read_text,
    read_unix_time,
)
from connectors.money import MoneyError, is_currency, minor_amount

# docs.stripe.com/api/refunds/object: status. A succeeded refund may still become failed, or requires_action again
# (docs.stripe.com/refunds).
STAGES: Mapping[str, Stage] = {
    "pending": Stage.PENDING,
    "requires_action": Stage.REQUIRES_ACTION,
    "succeeded": Stage.SUCCEEDED,
    "failed": Stage.FAILED,
    "canceled": Stage.CANCELED,
}

# docs.stripe.com/api/events/types. charge.refund.updated is deprecated and repeats the others; webhook endpoints of an
# API version before 2024-10-28 get only it for card refunds.
REFUND_EVENTS = frozenset({"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"})
DISPUTE_EVENTS = frozenset(
    f"charge.dispute.{word}" for word in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")
)
# /reports/api: a report that somebody had made is there. Nothing here has one made.
REPORT_EVENT = "reporting.report_run.succeeded"
EVENTS = (*sorted(REFUND_EVENTS), "charge.refunded", *sorted(DISPUTE_EVENTS), REPORT_EVENT)

# The merchant's own ids travel in metadata (docs.stripe.com/metadata); the first key that is there counts.
MERCHANT_REFUND_KEYS = ("merchant_refund_id", "refund_id")
MERCHANT_ORDER_KEYS = ("merchant_order_id", "order_id")

_REFERENCE_STATES: Mapping[str, ReferenceState] = {state.value: state for state in ReferenceState}
_KINDS: Mapping[str, RefundKind] = {kind.value: kind for kind in RefundKind}
_ACQUIRER_REFERENCE = "acquirer_reference_number"


def event_items(wire: object) -> list[Item]:
    """What an event says of refunds; none for events about other things and for thin v2 events (/event-destinations).

    The event's `created` dates the statement: a Refund has no time of its last change.
    """
    event = read_object(wire)
    kind = read_text(event.get("object"), field="object")
    if kind.startswith("v2."):
        return []
    if kind != "event":
        raise MalformedAnswer("object: not an event")
    event_type = read_text(event.get("type"), longest=120, field="type")
    if event_type in REFUND_EVENTS:
        return [refund_fact(_event_object(event), **_circumstances(event))]
    if event_type == "charge.refunded":
        # The Charge holds no list of its refunds unless an API version before 2022-11-15 renders it.
        return [Hint(reference=_payment_reference(_event_object(event), charge="id"), **_circumstances(event))]
    if event_type in DISPUTE_EVENTS:
        payment = _payment_reference(_event_object(event), charge="charge")
        return [Mark(kind=MarkKind.DISPUTED, reference=payment, **_circumstances(event))]
    if event_type == REPORT_EVENT:
        return [Hint(report=_report_of(_event_object(event)), **_circumstances(event))]
    return []


def refund_fact(wire: object, **circumstances: Any) -> Fact:
    """The fact a Refund object states (docs.stripe.com/api/refunds/object). A null status is nobody's to guess."""
    refund = read_object(wire)
    refund_id = read_text(refund.get("id"), field="id")
    if refund.get("object", "refund") != "refund":
        raise MalformedAnswer("object: not a refund")
    if not refund_id:
        raise MalformedAnswer("the refund has no id")
    native_status = read_text(refund.get("status"), longest=120, field="status") or "null"
    metadata = read_object(refund.get("metadata"), field="metadata")
    return Fact(
        connector_refund_id=refund_id,
        native_status=native_status,
        stage=STAGES.get(native_status),
        created_at=read_unix_time(refund.get("created"), field="created"),
        amount=_amount(refund),
        connector_transaction_id=_payment_of(refund, charge="charge"),
        other_transaction_id=id_of(refund.get("charge"), field="charge") if refund.get("payment_intent") else "",
        merchant_refund_id=_merchant_id(metadata, MERCHANT_REFUND_KEYS),
        merchant_order_id=_merchant_id(metadata, MERCHANT_ORDER_KEYS),
        reason=read_text(refund.get("reason"), field="reason"),
        pending_reason=read_text(refund.get("pending_reason"), longest=120, field="pending_reason"),
        error_code=read_text(refund.get("failure_reason"), longest=120, field="failure_reason"),
        **_destination(read_object(refund.get("destination_details"), field="destination_details")),
        **circumstances,
    )


def _report_of(wire: Mapping[str, Any]) -> ReportReference:
    """/api/reporting/report_run/object. The type comes first in the name, for it tells what is in the file."""
    file = read_object(wire.get("result"), field="result")
    report_type = read_text(wire.get("report_type"), longest=120, field="report_type")
    url = read_text(file.get("url"), longest=2_000, field="result.url")
    if not report_type or not url:
        raise MalformedAnswer("a report run that does not say what it made, or where that is")
    return ReportReference(f"{report_type}_{read_text(wire.get('id'), longest=120, field='id')}.csv", url)


def id_of(value: object, *, field: str = "id") -> str:
    """The id of a field that may be expanded to the whole object (docs.stripe.com/api/expanding_objects)."""
    return read_text(value["id"] if isinstance(value, dict) and "id" in value else value, field=field)


def _event_object(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return read_object(read_object(event.get("data"), field="data").get("object"), field="data.object")


def _circumstances(event: Mapping[str, Any]) -> dict[str, Any]:
    event_id, live = read_text(event.get("id"), field="id"), event.get("livemode")
    if not event_id:
        raise MalformedAnswer("an event without an id")
    return {
        "event_id": event_id,
        "event_type": event["type"],
        "occurred_at": read_unix_time(event.get("created"), field="created"),
        "scope": Scope(read_text(event.get("account"), field="account"), live if isinstance(live, bool) else None),
    }


def _payment_reference(wire: Mapping[str, Any], *, charge: str) -> RefundReference:
    payment = _payment_of(wire, charge=charge)
    if not payment:
        raise MalformedAnswer("an event that does not say which payment it is about")
    return RefundReference(connector_transaction_id=payment)


def _payment_of(wire: Mapping[str, Any], *, charge: str) -> str:
    """The one name we know a payment by; `charge` is the field in which this object holds its Charge's id."""
    return id_of(wire.get("payment_intent"), field="payment_intent") or id_of(wire.get(charge), field=charge)


def _amount(refund: Mapping[str, Any]) -> Money:
    currency = read_text(refund.get("currency"), field="currency").upper()
    try:
        amount = minor_amount(refund.get("amount"))
    except MoneyError as error:
        raise MalformedAnswer(f"the refund's amount {error}") from error
    if amount < 0:
        raise MalformedAnswer("the refund's amount is negative")
    if not is_currency(currency):
        raise MalformedAnswer("the refund's currency is not an ISO 4217 code")
    return Money(amount, currency)


def _merchant_id(metadata: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    value = next((metadata[key] for key in keys if metadata.get(key)), "")
    try:
        return read_text(value)
    except MalformedAnswer:
        # Metadata is the merchant's free text: an odd one is no reason to doubt the refund.
        return ""


def _destination(details: Mapping[str, Any]) -> dict[str, Any]:
    """/api/refunds/object: destination_details.type names the payment method and the hash with its details.

    Only a reference of type acquirer_reference_number is an ARN; a reversal never gets one (docs.stripe.com/refunds).
    """
    method = read_text(details.get("type"), longest=60, field="destination_details.type")
    detail = read_object(details.get(method), field="the payment method in destination_details")
    is_arn = detail.get("reference_type") == _ACQUIRER_REFERENCE
    decline_code = read_text(detail.get("network_decline_code"), longest=120, field="network_decline_code")
    return {
        "payment_method": method,
        "kind": _KINDS.get(read_text(detail.get("type"), field="type")),
        "reference_state": _REFERENCE_STATES.get(read_text(detail.get("reference_status"), field="reference_status")),
        "acquirer_reference_number": read_text(
            detail.get("reference") if is_arn else None, longest=64, field="reference"
        ),
        "error_message": f"network decline code {decline_code}" if decline_code else "",
    }
