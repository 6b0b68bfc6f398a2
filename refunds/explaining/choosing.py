"""Pure: which texts a situation calls for, in the order in which they are said.

Nothing is promised that we do not know: a claim, a word nobody understands and a repeated notification are never called
done, a day is only ever said as an estimate, and that the customer has the money is never said at all.
"""

from __future__ import annotations

from collections.abc import Iterator

from connectors.contract import FailureCause, MethodFamily, ReferenceState, Stage
from refunds.explaining.keys import ARRIVES, DONE, OVERDUE, REASONS, Key
from refunds.explaining.situation import Age, Situation

_OPEN = (Stage.REQUESTED, Stage.PENDING)


def chosen(situation: Situation) -> tuple[Key, ...]:
    """The texts to say, the most important one first."""
    return tuple(_chosen(situation))


def _chosen(situation: Situation) -> Iterator[Key]:
    yield opening(situation)
    if situation.is_doubtful:
        return
    if situation.is_partial and situation.stage is not Stage.VOIDED:
        yield Key.PARTIAL
    if situation.is_claim:
        yield from _about_disputes(situation)
        return
    if situation.has_failed:
        yield from _about_failure(situation)
    else:
        yield from _about_what_comes(situation)
        yield from _about_the_reference(situation)
    yield from _about_disputes(situation)
    if situation.stale:
        yield Key.AS_OF


def opening(situation: Situation) -> Key:
    """Where the refund is."""
    if situation.is_doubtful:
        return Key.CHECKING
    if situation.is_claim:
        return Key.CLAIMED_LATE if situation.age.is_overdue else Key.CLAIMED
    match situation.stage:
        case Stage.REQUIRES_ACTION:
            return Key.ACTION_NEEDED
        case Stage.ACCEPTED:
            return Key.ACCEPTED_LATE if situation.age.is_overdue else Key.ACCEPTED
        case Stage.SUCCEEDED:
            return Key.REVERSED if situation.is_reversal else DONE[situation.family]
        case Stage.VOIDED:
            return Key.VOIDED
        case Stage.CANCELED:
            return Key.CANCELED
        case Stage.FAILED | Stage.RETURNED:
            return _opening_of_failure(situation)
        case _:
            return _opening_of_pending(situation)


def _opening_of_failure(situation: Situation) -> Key:
    if situation.returned_after_success:
        return Key.RETURNED_AFTER_SUCCESS
    return Key.RETURNED if situation.stage is Stage.RETURNED else Key.FAILED


def _opening_of_pending(situation: Situation) -> Key:
    if situation.age is Age.STUCK:
        return Key.PENDING_STUCK
    if situation.age is Age.LATE:
        return Key.PENDING_LATE
    return Key.REQUESTED if situation.stage is Stage.REQUESTED else Key.PENDING


def _about_failure(situation: Situation) -> Iterator[Key]:
    if situation.cause is not None:
        yield REASONS[situation.cause]
    if situation.stage is not Stage.CANCELED and situation.cause is not FailureCause.DISPUTED:
        yield Key.CONTACT


def _about_what_comes(situation: Situation) -> Iterator[Key]:
    stage, is_overdue = situation.stage, situation.age.is_overdue
    if situation.is_reversal and stage in (*_OPEN, Stage.ACCEPTED):
        yield Key.REVERSAL_PLANNED
    if situation.settled_at is not None and stage in (Stage.ACCEPTED, Stage.SUCCEEDED) and not situation.is_reversal:
        yield Key.SETTLED
    if stage in (*_OPEN, Stage.ACCEPTED) and situation.expected_by is not None and not is_overdue:
        yield Key.CONFIRM_BY
    if stage is Stage.SUCCEEDED and not situation.is_reversal:
        if is_overdue:
            yield OVERDUE[situation.family]
        elif situation.expected_by is not None:
            yield ARRIVES[situation.family]


def _about_the_reference(situation: Situation) -> Iterator[Key]:
    if situation.is_reversal or situation.stage not in (Stage.ACCEPTED, Stage.SUCCEEDED):
        return
    if situation.arn:
        yield Key.REFERENCE
    elif situation.stage is Stage.SUCCEEDED and situation.reference_state is ReferenceState.UNAVAILABLE:
        yield Key.REFERENCE_NONE
    elif situation.stage is Stage.SUCCEEDED and _reference_is_usual(situation):
        yield Key.REFERENCE_FOLLOWS


def _reference_is_usual(situation: Situation) -> bool:
    return situation.reference_state is not None or situation.family is MethodFamily.CARD


def _about_disputes(situation: Situation) -> Iterator[Key]:
    if situation.is_disputed and situation.cause is not FailureCause.DISPUTED:
        yield Key.DISPUTED
