"""What a change of a Stripe refund causes: events, and lines in the merchant's balance."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from connectors.sandbox import currencies, identifiers
from connectors.sandbox.clock import whole_second
from connectors.sandbox.config import STRIPE
from connectors.sandbox.model import Payment, Payout, Refund, ReportFile, State, Step, Transaction

if TYPE_CHECKING:
    from connectors.sandbox.world import World

_NOT_REFUNDED = ("failed", "canceled")
_PARTLY_CAPTURED = 0.05


def apply(world: World, refund: Refund, step: Step, at: dt.datetime) -> None:
    """Let one step happen to the refund."""
    if step.kind == "dispute":
        _dispute(world, refund, at)
        return
    if step.kind == "reference":
        _learn_reference(world, refund, at)
        return
    known = refund.state.reference if refund.history else ""
    is_new = not refund.history
    refund.history.append(State(at, step.word, step.reason, step.pending_reason, known))
    _book(world, refund, at)
    _announce(world, refund, at, _types(step.word, is_new))


def _types(word: str, is_new: bool) -> tuple[str, ...]:
    """A success that turns into a failure fires refund.failed and no refund.updated (seen in a measured run)."""
    if is_new:
        return ("refund.created", "charge.refunded")
    return ("refund.failed" if word == "failed" else "refund.updated", "charge.refund.updated")


def _learn_reference(world: World, refund: Refund, at: dt.datetime) -> None:
    if refund.is_reversal or refund.state.word in _NOT_REFUNDED:
        return
    refund.history.append(replace(refund.state, at=at, reference=refund.arn, event_ids=()))
    _announce(world, refund, at, ("refund.updated", "charge.refund.updated"))


def _dispute(world: World, refund: Refund, at: dt.datetime) -> None:
    world.payments[refund.payment_id].disputed = True
    rng = identifiers.seeded(world.seed, "dispute", world.next_number("dispute"))
    _emit(world, refund, "charge.dispute.created", at, world.next_number("event"), identifiers.stripe_id("dp", rng))


def _announce(world: World, refund: Refund, at: dt.datetime, types: tuple[str, ...]) -> None:
    index = len(refund.history) - 1
    emitted = []
    for event_type in types:
        detail = str(amount_refunded(world, refund.payment_id)) if event_type == "charge.refunded" else ""
        emitted.append((event_type, world.next_number("event"), detail))
    ids = tuple(_event_id(world, number) for _, number, _ in emitted)
    refund.history[index] = replace(refund.state, event_ids=ids)
    for event_type, number, detail in emitted:
        _emit(world, refund, event_type, at, number, detail)


def _event_id(world: World, number: int) -> str:
    return identifiers.stripe_id("evt", identifiers.seeded(world.seed, "event", number))


def _emit(world: World, refund: Refund | None, event_type: str, at: dt.datetime, number: int, detail: str) -> None:
    event_id = _event_id(world, number)
    world.emit(refund, event_type, at, processor=STRIPE, event_id=event_id, number=number, detail=detail)


def amount_refunded(world: World, payment_id: str) -> int:
    """How much of the charge is refunded now, not counting refunds that came to nothing."""
    refunds = (world.refunds[refund_id] for refund_id in world.payments[payment_id].refund_ids)
    return sum(refund.amount_minor for refund in refunds if refund.history and refund.state.word not in _NOT_REFUNDED)


def book_charge(world: World, payment: Payment) -> None:
    """The payment's own line: its amount, less 2.9 % and 30 cents.

    Some were authorized for more: the whole is booked, and what was not captured goes back as a line that has the type
    of a refund and is none.
    """
    settled = currencies.settle(STRIPE, payment.amount_minor, payment.currency)
    fee = min(settled.minor_amount, settled.minor_amount * 29 // 1000 + 30)
    kind, rest = "charge" if payment.method == "card" else "payment", 0
    rng = identifiers.seeded(world.seed, "authorized", payment.number)
    if payment.method == "card" and rng.random() < _PARTLY_CAPTURED:
        rest = max(settled.minor_amount // 4, 1)
    whole = replace(settled, minor_amount=settled.minor_amount + rest)
    add_line(world, kind, "charge", payment.payment_id, whole, 1, fee, payment.created_at)
    if rest:
        back, source = replace(settled, minor_amount=rest), identifiers.stripe_id("re", rng)
        add_line(world, "refund", "partial_capture_reversal", source, back, -1, 0, payment.created_at)


def _book(world: World, refund: Refund, at: dt.datetime) -> None:
    """The refund leaves the balance when it first succeeds, and comes back when it fails after that."""
    settled = currencies.settle(STRIPE, refund.amount_minor, refund.currency)
    is_card = refund.method == "card"
    if refund.state.word == "succeeded" and not refund.debit_id:
        kind = "refund" if is_card else "payment_refund"
        refund.debit_id = add_line(world, kind, "refund", refund.refund_id, settled, -1, 0, at)
    elif refund.state.word in _NOT_REFUNDED and refund.debit_id and not refund.credit_id:
        kind = "refund_failure" if is_card else "payment_failure_refund"
        refund.credit_id = add_line(world, kind, "refund_failure", refund.refund_id, settled, 1, 0, at)


def add_line(
    world: World,
    kind: str,
    category: str,
    source: str,
    settled: currencies.Settled,
    sign: int,
    fee: int,
    at: dt.datetime,
) -> str:
    """Write a line into the balance; its id."""
    number = world.next_number("transaction")
    transaction = Transaction(
        transaction_id=identifiers.stripe_id("txn", identifiers.seeded(world.seed, "transaction", number)),
        number=number,
        type=kind,
        reporting_category=category,
        source=source,
        amount_minor=sign * settled.minor_amount,
        fee_minor=fee,
        currency=settled.currency,
        exchange_rate="" if settled.rate is None else str(settled.rate),
        created_at=at,
        available_at=at + dt.timedelta(days=2) if sign > 0 else at,
    )
    world.transactions[transaction.transaction_id] = transaction
    world.feeds["transaction"].add(at, number, transaction.transaction_id)
    return transaction.transaction_id


def close_payouts(world: World) -> list[str]:
    """Pay out everything in the balance now, one payout a currency. A negative one is taken from the bank account."""
    at = whole_second(world.now())
    unpaid = [line for line in world.transactions.values() if not line.payout_id and line.type != "payout"]
    unpaid.sort(key=lambda line: line.currency)
    return [_pay_out(world, currency, list(lines), at) for currency, lines in groupby(unpaid, lambda x: x.currency)]


def _pay_out(world: World, currency: str, lines: list[Transaction], at: dt.datetime) -> str:
    total = sum(line.amount_minor - line.fee_minor for line in lines)
    number = world.next_number("payout")
    payout_id = identifiers.stripe_id("po", identifiers.seeded(world.seed, "payout", number))
    settled = currencies.Settled(total, currency, None)
    transaction_id = add_line(world, "payout", "payout", payout_id, settled, -1, 0, at)
    for line in [*lines, world.transactions[transaction_id]]:
        line.payout_id = payout_id
    world.payouts[payout_id] = Payout(payout_id, number, total, currency, at, transaction_id)
    world.feeds["payout"].add(at, number, payout_id)
    return payout_id


def publish(world: World, content: str) -> str:
    """Let a report that somebody had made be downloaded, and announce it; its file's id."""
    at, number = whole_second(world.now()), world.next_number("event")
    file_id = identifiers.stripe_id("file", identifiers.seeded(world.seed, "file", number))
    world.reports[file_id] = ReportFile(STRIPE, file_id, at, content)
    _emit(world, None, "reporting.report_run.succeeded", at, number, file_id)
    return file_id
