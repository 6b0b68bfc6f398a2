"""How a new refund comes to be: its payment, its ids, its amount and the life it will lead."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from connectors.sandbox import currencies, identifiers
from connectors.sandbox.clock import whole_second
from connectors.sandbox.config import ADYEN, STRIPE
from connectors.sandbox.lives import MANUAL, Life, choose_life, days, find_life
from connectors.sandbox.model import Payment, Refund, Step
from connectors.sandbox.stripe_effects import book_charge
from connectors.sandbox.truth import status_of

if TYPE_CHECKING:
    from connectors.sandbox.world import World

_PARTIAL_SHARE = 0.15
_REASONS = ("requested_by_customer", "requested_by_customer", "requested_by_customer", "duplicate", "fraudulent", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRefund:
    """What is wanted of a new refund; everything that is left open is chosen by the seed.

    `life` is the name of one (see lives.py) or "manual", which changes only when somebody says so and begins with
    `word`; `steps` a life of one's own instead. `payment_id` refunds more of a payment that exists, or names the new
    one. `amount_minor` is in the processor's own minor units. Not `announced`: no webhook speaks of it; `denied`:
    Stripe's API does not know it either.
    """

    processor: str
    life: str = ""
    word: str = ""
    steps: Sequence[Step] | None = None
    refund_id: str = ""
    payment_id: str = ""
    amount_minor: int | None = None
    payment_amount_minor: int | None = None
    currency: str = ""
    created_at: dt.datetime | None = None
    registered: bool | None = None
    merchant_refund_id: str = ""
    merchant_order_id: str = ""
    method: str = ""
    announced: bool = True
    denied: bool = False


def create(world: World, wanted: NewRefund) -> Refund:
    """A refund with its plan, not yet in the world; its payment is."""
    if wanted.processor not in (STRIPE, ADYEN):
        raise ValueError(f"processor must be {STRIPE} or {ADYEN}, not {wanted.processor!r}")
    if wanted.refund_id in world.refunds:
        raise ValueError(f"refund {wanted.refund_id} exists already")
    number = world.next_number("refund")
    rng = identifiers.seeded(world.seed, wanted.processor, "refund", number)
    life = _life(wanted, rng)
    created_at = whole_second((wanted.created_at or world.now()).astimezone(dt.UTC))
    payment = _payment(world, wanted, life, created_at, rng)
    registered = wanted.registered if wanted.registered is not None else rng.random() >= world.unregistered
    refund = Refund(
        processor=wanted.processor,
        refund_id=wanted.refund_id or _refund_id(wanted.processor, rng),
        number=number,
        payment_id=payment.payment_id,
        amount_minor=_amount(world, wanted, life, payment, rng),
        currency=payment.currency,
        created_at=created_at,
        life=life.name,
        registered=registered,
        merchant_refund_id=wanted.merchant_refund_id or (f"RF-{100000 + number}" if registered else ""),
        requested_reason=rng.choice(_REASONS),
        is_reversal=life.is_reversal,
        method=payment.method,
        arn="" if life.is_reversal else identifiers.acquirer_reference(rng),
        announced=wanted.announced,
        denied=wanted.denied,
    )
    steps = life.plan(rng)
    refund.plan = world.plan_times(created_at, steps)
    refund.done_steps = 1 if wanted.processor == STRIPE else 0
    return refund


def first_step(refund: Refund) -> Step:
    """How the refund begins: Stripe's creation is the plan's first step, Adyen's is an answer no webhook repeats."""
    return refund.plan[0].step if refund.processor == STRIPE else Step(dt.timedelta(), "received")


def _life(wanted: NewRefund, rng: random.Random) -> Life:
    if wanted.steps is not None:
        if wanted.processor == STRIPE and (not wanted.steps or wanted.steps[0].kind != "state"):
            raise ValueError("the first step of a Stripe refund must be the status it is created with")
        steps = list(wanted.steps)
        return Life("custom", wanted.processor, 0, lambda rng: steps)
    if wanted.word:
        begins = [Step(dt.timedelta(), wanted.word)]
        return Life(MANUAL, wanted.processor, 0, lambda rng: begins)
    return find_life(wanted.processor, wanted.life) if wanted.life else choose_life(wanted.processor, rng)


def _refund_id(processor: str, rng: random.Random) -> str:
    return identifiers.stripe_id("re", rng) if processor == STRIPE else identifiers.psp_reference(rng)


def refundable(world: World, payment: Payment) -> int:
    """What is left of a payment after the refunds that did not fail."""
    taken = 0
    for refund_id in payment.refund_ids:
        refund = world.refunds[refund_id]
        if status_of(refund) != "FAILED":
            taken += refund.amount_minor
    return payment.amount_minor - taken


def _amount(world: World, wanted: NewRefund, life: Life, payment: Payment, rng: random.Random) -> int:
    left = refundable(world, payment)
    if wanted.amount_minor is not None:
        amount = wanted.amount_minor
    elif life.whole_payment or rng.random() < 0.7:
        amount = left
    else:
        amount = currencies.round_amount(wanted.processor, payment.currency, left * rng.randint(2, 9) // 10)
    if not 0 < amount <= left:
        raise ValueError(f"cannot refund {amount} of payment {payment.payment_id}: {left} is left")
    return amount


def _payment(world: World, wanted: NewRefund, life: Life, at: dt.datetime, rng: random.Random) -> Payment:
    if wanted.payment_id in world.payments:
        return _existing(world, wanted)
    if not wanted.payment_id and not life.whole_payment and rng.random() < _PARTIAL_SHARE:
        earlier = _with_something_left(world, wanted, life, at)
        if earlier is not None:
            return earlier
    payment = _new_payment(world, wanted, life, at, rng)
    world.payments[payment.payment_id] = payment
    if payment.processor == STRIPE:
        book_charge(world, payment)
    return payment


def _existing(world: World, wanted: NewRefund) -> Payment:
    payment = world.payments[wanted.payment_id]
    if payment.processor != wanted.processor:
        raise ValueError(f"payment {payment.payment_id} is not one of {wanted.processor}'s")
    if wanted.currency and wanted.currency != payment.currency:
        raise ValueError(f"payment {payment.payment_id} is in {payment.currency}, not {wanted.currency}")
    return payment


def _with_something_left(world: World, wanted: NewRefund, life: Life, at: dt.datetime) -> Payment | None:
    """A recent payment that can be refunded a second time; never one whose particulars were asked for otherwise."""
    if wanted.amount_minor is not None or wanted.currency or wanted.merchant_order_id or life.method:
        return None
    for refund_id in islice(reversed(world.refunds), 20):
        payment = world.payments[world.refunds[refund_id].payment_id]
        fits = payment.processor == wanted.processor and payment.created_at < at and payment.method == "card"
        if fits and payment.captured and refundable(world, payment) > 0:
            return payment
    return None


def _new_payment(world: World, wanted: NewRefund, life: Life, at: dt.datetime, rng: random.Random) -> Payment:
    processor, number = wanted.processor, world.next_number("payment")
    currency = wanted.currency or currencies.choose_currency(processor, rng)
    amount = currencies.plausible_amount(processor, currency, rng)
    if wanted.payment_amount_minor is not None:
        amount = wanted.payment_amount_minor
    elif wanted.amount_minor is not None:
        amount = wanted.amount_minor if life.whole_payment else max(amount, wanted.amount_minor)
    method = wanted.method or life.method or "card"
    return Payment(
        processor=processor,
        payment_id=wanted.payment_id or _payment_id(processor, rng),
        number=number,
        amount_minor=amount,
        currency=currency,
        created_at=whole_second(at - days(rng, 0.2, 20)),
        order_id=wanted.merchant_order_id or f"ORD-{500000 + number}",
        method=method,
        brand=identifiers.card_brand(rng) if method == "card" else "",
        last4=identifiers.digits(4, rng) if method == "card" else "",
        customer=identifiers.customer(rng),
        intent_id=identifiers.stripe_id("pi", rng) if processor == STRIPE else "",
        captured=not life.whole_payment or life.is_reversal,
    )


def _payment_id(processor: str, rng: random.Random) -> str:
    return identifiers.stripe_id("ch", rng) if processor == STRIPE else identifiers.psp_reference(rng)
