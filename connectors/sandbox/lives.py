"""Pure: the lives refunds lead, with how often they happen. Durations are those of the real world."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from connectors.sandbox.config import ADYEN, STRIPE
from connectors.sandbox.model import Step

Plan = Callable[[random.Random], list[Step]]


@dataclass(frozen=True, slots=True)
class Life:
    """How a refund may go. `method` empty means a card; `whole_payment`: it always covers the full amount."""

    name: str
    processor: str
    weight: float
    plan: Plan
    method: str = ""
    is_reversal: bool = False
    whole_payment: bool = False


MANUAL = "manual"
"""The life of a refund that changes only when somebody says so."""

NOW = dt.timedelta()


def hours(rng: random.Random, low: float, high: float) -> dt.timedelta:
    return dt.timedelta(seconds=round(rng.uniform(low, high) * 3600))


def days(rng: random.Random, low: float, high: float) -> dt.timedelta:
    return hours(rng, low * 24, high * 24)


def choose_life(processor: str, rng: random.Random) -> Life:
    lives = [life for life in LIVES.values() if life.processor == processor]
    return rng.choices(lives, [life.weight for life in lives])[0]


def find_life(processor: str, name: str) -> Life:
    """The life of that name; ValueError names the ones there are."""
    if name == MANUAL:
        return Life(MANUAL, processor, 0, _manual_stripe if processor == STRIPE else _nothing)
    life = LIVES.get((processor, name))
    if life is None:
        known = ", ".join(sorted(life.name for life in LIVES.values() if life.processor == processor))
        raise ValueError(f"{processor} knows no life {name!r}; known are {known}, {MANUAL}")
    return life


def _manual_stripe(rng: random.Random) -> list[Step]:
    return [Step(NOW, "pending", pending_reason="processing")]


def _nothing(rng: random.Random) -> list[Step]:
    return []


# Stripe: the first step is how the refund is created.

_RETURNED_BY_BANK = ("lost_or_stolen_card", "expired_or_canceled_card", "expired_or_canceled_card", "unknown")


def _pending(reason: str = "processing") -> Step:
    return Step(NOW, "pending", pending_reason=reason)


def _reference(rng: random.Random) -> Step:
    return Step(days(rng, 1, 5), kind="reference")


def _instant(rng: random.Random) -> list[Step]:
    return [Step(NOW, "succeeded"), _reference(rng)]


def _pending_then_succeeded(rng: random.Random) -> list[Step]:
    return [_pending(), Step(hours(rng, 5, 60), "succeeded"), _reference(rng)]


def _late_failure(rng: random.Random) -> list[Step]:
    failure = Step(days(rng, 4, 15), "failed", reason=rng.choice(_RETURNED_BY_BANK))
    return [Step(NOW, "succeeded"), _reference(rng), failure]


def _declined(rng: random.Random) -> list[Step]:
    return [_pending(), Step(hours(rng, 2, 40), "failed", reason=rng.choice(("declined", "unknown")))]


def _short_balance(rng: random.Random) -> list[Step]:
    return [_pending("insufficient_funds"), Step(days(rng, 0.5, 3), "succeeded"), _reference(rng)]


def _short_balance_failure(rng: random.Random) -> list[Step]:
    return [_pending("insufficient_funds"), Step(days(rng, 2, 4), "failed", reason="insufficient_funds")]


def _waits_for_details(rng: random.Random) -> list[Step]:
    return [
        Step(NOW, "requires_action"),
        Step(hours(rng, 4, 40), "pending", pending_reason="processing"),
        Step(hours(rng, 4, 30), "succeeded"),
    ]


def _details_never_come(rng: random.Random) -> list[Step]:
    return [Step(NOW, "requires_action"), Step(days(rng, 3, 8), "failed", reason="unknown")]


def _canceled(rng: random.Random) -> list[Step]:
    return [Step(NOW, "requires_action"), Step(hours(rng, 4, 48), "canceled", reason="merchant_request")]


def _reversal(rng: random.Random) -> list[Step]:
    return [Step(NOW, "succeeded")]


def _bank_return(rng: random.Random) -> list[Step]:
    return [
        Step(NOW, "succeeded"),
        Step(days(rng, 2, 5), "requires_action"),
        Step(hours(rng, 8, 40), "pending", pending_reason="processing"),
        Step(hours(rng, 8, 40), "succeeded"),
    ]


def _bank_return_failure(rng: random.Random) -> list[Step]:
    return [*_bank_return(rng)[:2], Step(days(rng, 2, 6), "failed", reason="unknown")]


def _disputed(rng: random.Random) -> list[Step]:
    return [
        _pending(),
        Step(hours(rng, 4, 30), kind="dispute"),
        Step(hours(rng, 1, 4), "failed", reason="charge_for_pending_refund_disputed"),
    ]


# Adyen: the refund is created by the API's "received", which no webhook reports.

_REFUSALS = (
    "Transaction hasn't been captured, refund not possible",
    "Insufficient balance on payment",
    "Transaction already refunded",
)


def _event(word: str, after: dt.timedelta, reason: str = "") -> Step:
    return Step(after, word, reason=reason)


def _books(record_type: str, after: dt.timedelta) -> Step:
    return Step(after, record_type, kind="booking")


def _sent(rng: random.Random, word: str = "REFUND") -> list[Step]:
    return [_event(word, hours(rng, 2, 36)), _books("SentForRefund", hours(rng, 0.5, 3))]


def _booked(rng: random.Random, word: str = "REFUND") -> list[Step]:
    return [*_sent(rng, word), _books("Refunded", hours(rng, 8, 48))]


def _failed_at_scheme(rng: random.Random) -> list[Step]:
    failed = _event("REFUND_FAILED", days(rng, 2, 10), "Refund Failed")
    return [*_sent(rng), failed, _books("RefundFailed", NOW)]


def _reprocessed(rng: random.Random) -> list[Step]:
    again = [_event("REFUND", days(rng, 0.5, 3)), _books("SentForRefund", hours(rng, 0.5, 3))]
    return [*_failed_at_scheme(rng), *again, _books("Refunded", hours(rng, 8, 48))]


def _returned(rng: random.Random) -> list[Step]:
    back = _event("REFUNDED_REVERSED", days(rng, 6, 21), "Account closed")
    return [*_booked(rng), back, _books("RefundedReversed", NOW)]


def _refused(rng: random.Random) -> list[Step]:
    return [_event("REFUND:false", hours(rng, 0.2, 8), rng.choice(_REFUSALS))]


def _one(word: str, reason: str = "") -> Plan:
    return lambda rng: [_event(word, hours(rng, 0.5, 20), reason)]


def _postponed(rng: random.Random) -> list[Step]:
    return [_event("POSTPONED_REFUND", hours(rng, 0.2, 2)), *_booked(rng)]


def _void_pending(rng: random.Random) -> list[Step]:
    return [_event("POSTPONED_REFUND", hours(rng, 0.2, 2)), _event("VOID_PENDING_REFUND", hours(rng, 4, 30))]


def _not_cleared(rng: random.Random) -> list[Step]:
    return [*_sent(rng), _event("REFUND_NOT_CLEARED", days(rng, 29, 31))]


def _adyen_disputed(rng: random.Random) -> list[Step]:
    return [*_booked(rng), Step(days(rng, 1, 4), kind="dispute")]


_ALL: Sequence[Life] = (
    Life("instant", STRIPE, 26, _instant),
    Life("pending_then_succeeded", STRIPE, 34, _pending_then_succeeded),
    Life("late_failure", STRIPE, 9, _late_failure),
    Life("declined", STRIPE, 4, _declined),
    Life("short_balance", STRIPE, 4, _short_balance),
    Life("short_balance_failure", STRIPE, 2, _short_balance_failure),
    Life("waits_for_details", STRIPE, 5, _waits_for_details, "eu_bank_transfer"),
    Life("details_never_come", STRIPE, 2, _details_never_come, "th_bank_transfer"),
    Life("canceled", STRIPE, 2, _canceled, "eu_bank_transfer"),
    Life("reversal", STRIPE, 6, _reversal, is_reversal=True, whole_payment=True),
    Life("bank_return", STRIPE, 2, _bank_return, "us_bank_transfer"),
    Life("bank_return_failure", STRIPE, 2, _bank_return_failure, "us_bank_transfer"),
    Life("disputed", STRIPE, 2, _disputed),
    Life("accepted", ADYEN, 48, _booked),
    Life("refused", ADYEN, 8, _refused),
    Life("late_failure", ADYEN, 8, _failed_at_scheme),
    Life("reprocessed", ADYEN, 4, _reprocessed),
    Life("returned", ADYEN, 5, _returned),
    Life("cancel_or_refund_refund", ADYEN, 5, lambda rng: _booked(rng, "CANCEL_OR_REFUND:refund")),
    Life("cancel_or_refund_cancel", ADYEN, 4, _one("CANCEL_OR_REFUND:cancel"), whole_payment=True),
    Life("cancel_or_refund_refused", ADYEN, 1, _one("CANCEL_OR_REFUND:false", "Transaction not found")),
    Life("cancellation", ADYEN, 4, _one("CANCELLATION"), whole_payment=True),
    Life("technical_cancel", ADYEN, 2, _one("TECHNICAL_CANCEL"), whole_payment=True),
    Life("postponed", ADYEN, 3, _postponed),
    Life("with_data", ADYEN, 2, lambda rng: _booked(rng, "REFUND_WITH_DATA")),
    Life("void_pending", ADYEN, 1, _void_pending),
    Life("not_cleared", ADYEN, 1, _not_cleared),
    Life("disputed", ADYEN, 2, _adyen_disputed),
)

LIVES = {(life.processor, life.name): life for life in _ALL}
