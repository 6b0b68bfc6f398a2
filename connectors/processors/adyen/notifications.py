"""Pure: Adyen's webhook items, translated. Sources, by path below docs.adyen.com: /api-explorer/Webhooks/1,
/online-payments/refund, /online-payments/cancel, /development-resources/webhooks; Webhooks-v1.json of adyen-openapi.

The native status is eventCode and success in one word, because neither means anything alone: REFUND_FAILED comes with
success "true". CANCEL_OR_REFUND is followed by what was done, `modification.action`.

What a false means. REFUND, REFUND_WITH_DATA and CANCEL_OR_REFUND: the request was refused, the customer gets nothing.
CANCELLATION: the payment could not be cancelled (it is captured, or gone), so this request gave nothing back.
TECHNICAL_CANCEL: likewise; the payment was not found or could not be cancelled, and it needs another look either way.
VOID_PENDING_REFUND: the refund could *not* be stopped and goes on, so it says nothing of its stage and gives no item.
POSTPONED_REFUND, REFUND_FAILED and REFUNDED_REVERSED are only ever documented with true: a false is unrecognized.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
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
    RefundReference,
    ReportReference,
    Scope,
    Stage,
    read_object,
    read_text,
)
from connectors.money import MoneyError, is_currency, minor_amount

STAGES: Mapping[str, Stage] = {
    # "Validations were successful and we sent the refund request to the card scheme": it may still fail.
    "REFUND true": Stage.ACCEPTED,
    "REFUND false": Stage.FAILED,
    "REFUND_FAILED true": Stage.FAILED,
    "REFUNDED_REVERSED true": Stage.RETURNED,
    "REFUND_WITH_DATA true": Stage.ACCEPTED,
    "REFUND_WITH_DATA false": Stage.FAILED,
    "CANCEL_OR_REFUND true refund": Stage.ACCEPTED,
    "CANCEL_OR_REFUND true cancel": Stage.VOIDED,
    "CANCEL_OR_REFUND false": Stage.FAILED,
    "CANCEL_OR_REFUND false refund": Stage.FAILED,
    "CANCEL_OR_REFUND false cancel": Stage.FAILED,
    "CANCELLATION true": Stage.VOIDED,
    "CANCELLATION false": Stage.FAILED,
    "TECHNICAL_CANCEL true": Stage.VOIDED,
    "TECHNICAL_CANCEL false": Stage.FAILED,
    "POSTPONED_REFUND true": Stage.PENDING,
    "VOID_PENDING_REFUND true": Stage.CANCELED,
    # Record types of the payment accounting report (/reporting/payment-accounting-report). SentForRefund says what a
    # REFUND that succeeded says, an hour later: were it PENDING, a refund would step back from what was shown.
    "SentForRefund": Stage.ACCEPTED,
    "Refunded": Stage.SUCCEEDED,
    "RefundedExternally": Stage.SUCCEEDED,
    "RefundFailed": Stage.FAILED,
    "RefundedReversed": Stage.RETURNED,
}

# Reasons are free text; these are the ones seen. Otherwise the event itself is the reason.
FAILURE_REASONS: Mapping[str, str] = {
    "Transaction hasn't been captured, refund not possible": "The payment was not collected yet, so there is nothing "
    "to refund; it is to be cancelled instead.",
    "Insufficient balance on payment": "There was not enough balance for this refund; it must be sent again.",
    "REFUND": "The refund request was refused.",
    "REFUND_WITH_DATA": "The refund request was refused.",
    "CANCEL_OR_REFUND": "The request to cancel or refund the payment was refused.",
    "REFUND_FAILED": "The customer's bank or the card scheme refused the refund; the account may be closed or blocked.",
    "REFUNDED_REVERSED": "The bank sent the money back, for example because the account is closed or the name does "
    "not match. Ask the customer before trying again.",
    "CANCELLATION": "The payment could not be cancelled.",
    "TECHNICAL_CANCEL": "The payment could not be cancelled, or was not found.",
    "VOID_PENDING_REFUND": "The refund was cancelled at the terminal before it was sent.",
}

# /risk-management/disputes-api/dispute-notifications.
DISPUTE_EVENTS = frozenset(
    {
        "REQUEST_FOR_INFORMATION",
        "NOTIFICATION_OF_CHARGEBACK",
        "CHARGEBACK",
        "SECOND_CHARGEBACK",
        "CHARGEBACK_REVERSED",
        "PREARBITRATION_OPEN",
        "PREARBITRATION_WON",
        "PREARBITRATION_LOST",
    }
)

# /development-resources/currency-codes: where Adyen differs from ISO 4217, and old codes it still writes.
CURRENCY_EXPONENTS = {"CLP": 2, "ISK": 2, "CVE": 0, "IDR": 0, "BYR": 0, "GHC": 0, "MRO": 1}

_LIVE: Mapping[str, bool] = {"true": True, "false": False}
_ACQUIRER_ERRORS = ("acquirerErrorCode", "acquirerErrorDescription")
_CANCELS = frozenset({"CANCELLATION", "TECHNICAL_CANCEL"})
_FAILURES = frozenset({Stage.FAILED, Stage.RETURNED, Stage.CANCELED})


def items_of(item: Mapping[str, Any], circumstances: Mapping[str, Any]) -> list[Item]:
    """What one NotificationRequestItem says; none where it is not about refunds."""
    code, success = circumstances["event_type"], success_word(item.get("success"))
    if code == "REPORT_AVAILABLE":
        return _report(item, circumstances) if success == "true" else []
    if code in DISPUTE_EVENTS:
        payment = RefundReference(connector_transaction_id=_present(item, "originalReference"))
        return [Mark(kind=MarkKind.DISPUTED, reference=payment, **circumstances)]
    if code == "REFUND_NOT_CLEARED":
        # The acquirer is silent after 30 days, yet the shopper has the money: no failure (/api-explorer/Webhooks/1).
        return [Mark(kind=MarkKind.NOT_CLEARED, reference=_reference(item), **circumstances)]
    if f"{code} {success}" == "VOID_PENDING_REFUND false":
        return []
    # A refund event of a kind this release has never heard of must be seen; every other event is none of ours.
    return [_fact(code, success, item, circumstances)] if "REFUND" in code or code in _CANCELS else []


def circumstances_of(item: Mapping[str, Any], *, live: object) -> dict[str, Any]:
    """Event id, type, time and scope of an item. The id is a digest of its content: items carry no id of their own."""
    merchant_account = read_text(item.get("merchantAccountCode"), field="merchantAccountCode")
    is_live = _LIVE.get(success_word(live, field="live"))
    return {
        "event_id": _content_digest(item),
        "event_type": read_text(item.get("eventCode"), longest=60, field="eventCode"),
        "occurred_at": _time(item.get("eventDate")),
        "scope": Scope(merchant_account, is_live),
    }


def signed_text(item: Mapping[str, Any]) -> str:
    """What the item's HMAC covers: eight fields, null and absent empty, joined by colons without any escaping.

    /development-resources/webhooks/verify-hmac-signatures. Without escaping a colon could move the border between two
    fields under the same signature, so only merchantReference, which merchants choose, may hold one.
    """
    amount = read_object(item.get("amount"), field="amount")
    before = [_plain(item.get(name)) for name in ("pspReference", "originalReference", "merchantAccountCode")]
    after = [_plain(amount.get(name)) for name in ("value", "currency")]
    after += [_plain(item.get(name)) for name in ("eventCode", "success")]
    if any(":" in text for text in before + after):
        raise MalformedAnswer("a colon where none can be")
    return ":".join([*before, _plain(item.get("merchantReference")), *after])


def success_word(value: object, *, field: str = "success") -> str:
    """ "true" and "false" come as texts, sometimes as booleans; anything else is kept as it is, to be unrecognized."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else read_text(value, longest=20, field=field)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else read_text(value, longest=10_000)


def _fact(code: str, success: str, item: Mapping[str, Any], circumstances: Mapping[str, Any]) -> Fact:
    reference = _reference(item)
    extra = read_object(item.get("additionalData"), field="additionalData")
    done = extra.get("modification.action") if code == "CANCEL_OR_REFUND" else None
    action = read_text(done, longest=20, field="modification.action")
    native_status = f"{code} {success} {action}".rstrip()
    stage = STAGES.get(native_status)
    arn = _acquirer_reference_number(extra)
    return Fact(
        connector_refund_id=reference.connector_refund_id,
        connector_transaction_id=reference.connector_transaction_id,
        native_status=native_status,
        stage=stage,
        signed_digest=hashlib.sha256(signed_text(item).encode()).hexdigest(),
        amount=_amount(read_object(item.get("amount"), field="amount")),
        merchant_refund_id=read_text(item.get("merchantReference"), field="merchantReference"),
        merchant_order_id=read_text(extra.get("merchantOrderReference"), field="merchantOrderReference"),
        acquirer_reference_number=arn,
        reference_state=ReferenceState.AVAILABLE if arn else None,
        payment_method=read_text(item.get("paymentMethod"), longest=60, field="paymentMethod"),
        pending_reason="waiting_for_capture" if code == "POSTPONED_REFUND" else "",
        **(_failure(code, item, extra) if stage in _FAILURES else {}),
        **circumstances,
    )


def _reference(item: Mapping[str, Any]) -> RefundReference:
    """The refund is the item's pspReference and the payment its originalReference (/online-payments/refund)."""
    return RefundReference(
        connector_refund_id=_present(item, "pspReference"),
        connector_transaction_id=read_text(item.get("originalReference"), field="originalReference"),
    )


def _present(item: Mapping[str, Any], field: str) -> str:
    """What the event is about."""
    text = read_text(item.get(field), field=field)
    if not text:
        raise MalformedAnswer(f"{field} is missing")
    return text


def _failure(code: str, item: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    reason = read_text(item.get("reason"), longest=10_000, field="reason")
    acquirer = (read_text(extra.get(name), longest=10_000, field=name) for name in _ACQUIRER_ERRORS)
    return {
        "error_code": reason if reason in FAILURE_REASONS else code,
        "error_message": "; ".join(filter(None, (reason, *acquirer)))[:500],
    }


def _amount(amount: Mapping[str, Any]) -> Money | None:
    if not amount:
        return None
    value, currency = amount.get("value"), read_text(amount.get("currency"), field="currency")
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
        value = int(value)
    if not is_currency(currency) and currency not in CURRENCY_EXPONENTS:
        raise MalformedAnswer("the amount's currency is not an ISO 4217 code")
    try:
        found = Money(minor_amount(value), currency)
    except MoneyError as error:
        raise MalformedAnswer(f"the amount {error}") from error
    if found.minor_amount < 0:
        raise MalformedAnswer("the amount is negative")
    return found


def _acquirer_reference_number(extra: Mapping[str, Any]) -> str:
    """23 digits or nothing: a number that went through a spreadsheet reads 1.23E+022."""
    candidates = (extra.get("arn"), extra.get("acquirerReference"))
    return next((text for text in candidates if isinstance(text, str) and re.fullmatch(r"[0-9]{23}", text)), "")


def _report(item: Mapping[str, Any], circumstances: Mapping[str, Any]) -> list[Item]:
    """/reporting/automatically-get-reports: the file's name is the pspReference and its address the reason."""
    name = read_text(item.get("pspReference"), field="pspReference")
    url = read_text(item.get("reason"), longest=2_000, field="reason")
    return [Hint(report=ReportReference(name, url), **circumstances)]


def _content_digest(item: Mapping[str, Any]) -> str:
    # The signature is left out: the same event, signed anew after the key was rotated, stays the same event.
    extra = item.get("additionalData")
    if isinstance(extra, dict):
        item = {**item, "additionalData": {name: extra[name] for name in extra if name != "hmacSignature"}}
    canonical = json.dumps(item, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _time(value: object) -> dt.datetime | None:
    """eventDate with its offset; a date without one could be any hour, so it is none."""
    try:
        time = dt.datetime.fromisoformat(value) if isinstance(value, str) else None
        return time.astimezone(dt.UTC) if time and time.tzinfo else None
    except (ValueError, OverflowError):
        return None
