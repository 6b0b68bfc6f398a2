"""Differences planted on purpose, one function a break code: what is done to a refund, and what must be found of it.

The codes are the dashboard's; what is to be found is written down here by hand, so that both sides can be wrong.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING

from connectors.sandbox import currencies
from connectors.sandbox.config import ADYEN, PROCESSORS, STRIPE
from connectors.sandbox.identifiers import stripe_id
from connectors.sandbox.model import Step
from connectors.sandbox.stripe_effects import add_line

if TYPE_CHECKING:
    from connectors.sandbox.month import Month

Planting = Callable[["Month", str, dt.datetime], None]
_HOUR, _DAY, _NOW = dt.timedelta(hours=1), dt.timedelta(days=1), dt.timedelta()
_FEE = 25
_OFF = 137
"""Minor units an amount is off by: no fee, no rounding, and no factor of ten."""


def in_transit(month: Month, processor: str, at: dt.datetime) -> None:
    """B01. Sent to the scheme a few days before the run, and not booked yet."""
    refund = month.refund(processor, at, steps=[Step(3 * _DAY, "REFUND")])
    month.expect("B01", refund)


def not_seen_yet(month: Month, processor: str, at: dt.datetime) -> None:
    """B01. Booked by accounting; nobody else has ever heard of it."""
    refund = month.refund(processor, at, word="pending", registered=False, announced=False, denied=True)
    month.expect("B01", refund, entry=month.entries[refund.refund_id].reference, refund_id="")


def unknown_to_the_processor(month: Month, processor: str, at: dt.datetime) -> None:
    """B02. Registered and booked, and the processor says it does not know it."""
    refund = month.refund(processor, at, word="pending", announced=False, denied=True)
    month.expect("B02", refund)


def unrequested(month: Month, processor: str, at: dt.datetime) -> None:
    """B03. Made in the processor's own pages."""
    month.expect("B03", month.refund(processor, at, registered=False, booked=False))


def never_settled(month: Month, processor: str, at: dt.datetime) -> None:
    """B04. Sent to the scheme, and never booked."""
    month.expect("B04", month.refund(processor, at, steps=[Step(2 * _HOUR, "REFUND")]))


def settled_unknown(month: Month, processor: str, at: dt.datetime) -> None:
    """B05. The balance holds a refund that nobody has ever heard of."""
    amount = month.amount()
    line_id = _booked(month, stripe_id("re", month.rng), amount, at)
    month.plant("B05", processor, amount, "EUR", line_id=line_id)


def over_and_under(month: Month, processor: str, at: dt.datetime) -> None:
    """B10, B11. Accounting booked less, or more, than the processor refunded."""
    for code, sign in (("B10", -1), ("B11", 1)):
        refund = month.refund(processor, at)
        month.rebook(refund, amount=currencies.major(processor, refund.amount_minor + sign * _OFF, "EUR"))
        month.expect(code, refund, amount_minor=_OFF)


def rounding(month: Month, processor: str, at: dt.datetime) -> None:
    """B12. Off by a cent, which the account tolerates."""
    refund = month.refund(processor, at)
    month.rebook(refund, amount=currencies.major(processor, refund.amount_minor - 1, "EUR"))
    month.expect("B12", refund, amount_minor=1)


def wrong_scale(month: Month, processor: str, at: dt.datetime) -> None:
    """B13. Accounting took yen for hundredths of yen."""
    refund = month.refund(processor, at, currency="JPY")
    month.rebook(refund, amount=str(refund.amount_minor * 100))
    month.expect("B13", refund, amount_minor=refund.amount_minor * 99)


def third_decimal(month: Month, processor: str, at: dt.datetime) -> None:
    """B13. Accounting cut off the third decimal of a dinar."""
    amount = month.amount() // 10 * 10 + 7
    refund = month.refund(processor, at, currency="KWD", amount_minor=amount)
    month.rebook(refund, amount=currencies.major(processor, amount - 7, "KWD"))
    month.expect("B13", refund, amount_minor=7)


def another_fee(month: Month, processor: str, at: dt.datetime) -> None:
    """B14. Refunds are free by the account's terms, and this one was not."""
    refund = month.refund(processor, at)
    month.sandbox.world.transactions[refund.debit_id].fee_minor = _FEE
    month.expect("B14", refund, amount_minor=_FEE)


def net_for_gross(month: Month, processor: str, at: dt.datetime) -> None:
    """B15. The settlement shows the refund less its fee."""
    refund = month.refund(processor, at)
    line = month.sandbox.world.transactions[refund.debit_id]
    line.fee_minor = line.customer_less = _FEE
    month.expect("B15", refund, amount_minor=_FEE)


def over_refunded(month: Month, processor: str, at: dt.datetime) -> None:
    """B16. Less was captured than was refunded."""
    refund = month.refund(processor, at)
    month.sandbox.world.payments[refund.payment_id].amount_minor -= 200
    month.expect("B16", refund, amount_minor=200)


def another_currency(month: Month, processor: str, at: dt.datetime) -> None:
    """B20. Booked in dollars, refunded in euros."""
    refund = month.refund(processor, at)
    month.rebook(refund, currency="USD")
    month.expect("B20", refund)


def failed_but_settled(month: Month, processor: str, at: dt.datetime) -> None:
    """B30. The processor says it failed, and its money left the balance all the same."""
    refund = month.refund(processor, at, steps=[Step(_NOW, "pending"), Step(9 * _HOUR, "failed", reason="declined")])
    _booked(month, refund.refund_id, refund.amount_minor, at)
    month.expect("B30", refund)


def returned(month: Month, processor: str, at: dt.datetime) -> None:
    """B31. It succeeded, and its money came back a week later."""
    if processor == STRIPE:
        steps = [Step(_NOW, "succeeded"), Step(7 * _DAY, "failed", reason="expired_or_canceled_card")]
    else:
        back = [Step(7 * _DAY, "REFUNDED_REVERSED"), Step(_NOW, "RefundedReversed", kind="booking")]
        steps = [Step(2 * _HOUR, "REFUND"), Step(_DAY, "Refunded", kind="booking"), *back]
    month.expect("B31", month.refund(processor, at, steps=steps))


def stuck(month: Month, processor: str, at: dt.datetime) -> None:
    """B32. Nothing was heard of it since it began."""
    steps = [Step(_NOW, "pending")] if processor == STRIPE else [Step(_HOUR, "POSTPONED_REFUND")]
    month.expect("B32", month.refund(processor, at, steps=steps))


def unannounced(month: Month, processor: str, at: dt.datetime) -> None:
    """B33. None of its webhooks came; only who asks learns that it succeeded."""
    month.expect("B33", month.refund(processor, at, announced=False))


def refunded_twice(month: Month, processor: str, at: dt.datetime) -> None:
    """B40. The same amount of the same payment again, and nobody asked for the second one."""
    amount = month.amount()
    first = month.refund(processor, at, amount_minor=amount, payment_amount_minor=2 * amount)
    again = month.refund(
        processor, at + _HOUR, amount_minor=amount, payment_id=first.payment_id, registered=False, booked=False
    )
    month.expect("B40", again)


def line_twice(month: Month, processor: str, at: dt.datetime) -> None:
    """B41. The report has its line twice."""
    refund = month.refund(processor, at)
    month.sandbox.world.transactions[refund.debit_id].repeated = True
    month.expect("B41", refund, refund_id="", line_id=refund.debit_id)


def ambiguous(month: Month, processor: str, at: dt.datetime) -> None:
    """B42. Two equal partial refunds of one payment, and entries that only name the payment."""
    amount = month.amount()
    first = month.refund(processor, at, amount_minor=amount, payment_amount_minor=2 * amount)
    second = month.refund(processor, at + _HOUR, amount_minor=amount, payment_id=first.payment_id)
    for refund in (first, second):
        month.rebook(refund, connector_refund_id="", merchant_order_id="")
        month.expect("B42", refund, refund_id="", entry=month.entries[refund.refund_id].reference)


def wrong_payment(month: Month, processor: str, at: dt.datetime) -> None:
    """B44. Booked under another payment."""
    refund = month.refund(processor, at)
    month.rebook(refund, connector_transaction_id=refund.payment_id[::-1])
    month.expect("B44", refund)


def wrong_direction(month: Month, processor: str, at: dt.datetime) -> None:
    """B45. Booked into the balance as money that came in."""
    refund = month.refund(processor, at)
    line = month.sandbox.world.transactions[refund.debit_id]
    line.amount_minor = abs(line.amount_minor)
    month.expect("B45", refund)


def wrong_order(month: Month, processor: str, at: dt.datetime) -> None:
    """B46. Booked under another order, the payment right."""
    refund = month.refund(processor, at)
    month.rebook(refund, merchant_order_id="ORD-0")
    month.expect("B46", refund)


def across_the_end(month: Month, processor: str, at: dt.datetime) -> None:
    """B50, B51. Asked for just before the month's end and settled after it; in Amsterdam it is the next month already.

    What crosses the end is written down for all refunds alike, at the end.
    """
    life = "pending_then_succeeded" if processor == STRIPE else "accepted"
    month.refund(processor, at, life=life)


def _booked(month: Month, source: str, amount: int, at: dt.datetime) -> str:
    """A line of a refund in Stripe's balance that the refund itself did not cause; its id."""
    settled = currencies.Settled(amount, "EUR", None)
    return add_line(month.sandbox.world, "refund", "refund", source, settled, -1, 0, at)


ANYWHERE: tuple[tuple[Planting, tuple[str, ...]], ...] = (
    # Stripe lists what it booked, so a line can be changed by itself; a row of Adyen's is also a statement about the
    # refund, and what is wrong in it is wrong at the processor.
    (unknown_to_the_processor, (STRIPE,)),
    (unrequested, PROCESSORS),
    (never_settled, (ADYEN,)),
    (settled_unknown, (STRIPE,)),
    (over_and_under, PROCESSORS),
    (rounding, PROCESSORS),
    (wrong_scale, PROCESSORS),
    (third_decimal, (ADYEN,)),
    (another_fee, (STRIPE,)),
    (net_for_gross, (STRIPE,)),
    (over_refunded, PROCESSORS),
    (another_currency, PROCESSORS),
    (failed_but_settled, (STRIPE,)),
    (returned, PROCESSORS),
    (stuck, PROCESSORS),
    (unannounced, (STRIPE,)),
    (refunded_twice, PROCESSORS),
    (line_twice, (STRIPE,)),
    (ambiguous, PROCESSORS),
    (wrong_payment, PROCESSORS),
    (wrong_direction, (STRIPE,)),
    (wrong_order, PROCESSORS),
)
"""Planted on days 7 to 20, at which processors."""

AT_THE_END: tuple[tuple[Planting, str], ...] = ((in_transit, ADYEN), (not_seen_yet, STRIPE))
"""Planted on the day before the last."""
