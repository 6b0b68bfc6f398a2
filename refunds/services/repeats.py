"""Successes that repeat what was signed before a failure.

Where a signature does not cover the time, a captured delivery could be posted again with a later date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from connectors.contract import Stage, Status
from refunds import facts
from refunds.facts import Source, State
from refunds.models import Observation


def repeated_since(state: State, evidence: Iterable[Observation]) -> dt.datetime | None:
    """Since when the shown success rests on a signed tuple that had been used before the refund failed. `evidence` is
    every counted observation of the refund."""
    if not succeeded_after_failure(state):
        return None
    evidence = list(evidence)
    winner = next((o for o in evidence if o.key == state.winning_key), None)
    if winner is None or not winner.signed_digest:
        return None
    used_before = any(o.signed_digest == winner.signed_digest and o.key < winner.key for o in evidence)
    success = [o for o in evidence if o.stage == Stage.SUCCEEDED and o.source == Source.REPORT]
    confirmed = any(o.key > state.first_failure_key for o in success)
    return winner.as_of if used_before and not confirmed else None


def succeeded_after_failure(state: State) -> bool:
    shows_success = facts.STATUS_OF[state.stage] is Status.SUCCEEDED
    return shows_success and "" < state.first_failure_key < state.winning_key
