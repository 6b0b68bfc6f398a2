"""What support says of one refund: its row, its marks, its account and our history, put together for
`refunds.explaining`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.utils import timezone

from connectors.contract import FailureCause, MarkKind, MethodFamily, Money, ReferenceState, RefundKind, Stage
from connectors.models import ConnectorAccount
from refunds import expecting, services
from refunds.expecting import Expectation, in_words
from refunds.explaining import Age, Explanation, Key, Language, Situation, explain, language_of
from refunds.explaining.languages import DEFAULT
from refunds.facts import Source
from refunds.models import Mark, Refund, UsualTime
from refunds.models.usual_time import Goal
from refunds.operations.health import health
from refunds.reconciliation.tolerance import plus_bank_days

_OPEN = frozenset({Stage.REQUESTED, Stage.REQUIRES_ACTION, Stage.PENDING, Stage.ACCEPTED})
_STALE: Mapping[str, str] = {
    "rejected": "the processor rejects our credentials",
    "failing": "asking the processor fails by an error of ours",
    "paused": "the processor is not being asked just now",
    "silent": "nothing was heard of the processor lately",
    "unannounced": "the processor's webhooks have stopped coming",
    "disabled": "the account is disabled here",
}


@dataclass(frozen=True, slots=True)
class Expected:
    """What comes next and by when it is usual; `because` says where that is from. `by` is None where nothing comes."""

    age: Age
    by: dt.date | None = None
    what: str = ""
    because: str = ""
    booked: str = ""
    """How long it takes until refunds are booked; empty for those who may not see settlement."""


@dataclass(frozen=True, slots=True)
class Said:
    """What to tell the customer about a refund, and what it was made of."""

    situation: Situation
    expected: Expected
    explanation: Explanation

    @property
    def language(self) -> Language:
        return self.explanation.language


def language_for(refund: Refund) -> Language:
    """The customer's language where it is one of ours, else English."""
    return language_of(refund.customer_language) or DEFAULT


def say(
    refund: Refund, *, language: Language, sees_settlement: bool, texts: Mapping[Key, str] | None = None
) -> Said:  # fmt: skip
    """What to say of a refund (with its account) now. `texts`: instead of the company's own that are in force."""
    situation, expected = situation_of(refund, sees_settlement=sees_settlement)
    own = services.texts_of(language) if texts is None else texts
    return Said(situation, expected, explain(situation, language, own))


def situation_of(refund: Refund, *, sees_settlement: bool) -> tuple[Situation, Expected]:
    """Everything that what we say depends on. Whoever may not see settlement hears nothing of it either."""
    account, connector = refund.account, refund.account.connector_class
    stage, family = Stage(refund.stage), _family(refund)
    is_claim = refund.source == Source.CLAIM
    done_at = refund.as_of or refund.received_at or refund.registered_at or refund.updated_at
    expected = _expected(refund, stage, family, done_at, is_claim=is_claim)
    marks = {mark.kind for mark in Mark.of(refund)}
    failed = stage in (Stage.CANCELED, Stage.FAILED, Stage.RETURNED)
    situation = Situation(
        stage=stage,
        done_at=done_at,
        age=expected.age,
        family=family,
        amount=_money(refund.minor_amount, refund.currency),
        payment_amount=_money(refund.payment_minor_amount, refund.payment_currency),
        exponents=connector.currency_exponents,
        expected_by=expected.by,
        settled_at=refund.settled_at if sees_settlement else None,
        arn=refund.acquirer_reference_number,
        reference_state=ReferenceState(refund.reference_state) if refund.reference_state else None,
        is_claim=is_claim,
        is_reversal=refund.kind == RefundKind.REVERSAL,
        returned_after_success=refund.returned_after_success,
        is_unheard=is_claim and refund.registered_at is None,
        is_unrecognized=refund.unrecognized_since is not None,
        is_repeated=refund.repeated_since is not None,
        is_disputed=MarkKind.DISPUTED in marks,
        is_not_cleared=MarkKind.NOT_CLEARED in marks,
        amounts_differ=refund.amounts_differ,
        cause=_cause(refund) if failed and not is_claim else None,
        reason=_reason(refund) if failed else "",
        pending_reason=refund.pending_reason if stage in _OPEN else "",
        stale=_stale(account),
        processor=connector.label,
        can_be_asked=connector.supports("get_refund"),
        reference_follows=connector.reference_follows,
    )
    booked = _booked(refund, stage) if sees_settlement else ""
    return situation, replace(expected, booked=booked)


def _money(minor_amount: int | None, currency: str) -> Money | None:
    return Money(minor_amount, currency) if minor_amount is not None and currency else None


def _family(refund: Refund) -> MethodFamily:
    found = refund.account.connector_class.method_family(refund.payment_method)
    is_card = found is MethodFamily.UNKNOWN and (refund.card_brand or refund.card_last4)
    return MethodFamily.CARD if is_card else found


def _cause(refund: Refund) -> FailureCause | None:
    """What the customer may be told; None where the processor gave no reason at all."""
    causes = refund.account.connector_class.failure_causes
    if found := causes.get(refund.error_code) or causes.get(refund.error_message):
        return found
    # A code nobody has words for is no code the customer should read.
    return FailureCause.UNSAID if refund.error_code or refund.error_message else None


def _reason(refund: Refund) -> str:
    reasons = refund.account.connector_class.failure_reasons
    return reasons.get(refund.error_code) or reasons.get(refund.error_message) or refund.error_message


def _stale(account: ConnectorAccount) -> str:
    [found] = health(ConnectorAccount.objects.filter(pk=account.pk))
    return _STALE.get(found.condition, "")


def _expected(
    refund: Refund, stage: Stage, family: MethodFamily, done_at: dt.datetime, *, is_claim: bool
) -> Expected:  # fmt: skip
    if stage in _OPEN or is_claim:
        goal = Goal.SETTLEMENT if stage is Stage.ACCEPTED and not is_claim else Goal.SUCCESS
        return _until_confirmed(refund, UsualTime.expectation(refund.account, refund.payment_method, goal=goal))
    if stage is Stage.SUCCEEDED and refund.kind != RefundKind.REVERSAL:
        return _until_credited(refund.account, family, done_at)
    return Expected(Age.EXPECTED)


def _until_confirmed(refund: Refund, usual: Expectation) -> Expected:
    age = timezone.now() - refund.created_at
    by = (refund.created_at + usual.late_after).astimezone(dt.UTC).date()
    if usual.is_learned:
        because = f"9 of 10 refunds of this account are confirmed within {in_words(usual.late_after)}; learned from "
        because += f"{usual.refunds:,} refunds."
    else:
        because = f"{in_words(usual.late_after)} is our default, until {expecting.ENOUGH} refunds of this account have "
        because += "been confirmed."
    return Expected(_age(age, usual), by, "confirmed by the processor", because)


def _age(age: dt.timedelta, usual: Expectation) -> Age:
    if age > usual.stuck_after:
        return Age.STUCK
    if age > usual.late_after:
        return Age.LATE
    return Age.FRESH if age <= usual.usual_after else Age.EXPECTED


def _until_credited(account: ConnectorAccount, family: MethodFamily, done_at: dt.datetime) -> Expected:
    """No processor says when the customer's bank shows the money: a documented time is all there is."""
    connector, now = account.connector_class, timezone.now()
    days = connector.credited_within_bank_days.get(family)
    by = plus_bank_days(done_at.astimezone(dt.UTC).date(), days or expecting.DEFAULT_BANK_DAYS)
    if days:
        because = f"{connector.label} documents up to {days} bank days after success."
    else:
        because = f"{expecting.DEFAULT_BANK_DAYS} bank days after success are our default."
    if now.date() > by:
        return Expected(Age.LATE, by, "visible to the customer", because)
    age = Age.FRESH if now - done_at < dt.timedelta(days=1) else Age.EXPECTED
    return Expected(age, by, "visible to the customer", because)


def _booked(refund: Refund, stage: Stage) -> str:
    if refund.settled_at is not None or stage not in (Stage.ACCEPTED, Stage.SUCCEEDED):
        return ""
    usual = UsualTime.expectation(refund.account, refund.payment_method, goal=Goal.SETTLEMENT)
    if not usual.is_learned:
        return ""
    return f"9 of 10 are booked within {in_words(usual.late_after)} of being made; {usual.refunds:,} refunds."
