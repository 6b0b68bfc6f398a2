"""What was known of a refund, and when: its observations, folded by the merge rule."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from connectors.contract import Stage, Status
from refunds import facts
from refunds.facts import CLAIM_KEY, Observed, Source, Standing, State
from refunds.models import Observation, Refund


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One observation; `shown` where it is the winner, `late` where something newer was already known when it came."""

    observation: Observation
    shown: bool
    late: bool

    @property
    def note(self) -> str:
        """What is unusual about it, for people; empty where nothing is."""
        standing = Standing(self.observation.standing)
        if standing is Standing.COUNTED:
            return "Came late: something newer was already known." if self.late else ""
        return _NOTES[standing]


_NOTES = {
    Standing.HELD: "Dated in the future: held until then.",
    Standing.UNRECOGNIZED: "A word this release does not know: the state was kept.",
    Standing.UNCONFIRMED: "Would step back from a final status, or is dated in the future: not shown unless a second "
    "answer says so.",
}


@dataclass(frozen=True, slots=True)
class History:
    """The observations received by a moment, oldest first, and the state they add up to."""

    entries: list[TimelineEntry]
    state: State
    status: Status
    returned_after_success: bool
    registered_at: dt.datetime | None

    @property
    def known(self) -> bool:
        """Whether anybody had said anything of the refund by then."""
        return bool(self.entries) or self.registered_at is not None


def timeline(refund: Refund, *, known_at: dt.datetime | None = None) -> History:
    """The refund's history; with `known_at`, only what we had been told by then."""
    observations = refund.observations.order_by("received_at", "id")
    if known_at is not None:
        observations = observations.filter(received_at__lte=known_at)
    kept = list(observations)
    registered_at = refund.registered_at
    if known_at is not None and registered_at is not None and registered_at > known_at:
        registered_at = None
    state = fold(kept, start=_claim(refund, registered_at), known_at=known_at)
    account = refund.account
    status = facts.project(state.stage, accepted_is_success=account.accepted_is_success)
    returned = state.returned_after_success(accepted_is_success=account.accepted_is_success)
    return History(_entries(kept, state, known_at), state, status, returned, registered_at)


def fold(observations: list[Observation], *, start: State | None = None, known_at: dt.datetime | None = None) -> State:
    """The state that the log of observations adds up to."""
    said = [o for observation in observations for o in _said_by(observation, known_at)]
    return facts.merge(start or State(), said)


def _said_by(observation: Observation, known_at: dt.datetime | None) -> list[Observed]:
    return [o for o in observation.as_observed() if known_at is None or o.received_at <= known_at]


def _claim(refund: Refund, registered_at: dt.datetime | None) -> State:
    stage = {"SUCCEEDED": Stage.SUCCEEDED, "FAILED": Stage.FAILED}.get(refund.claimed_status, Stage.REQUESTED)
    return State(stage=stage if registered_at else Stage.REQUESTED, source=Source.CLAIM, winning_key=CLAIM_KEY)


def _entries(observations: list[Observation], state: State, known_at: dt.datetime | None) -> list[TimelineEntry]:
    entries, newest = [], ""
    for observation in observations:
        keys = [o.key for o in _said_by(observation, known_at)]
        late = bool(observation.first_key) and observation.first_key < newest
        entries.append(TimelineEntry(observation, shown=state.winning_key in keys, late=late))
        if observation.standing == Standing.COUNTED:
            newest = max(newest, observation.first_key)
    return entries
