"""What refunds are answered in: pages, results of registering, timelines, handled events, and errors."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from connectors.contract import Acknowledgement
from refunds.api.registering import INVALID
from refunds.api.serializers import (
    STAGES,
    STATUSES,
    UTC,
    MoneySerializer,
    RefundSerializer,
    TextOrNull,
    WordOrNull,
    money_or_null,
)  # fmt: skip
from refunds.facts import Source, Standing, State
from refunds.history import History, TimelineEntry
from refunds.services import Outcome, UnifiedEvent

SOURCES = [source.value for source in Source]
EVENT_KINDS = ["fact", "hint", "mark", "unreadable", "refused"]


class ErrorBody(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="For programs: invalid, scope_missing, not_found, ...")
    message = serializers.CharField(help_text="For people: what happened and what to do.")
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.CharField(), help_text="What is wrong with which field; dots lead into objects."
    )


class ErrorSerializer(serializers.Serializer[Any]):
    """The one shape of everything that goes wrong."""

    error = ErrorBody()


class RefundPageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last one.")
    results = RefundSerializer(many=True)


class RegistrationResultSerializer(serializers.Serializer[Any]):
    """What became of one item of a list."""

    index = serializers.IntegerField(help_text="Its place in the list that was sent, from 0.")
    outcome = serializers.ChoiceField([*map(str, Outcome), INVALID])
    http_status = serializers.IntegerField(help_text="What it would have been answered alone: 201, 200, 409 or 400.")
    refund = RefundSerializer(allow_null=True)
    error = ErrorBody(allow_null=True)


class RegistrationResultsSerializer(serializers.Serializer[Any]):
    """A result for each item, in order, and how many came to what."""

    created = serializers.IntegerField()
    known = serializers.IntegerField()
    conflict = serializers.IntegerField()
    invalid = serializers.IntegerField()
    results = RegistrationResultSerializer(many=True)


class AttributesSerializer(serializers.Serializer[Any]):
    """What observations carry besides the stage; what they do not carry is left out."""

    connector_transaction_id = serializers.CharField(required=False)
    other_transaction_id = serializers.CharField(required=False)
    merchant_refund_id = serializers.CharField(required=False)
    merchant_order_id = serializers.CharField(required=False)
    acquirer_reference_number = serializers.CharField(required=False)
    reference_state = serializers.CharField(required=False)
    kind = serializers.CharField(required=False)
    payment_method = serializers.CharField(required=False)
    refund_reason = serializers.CharField(required=False)
    pending_reason = serializers.CharField(required=False)
    refund_amount = MoneySerializer(required=False)
    error = serializers.DictField(child=serializers.CharField(), required=False)
    created_at = serializers.DateTimeField(required=False)


def attributes_as_json(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes under the names the refund's JSON uses."""
    shown: dict[str, Any] = dict(attributes)
    if amount := shown.pop("amount", None):
        shown["refund_amount"] = money_or_null(*amount)
    if error := shown.pop("error", None):
        shown["error"] = {"code": error[0], "message": error[1]}
    if reason := shown.pop("reason", None):
        shown["refund_reason"] = reason
    if created_at := shown.pop("created_at", None):
        shown["created_at"] = UTC().to_representation(dt.datetime.fromisoformat(created_at))
    return shown


class StateSerializer(serializers.Serializer[Any]):
    """What was shown of the refund."""

    status = serializers.ChoiceField(STATUSES)
    stage = serializers.ChoiceField(STAGES)
    native_status = TextOrNull()
    source = serializers.ChoiceField(SOURCES)  # type: ignore[assignment]
    as_of = UTC()
    received_at = UTC()
    returned_after_success = serializers.BooleanField()
    unrecognized_since = UTC()
    unrecognized_word = TextOrNull()
    registered_at = UTC()
    attributes = AttributesSerializer()


class ObservationSerializer(serializers.Serializer[Any]):
    """One thing we were told."""

    id = serializers.IntegerField()
    source = serializers.ChoiceField(SOURCES)  # type: ignore[assignment]
    standing = serializers.ChoiceField(
        [standing.value for standing in Standing], help_text="counted: it takes part in deciding what is shown."
    )
    stage = WordOrNull(STAGES, help_text="null where the processor's word is not known to this release.")
    native_status = TextOrNull()
    as_of = UTC(allow_null=False, help_text="When it was so, by the processor's clock.")
    received_at = UTC(allow_null=False, help_text="When we learned it.")
    last_as_of = UTC(allow_null=False, help_text="An answer that was repeated: as of when it last said so.")
    last_received_at = UTC(allow_null=False)
    count = serializers.IntegerField(
        allow_null=True, help_text="How often it was said; null where it was said again only after known_at."
    )
    event_id = TextOrNull()
    event_type = TextOrNull()
    shown = serializers.BooleanField(help_text="Whether this is the one that decides what is shown.")
    late = serializers.BooleanField(help_text="Whether something newer was already known when it came.")
    note = TextOrNull()
    attributes = AttributesSerializer()


class TimelineSerializer(serializers.Serializer[Any]):
    refund_id = serializers.IntegerField()
    known_at = UTC()
    state = StateSerializer(allow_null=True, help_text="null: nobody had said anything of it by then.")
    observations = ObservationSerializer(many=True, help_text="In the order in which they came.")


def timeline_as_json(refund_id: int, history: History, known_at: dt.datetime | None) -> dict[str, Any]:
    return {
        "refund_id": refund_id,
        "known_at": UTC().to_representation(known_at) if known_at else None,
        "state": StateSerializer(_state(history.state, history)).data if history.known else None,
        "observations": [_observation(entry, known_at) for entry in history.entries],
    }


def _state(state: State, history: History) -> dict[str, Any]:
    return {
        "status": history.status.value,
        "stage": state.stage.word,
        "native_status": state.native_status,
        "source": state.source.value,
        "as_of": state.as_of,
        "received_at": state.received_at,
        "returned_after_success": history.returned_after_success,
        "unrecognized_since": state.unrecognized_since,
        "unrecognized_word": state.unrecognized_word if state.unrecognized_since else "",
        "registered_at": history.registered_at,
        "attributes": attributes_as_json(state.attributes),
    }


def _observation(entry: TimelineEntry, known_at: dt.datetime | None) -> dict[str, Any]:
    observation = entry.observation
    repeated_later = known_at is not None and observation.last_received_at > known_at
    values = {name: getattr(observation, name) for name in _AS_KEPT}
    values |= {
        "stage": observation.stage_word if observation.stage else None,
        "last_as_of": observation.as_of if repeated_later else observation.last_as_of,
        "last_received_at": observation.received_at if repeated_later else observation.last_received_at,
        "count": None if repeated_later else observation.count,
        "shown": entry.shown,
        "late": entry.late,
        "note": entry.note,
        "attributes": attributes_as_json(observation.attributes),
    }
    return dict(ObservationSerializer(values).data)


_AS_KEPT = ("id", "source", "standing", "native_status", "as_of", "received_at", "event_id", "event_type")


class UnifiedEventSerializer(serializers.Serializer[Any]):
    """One event of the delivery, in our words."""

    event_type = TextOrNull(help_text="The processor's name of it.")
    kind = serializers.ChoiceField(EVENT_KINDS, help_text="fact: recorded. hint: the processor will be asked.")
    source_verified = serializers.BooleanField()
    native_status = TextOrNull()
    stage = WordOrNull(STAGES)
    note = TextOrNull()
    refund = RefundSerializer(allow_null=True)

    def to_representation(self, event: UnifiedEvent) -> dict[str, Any]:
        shown: dict[str, Any] = super().to_representation(event)
        if shown["refund"] is not None and event.answer:
            shown["refund"] |= {"live": event.live, "answer": {"code": event.answer, "message": event.note}}
        return shown


class AcknowledgementSerializer(serializers.Serializer[Any]):
    """What the system that received the webhook should answer the processor."""

    http_status = serializers.IntegerField()
    body = serializers.SerializerMethodField()
    content_type = serializers.CharField()

    def get_body(self, acknowledgement: Acknowledgement) -> str:
        return acknowledgement.body.decode("utf-8", "replace")


class HandledEventSerializer(serializers.Serializer[Any]):
    delivery_id = serializers.IntegerField(allow_null=True)
    duplicate = serializers.BooleanField(help_text="Whether this very delivery was kept before.")
    late = serializers.BooleanField(help_text="Older than the tolerance: it only makes us ask.")
    events = UnifiedEventSerializer(many=True)
    acknowledgement = AcknowledgementSerializer()
