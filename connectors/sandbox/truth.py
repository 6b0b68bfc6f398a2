"""Pure: what is true of a refund, in our words. Tests hold the dashboard against it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from connectors.sandbox.config import ADYEN, STRIPE
from connectors.sandbox.model import Booking, Payment, Refund

STAGES: Mapping[str, Mapping[str, str]] = {
    STRIPE: {
        "pending": "pending",
        "requires_action": "requires_action",
        "succeeded": "succeeded",
        "failed": "failed",
        "canceled": "canceled",
    },
    ADYEN: {
        "received": "requested",
        "REFUND": "accepted",
        "REFUND:false": "failed",
        "REFUND_WITH_DATA": "accepted",
        "REFUND_WITH_DATA:false": "failed",
        "CANCEL_OR_REFUND:refund": "accepted",
        "CANCEL_OR_REFUND:cancel": "voided",
        "CANCEL_OR_REFUND:false": "failed",
        "CANCELLATION": "voided",
        "CANCELLATION:false": "failed",
        "TECHNICAL_CANCEL": "voided",
        "TECHNICAL_CANCEL:false": "failed",
        "POSTPONED_REFUND": "pending",
        "VOID_PENDING_REFUND": "canceled",
        "REFUND_FAILED": "failed",
        "REFUNDED_REVERSED": "returned",
    },
}
"""The processor's word -> our stage. A word that is not here (REFUND_NOT_CLEARED, an invented one) changes nothing."""

BOOKED_STAGES = {
    # The same as REFUND: sent to the scheme, not booked yet.
    "SentForRefund": "accepted",
    "Refunded": "succeeded",
    "RefundFailed": "failed",
    "RefundedReversed": "returned",
}

RANKS = {
    "requested": 1,
    "requires_action": 2,
    "pending": 3,
    "accepted": 4,
    "voided": 5,
    "canceled": 6,
    "succeeded": 7,
    "failed": 8,
    "returned": 9,
}
"""Of two stages said for the same second, the greater one is the later one."""

STATUSES = {
    "requested": "PENDING",
    "requires_action": "PENDING",
    "pending": "PENDING",
    "accepted": "SUCCEEDED",
    "voided": "SUCCEEDED",
    "succeeded": "SUCCEEDED",
    "canceled": "FAILED",
    "failed": "FAILED",
    "returned": "FAILED",
}


@dataclass(frozen=True, slots=True)
class TruthState:
    """One entry of a refund's true history. `stage` is the one in force from `at` on."""

    at: dt.datetime
    native_status: str
    stage: str
    status: str
    reason: str
    event_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TruthRecord:
    """What is true of one refund.

    `stage` is what the processor's webhooks (and, where it has one, its Get) say; `reported_stage` what the status
    reports written so far say, empty where there is none; `changed_at` when `stage` was last stated.
    """

    processor: str
    account: str
    refund_id: str
    payment_id: str
    amount_minor: int
    currency: str
    stage: str
    status: str
    native_status: str
    reason: str
    returned_after_success: bool
    arn: str
    registered: bool
    disputed: bool
    not_cleared: bool
    reported_stage: str
    created_at: dt.datetime
    changed_at: dt.datetime
    merchant_refund_id: str
    merchant_order_id: str
    life: str
    history: tuple[TruthState, ...]
    bookings: tuple[tuple[dt.datetime, str], ...]
    published: tuple[tuple[dt.datetime, str], ...]
    """The bookings that were written to a status report."""

    def stage_in_force(self, heard: Callable[[TruthState], bool] = lambda _: True) -> str:
        """The stage for somebody who heard these of the webhooks and has read every status report; the latest of both
        counts. Empty where nobody told them anything."""
        spoken = [state for state in self.history if state.event_ids and state.native_status in STAGES[self.processor]]
        told = [(state.at, RANKS[state.stage], state.stage) for state in spoken if heard(state)]
        told += [(at, RANKS[BOOKED_STAGES[word]], BOOKED_STAGES[word]) for at, word in self.published]
        return max(told)[2] if told else ""


def record(refund: Refund, payment: Payment, account: str) -> TruthRecord:
    history = tuple(_history(refund))
    last = history[-1]
    return TruthRecord(
        processor=refund.processor,
        account=account,
        refund_id=refund.refund_id,
        payment_id=refund.payment_id,
        amount_minor=refund.amount_minor,
        currency=refund.currency,
        stage=last.stage,
        status=last.status,
        native_status=last.native_status,
        reason=last.reason,
        returned_after_success=is_returned_after_success(state.status for state in history),
        arn=refund.state.reference,
        registered=refund.registered,
        disputed=payment.disputed,
        not_cleared=any(state.word == "REFUND_NOT_CLEARED" for state in refund.history),
        reported_stage=reported_stage(refund.bookings),
        created_at=refund.created_at,
        changed_at=_stated_at(refund),
        merchant_refund_id=refund.merchant_refund_id,
        merchant_order_id=payment.order_id,
        life=refund.life,
        history=history,
        bookings=tuple((booking.at, booking.record_type) for booking in refund.bookings),
        published=tuple((booking.at, booking.record_type) for booking in refund.bookings if booking.accounting_report),
    )


def is_returned_after_success(statuses: Iterable[str]) -> bool:
    """Whether the last status is FAILED and an earlier one was SUCCEEDED."""
    seen = list(statuses)
    return seen[-1] == "FAILED" and "SUCCEEDED" in seen


def reported_stage(bookings: Iterable[Booking]) -> str:
    """The stage of the last line that has already been written to a status report."""
    published = [booking for booking in bookings if booking.accounting_report]
    return BOOKED_STAGES[published[-1].record_type] if published else ""


def status_of(refund: Refund) -> str:
    """PENDING, SUCCEEDED or FAILED now."""
    return [*_history(refund)][-1].status


def _history(refund: Refund) -> Iterable[TruthState]:
    stages = STAGES[refund.processor]
    stage = "requested"
    for state in refund.history:
        stage = stages.get(state.word, stage)
        yield TruthState(state.at, state.word, stage, STATUSES[stage], state.reason, state.event_ids)


def _stated_at(refund: Refund) -> dt.datetime:
    stages = STAGES[refund.processor]
    previous = ""
    changed = refund.created_at
    for state in refund.history:
        if state.word != previous and state.word in stages:
            changed = state.at
        previous = state.word
    return changed
