"""Pure: the merge rule. Which observation of a refund wins, whatever order they came in.

Webhooks come late, twice, out of order or never, polls race with them, and a success can fail weeks later. So every
fact gets one immutable key, and the state that is shown is the fact with the greatest key:

    (as_of, stage rank, source rank, digest of the assertion)      as one fixed-width ASCII string

Max over a total order: any order, any duplicates and any number of workers come to the same state. Attributes (ARN,
failure reason, amount, ...) merge one by one by the same key among the facts that carry them. What does not take part
in the merge has no key: a word we do not know, and a step backwards that nobody has confirmed yet.
"""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.contract import Answer, Fact, Stage, Status

AttributeValue = Any
"""What JSON can hold: an attribute is stored with its observation."""

FUTURE_TOLERANCE = dt.timedelta(seconds=300)
CONFIRM_AFTER = dt.timedelta(seconds=60)
_CLOSE_CALL = dt.timedelta(seconds=10)
_DATE_HEADER_SLACK = dt.timedelta(seconds=5)
_NO_DATE_SLACK = dt.timedelta(seconds=60)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)

_LAST_MICROSECOND = 10**17 - 1
KEY_LENGTH = 35
CLAIM_KEY = "0" * KEY_LENGTH
"""The least key: what our own side says at registration is no evidence, so any evidence beats it."""
OWN_NAME_KEY = "9" * KEY_LENGTH
"""The greatest key: the merchant is the authority on its own ids, so the processor's echo never replaces them."""


class Source(enum.StrEnum):
    """By which road a fact came. The rank only breaks ties."""

    CLAIM = "claim"
    REPORT = "report"
    LIST = "list"
    FEED = "feed"
    WEBHOOK = "webhook"
    GET = "get"

    @property
    def rank(self) -> int:
        return _SOURCE_RANKS[self]

    @property
    def was_asked(self) -> bool:
        """Whether we asked for the object's state now, rather than being told of an event."""
        return self in (Source.GET, Source.LIST)


# An event is the same assertion whether it was posted to us or read from the processor's feed.
_SOURCE_RANKS = {
    Source.CLAIM: 0, Source.REPORT: 1, Source.LIST: 2, Source.FEED: 3, Source.WEBHOOK: 3, Source.GET: 4,
}  # fmt: skip


class Standing(enum.StrEnum):
    """Whether an observation takes part in the merge, and if not, why not."""

    COUNTED = "counted"
    HELD = "held"
    """Dated in the future; an event is counted when its time has come, an answer is asked for again."""
    UNRECOGNIZED = "unrecognized"
    """The processor used a word this release does not know."""
    UNCONFIRMED = "unconfirmed"
    """An answer that would step back from a final status; counted once a second answer says the same."""


STATUS_OF: Mapping[Stage, Status] = {
    Stage.REQUESTED: Status.PENDING,
    Stage.REQUIRES_ACTION: Status.PENDING,
    Stage.PENDING: Status.PENDING,
    Stage.ACCEPTED: Status.SUCCEEDED,
    Stage.VOIDED: Status.SUCCEEDED,
    Stage.CANCELED: Status.FAILED,
    Stage.SUCCEEDED: Status.SUCCEEDED,
    Stage.FAILED: Status.FAILED,
    Stage.RETURNED: Status.FAILED,
}


def project(stage: Stage, *, accepted_is_success: bool, settled: bool = False) -> Status:
    """The status people see for a stage. Only `accepted` depends on the account's option, or on a settlement line."""
    if stage is Stage.ACCEPTED and not accepted_is_success and not settled:
        return Status.PENDING
    return STATUS_OF[stage]


# When it was so.


def as_of_event(fact: Fact, *, received_at: dt.datetime) -> dt.datetime:
    """A webhook or feed item is dated by the processor; one without a readable date by our receiving it."""
    return fact.occurred_at or received_at


def as_of_answer(fact: Fact, answer: Answer[Any]) -> dt.datetime:
    """A Get or list answer was true when the processor read its database: before its Date header, by its clock."""
    round_trip = dt.timedelta(seconds=answer.round_trip_seconds)
    if answer.date is not None:
        latest_sure = answer.date - round_trip - _DATE_HEADER_SLACK
    else:
        latest_sure = answer.received_at - round_trip - _NO_DATE_SLACK
    return max(fact.occurred_at, latest_sure) if fact.occurred_at else latest_sure


# The key.


def key(as_of: dt.datetime, stage: Stage, source: Source, assertion: str) -> str:
    """The place in the order: 17 digits of microseconds, stage rank, source rank, 16 hex digits of the assertion."""
    # A year past 5138 has no room in the key; such a fact is held for good, wherever it stands.
    microseconds = min(max((as_of - _EPOCH) // _MICROSECOND, 0), _LAST_MICROSECOND)
    return f"{microseconds:017d}{stage.value}{source.rank}{assertion}"


def settlement_key(moment: dt.datetime, stage: Stage, *, settled: bool) -> str:
    """The place of a change of what is shown that settlement lines made; no fact has it, and none competes with it."""
    said = hashlib.blake2b(f"settled: {settled}".encode(), digest_size=8).hexdigest()
    return key(moment, stage, Source.CLAIM, said)


def assertion_digest(fact: Fact, attributes: Mapping[str, AttributeValue]) -> str:
    """What the fact says, without when and by which road: facts of one digest say the same."""
    said = f"{fact.native_status}\x1f{fact.stage}\x1f" + "\x1f".join(f"{k}={v}" for k, v in attributes.items())
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


_TEXT_ATTRIBUTES = (
    "connector_transaction_id",
    "other_transaction_id",
    "merchant_refund_id",
    "merchant_order_id",
    "acquirer_reference_number",
    "reference_state",
    "kind",
    "payment_method",
    "reason",
    "pending_reason",
)


def attributes_of(fact: Fact) -> dict[str, AttributeValue]:
    """What the fact carries besides its stage, as JSON values in a fixed order; what it does not carry is absent."""
    carried: dict[str, AttributeValue] = {
        name: str(value) for name in _TEXT_ATTRIBUTES if (value := getattr(fact, name))
    }
    if fact.amount is not None:
        carried["amount"] = [fact.amount.minor_amount, fact.amount.currency]
    if fact.error_code or fact.error_message:
        carried["error"] = [fact.error_code, fact.error_message]
    if fact.created_at is not None:
        carried["created_at"] = fact.created_at.isoformat()
    return carried


# Observations and the state they add up to.


@dataclass(frozen=True, slots=True)
class Observed:
    """A fact with its place in the order. `key` is empty where it has none."""

    stage: Stage | None
    native_status: str
    source: Source
    as_of: dt.datetime
    received_at: dt.datetime
    assertion: str
    key: str
    standing: Standing
    identity: str
    attributes: Mapping[str, AttributeValue]
    event_id: str = ""
    event_type: str = ""
    signed_digest: str = ""


def observe(fact: Fact, *, source: Source, as_of: dt.datetime, received_at: dt.datetime) -> Observed:
    """Give a fact its key. Its identity is the event that carried it, so the same event twice is one observation."""
    attributes = attributes_of(fact)
    assertion = assertion_digest(fact, attributes)
    if fact.stage is None:
        place, standing = "", Standing.UNRECOGNIZED
    else:
        place = key(as_of, fact.stage, source, assertion)
        standing = Standing.HELD if as_of > received_at + FUTURE_TOLERANCE else Standing.COUNTED
    unique = fact.event_id or f"{source}:{place or as_of.isoformat() + assertion}"
    return Observed(
        stage=fact.stage,
        native_status=fact.native_status,
        source=source,
        as_of=as_of,
        received_at=received_at,
        assertion=assertion,
        key=place,
        standing=standing,
        identity=hashlib.blake2b(unique.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest(),
        attributes=attributes,
        event_id=fact.event_id,
        event_type=fact.event_type,
        signed_digest=fact.signed_digest,
    )


@dataclass(frozen=True, slots=True)
class State:
    """What is shown of a refund. `first_*_key` are the least keys of each kind of evidence, so nothing is remembered
    from the order in which it came."""

    winning_key: str = CLAIM_KEY
    stage: Stage = Stage.REQUESTED
    native_status: str = ""
    source: Source = Source.CLAIM
    as_of: dt.datetime | None = None
    received_at: dt.datetime | None = None
    first_success_key: str = ""
    first_accepted_key: str = ""
    first_failure_key: str = ""
    unrecognized_at: dt.datetime | None = None
    unrecognized_word: str = ""
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    attribute_keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def unrecognized_since(self) -> dt.datetime | None:
        """Since when the processor uses a word we do not know; None once a later recognised fact came."""
        if self.unrecognized_at is None or (self.as_of is not None and self.as_of >= self.unrecognized_at):
            return None
        return self.unrecognized_at

    def returned_after_success(self, *, accepted_is_success: bool) -> bool:
        """The customer may have been told it worked: it is FAILED now, and an earlier observation said SUCCEEDED."""
        if STATUS_OF[self.stage] is not Status.FAILED:
            return False
        successes = [self.first_success_key, self.first_accepted_key if accepted_is_success else ""]
        return any(first and first < self.winning_key for first in successes)


def merge(state: State, observations: Iterable[Observed]) -> State:
    """The state after these observations too. Order, duplicates and batching make no difference."""
    merged = state
    attributes, keys = dict(state.attributes), dict(state.attribute_keys)
    for observed in observations:
        if observed.standing is Standing.UNRECOGNIZED:
            merged = _with_unknown_word(merged, observed)
        elif observed.standing is Standing.COUNTED:
            merged = _with_counted(merged, observed)
        else:
            continue
        place = observed.key or _place_without_stage(observed)
        for name, value in observed.attributes.items():
            if place > keys.get(name, ""):
                attributes[name], keys[name] = value, place
    return replace(merged, attributes=attributes, attribute_keys=keys)


def _place_without_stage(observed: Observed) -> str:
    """Where the attributes of a fact with an unknown word stand: the word is strange, the amount beside it is not."""
    microseconds = min(max((observed.as_of - _EPOCH) // _MICROSECOND, 0), _LAST_MICROSECOND)
    return f"{microseconds:017d}0{observed.source.rank}{observed.assertion}"


def _with_counted(state: State, observed: Observed) -> State:
    changes: dict[str, Any] = {}
    evidence = _EVIDENCE.get(observed.stage)
    if evidence is not None:
        first = getattr(state, evidence)
        if not first or observed.key < first:
            changes[evidence] = observed.key
    if observed.key > state.winning_key or (observed.key == state.winning_key and _told_before(observed, state)):
        changes.update(
            winning_key=observed.key,
            stage=observed.stage,
            native_status=observed.native_status,
            source=observed.source,
            as_of=observed.as_of,
            received_at=observed.received_at,
        )
    return replace(state, **changes) if changes else state


def _told_before(observed: Observed, state: State) -> bool:
    """Two events of one moment that say the same have the same key: the one that was here first is the evidence."""
    if state.received_at is None:
        return False
    return (observed.received_at, observed.source) < (state.received_at, state.source)


_EVIDENCE: Mapping[Stage | None, str] = {
    Stage.SUCCEEDED: "first_success_key",
    Stage.VOIDED: "first_success_key",
    Stage.ACCEPTED: "first_accepted_key",
    Stage.CANCELED: "first_failure_key",
    Stage.FAILED: "first_failure_key",
    Stage.RETURNED: "first_failure_key",
}


def _with_unknown_word(state: State, observed: Observed) -> State:
    known = (state.unrecognized_at, state.unrecognized_word) if state.unrecognized_at else (_EPOCH, "")
    if (observed.as_of, observed.native_status) <= known:
        return state
    return replace(state, unrecognized_at=observed.as_of, unrecognized_word=observed.native_status)


# Doubt.


def steps_back(state: State, observed: Observed) -> bool:
    """Whether showing this answer would take a final status back to PENDING: perhaps a replica that lags behind."""
    return (
        observed.source.was_asked
        and observed.standing is Standing.COUNTED
        and observed.key > state.winning_key > CLAIM_KEY
        and STATUS_OF[state.stage] is not Status.PENDING
        and observed.stage is not None
        and STATUS_OF[observed.stage] is Status.PENDING
    )


def unconfirmed(observed: Observed) -> Observed:
    """The same answer, kept but not counted until a second one says so."""
    return replace(observed, key="", standing=Standing.UNCONFIRMED)


def needs_confirmation(before: State, observed: Observed) -> bool:
    """Whether to ask the processor again soon, because what it said does not sit well with what we knew."""
    if observed.standing is Standing.UNCONFIRMED:
        return True
    if observed.standing is Standing.HELD and observed.source.was_asked:
        # As long as our clocks disagree, asking every minute would only collect more answers from the future.
        return False
    if observed.standing is not Standing.COUNTED or observed.stage is None:
        # An answer that is odd in the same way again will not get better by asking every minute.
        return not observed.source.was_asked or before.unrecognized_since is None
    if before.as_of is None or STATUS_OF[observed.stage] is STATUS_OF[before.stage]:
        return False
    close_call = abs(observed.as_of - before.as_of) <= _CLOSE_CALL
    lost = observed.key < before.winning_key
    answer_lost_to_event = lost and observed.source.was_asked and not before.source.was_asked
    final_lost_to_answer = lost and before.source.was_asked and STATUS_OF[observed.stage] is not Status.PENDING
    return close_call or answer_lost_to_event or final_lost_to_answer
