"""What a change of an Adyen modification causes: notifications, and lines in the accounting journal.

A word is an event code, with ":false" where it did not succeed and ":refund" or ":cancel" where the code alone does
not say what was done.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

from connectors.sandbox import identifiers
from connectors.sandbox.config import ADYEN
from connectors.sandbox.model import Booking, Refund, State, Step

if TYPE_CHECKING:
    from connectors.sandbox.world import World

_CARRIES_REFERENCE = ("REFUND", "CANCEL_OR_REFUND:refund", "REFUND_WITH_DATA")


def apply(world: World, refund: Refund, step: Step, at: dt.datetime) -> None:
    """Let one step happen to the modification."""
    if step.kind == "booking":
        refund.bookings.append(Booking(at, step.word))
    elif step.kind == "dispute":
        world.payments[refund.payment_id].disputed = True
        emit(world, refund, "CHARGEBACK", at)
    elif step.kind == "reference":
        refund.history.append(replace(refund.state, at=at, reference=refund.arn, event_ids=()))
    else:
        _change(world, refund, step, at)


def _change(world: World, refund: Refund, step: Step, at: dt.datetime) -> None:
    known = refund.state.reference if refund.history else ""
    if step.word in _CARRIES_REFERENCE and refund.method == "card":
        known = refund.arn
    refund.history.append(State(at, step.word, step.reason, step.pending_reason, known))
    if step.word != "received":
        emit(world, refund, step.word.partition(":")[0], at)


def emit(world: World, refund: Refund | None, event_code: str, at: dt.datetime, detail: str = "") -> str:
    """Write a notification down. Its id is ours: Adyen's carry none."""
    number = world.next_number("event")
    event_id = "ADY" + identifiers.psp_reference(identifiers.seeded(world.seed, "event", number))
    if refund is not None and event_code != "CHARGEBACK":
        refund.history[-1] = replace(refund.state, event_ids=(event_id,))
    world.emit(refund, event_code, at, processor=ADYEN, event_id=event_id, number=number, detail=detail)
    return event_id
