"""Pure: for staff only, in English: what a situation means, and what to do next. Never sent to a customer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from connectors.contract import FailureCause, MethodFamily, ReferenceState, Stage
from refunds.explaining.situation import Age, Situation

_STAGES: Mapping[Stage, str] = {
    Stage.REQUESTED: "Created or queued. Nobody has moved money yet.",
    Stage.REQUIRES_ACTION: "It waits for somebody: usually the customer was asked by e-mail for bank details.",
    Stage.PENDING: "The processor is working on it.",
    Stage.ACCEPTED: "The request went to the scheme. It is not booked yet and may still fail.",
    Stage.VOIDED: "The payment was cancelled before it was captured: the money was never taken.",
    Stage.CANCELED: "Stopped before any money moved.",
    Stage.SUCCEEDED: "Done, as far as the processor says. Whether the customer's bank shows it yet, nobody knows here.",
    Stage.FAILED: "It did not reach the customer. The money is with the merchant.",
    Stage.RETURNED: "It had gone, and the bank sent it back. The money is with the merchant.",
}

_AFTER_FAILURE: Mapping[FailureCause, str] = {
    FailureCause.ACCOUNT_UNREACHABLE: "Ask the customer for another way to be paid, then have it paid that way.",
    FailureCause.DECLINED: "Ask the customer whether the card or account still exists, then have it sent again.",
    FailureCause.DISPUTED: "Do not send it again: the dispute decides. Paying twice cannot be undone.",
    FailureCause.OUR_SIDE: "The customer has done nothing wrong. Have whoever makes refunds send it again.",
    FailureCause.WITHDRAWN: "Find out who stopped it and why before promising another one.",
    FailureCause.NOT_COLLECTED: "Have the payment cancelled instead of refunded.",
    FailureCause.UNSAID: "Ask the customer whether the card or account still exists, then have it sent again.",
}

_WHOM_TO_ASK: Mapping[MethodFamily, str] = {
    MethodFamily.CARD: "the card issuer",
    MethodFamily.BANK: "their bank",
    MethodFamily.WALLET: "their wallet's provider",
    MethodFamily.VOUCHER: "the payment service",
    MethodFamily.UNKNOWN: "whoever they paid through",
}


def meaning(situation: Situation) -> tuple[str, ...]:
    """What the situation means; the first sentence is about where the refund is."""
    return tuple(_meaning(situation))


def advice(situation: Situation) -> tuple[str, ...]:
    """What to do next, the most important first; never empty."""
    return tuple(_advice(situation)) or ("Nothing else. Send the text.",)


def _meaning(situation: Situation) -> Iterator[str]:
    s = situation
    if s.is_unheard:
        yield "Nothing that was said of it counts yet, and nobody here registered it."
    elif s.is_claim:
        yield "Only our own side says so. No processor has confirmed it, so nothing is known of the money."
    else:
        yield _STAGES[s.stage]
    if s.is_unrecognized:
        yield "The processor uses a word that this release does not know; what is shown is what was known before."
    if s.is_repeated:
        yield "A success was repeated that is older than a failure. It may be a copy of an old notification."
    if s.returned_after_success:
        yield "It had been called a success before, so the customer may have been told the opposite."
    if s.reason:
        yield f"Why: {s.reason}"
    if s.pending_reason:
        yield f"{s.processor} says why it waits: {s.pending_reason}."
    if s.is_reversal:
        yield "It is a reversal: the charge itself disappears, so there is no credit to look for and no ARN."
    if s.is_disputed:
        yield "The payment was disputed with the customer's bank."
    if s.is_not_cleared:
        yield "The processor says that the refund has not cleared although the customer may well have the money."
    if s.stale:
        yield f"This may be old news: {s.stale}."


def _advice(situation: Situation) -> Iterator[str]:
    s = situation
    if s.is_doubtful:
        yield "Say nothing of the result. Look at the processor's own page, and tell the engineers."
        return
    if s.stale:
        yield "Look at the processor's own page before you answer; what is shown here may have changed."
    if s.amounts_differ:
        yield "The amounts differ: the text says the processor's. Tell finance."
    if s.has_failed:
        yield from _advice_after_failure(s)
    else:
        yield from _advice_under_way(s)


def _advice_after_failure(situation: Situation) -> Iterator[str]:
    if situation.is_claim:
        yield "Have the failure confirmed at the processor before you tell the customer."
    elif situation.is_disputed and situation.cause is not FailureCause.DISPUTED:
        yield "There is a dispute: do not have it sent again before finance has looked at it."
    elif situation.cause is not None:
        yield _AFTER_FAILURE[situation.cause]
    elif situation.stage is Stage.CANCELED:
        yield "Find out who stopped it and why. If the customer is still owed the money, have a new one made."
    else:
        yield "Nothing is retried by itself. Agree with the customer on a way, then have it sent again."


def _advice_under_way(situation: Situation) -> Iterator[str]:
    s = situation
    if s.stage is Stage.SUCCEEDED and not s.is_claim:
        yield from _advice_after_success(s)
    elif s.stage is Stage.REQUIRES_ACTION and not s.is_claim:
        yield "Ask whether the customer has had the e-mail. Without an answer the refund will fail."
    elif s.age is Age.STUCK:
        yield _ask(s, "and open a case with the processor if it still says so: this is longer than refunds take.")
    elif s.age is Age.LATE:
        yield _ask(s, "and follow it up tomorrow.")
    elif s.is_claim:
        yield _ask(s, "if the customer insists; otherwise wait for the processor.")
    if s.is_disputed:
        yield "Do not have anything paid twice: the dispute may give the money back as well."


def _advice_after_success(situation: Situation) -> Iterator[str]:
    s = situation
    if s.is_reversal or not s.age.is_overdue:
        if not s.arn and s.reference_follows and s.reference_state is not ReferenceState.UNAVAILABLE:
            yield "The ARN is asked for until it comes; look again in some days if the customer needs it."
        return
    number = "with the ARN" if s.arn else "with the date and the amount"
    yield f"Let the customer ask {_WHOM_TO_ASK[s.family]} {number}."
    if not s.arn:
        yield f"If they find nothing, ask {s.processor} for a proof of the refund."


def _ask(situation: Situation, then: str) -> str:
    if situation.can_be_asked:
        return f"Press Check now, {then}"
    return f"Look at {situation.processor}'s own page, since it cannot be asked from here, {then}"
