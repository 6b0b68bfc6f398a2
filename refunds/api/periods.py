"""Periods: how a step is asked for, and how they, their roll-forward and their history are shown."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from refunds.api.inputs import Flag, FreeText, StrictSerializer, Text
from refunds.api.pagination import PageQuery
from refunds.api.serializers import UTC, TextOrNull
from refunds.reconciliation.closing.periods import pending_proposal
from refunds.reconciliation.closing.rollforward import BUCKETS, Kind
from refunds.reconciliation.models import Closing, ClosingState, Period, PeriodState, PeriodStep


class Day(serializers.DateField):
    """A day of the account's own calendar: it begins at its cut-off, in its zone."""

    default_error_messages = {
        "required": "is required", "null": "must not be null", "invalid": "must be a day such as 2026-03-01",
        "datetime": "must be a day such as 2026-03-01",
    }  # fmt: skip


class PeriodInput(StrictSerializer):
    account = Text(max_length=64)
    since = Day(required=False, help_text="Its first day; only for an account's first period.")
    until = Day(help_text="The first day after it.")


class CloseInput(StrictSerializer):
    accept_restated = Flag(
        required=False, default=False, help_text="Post what reads differently since the period before was closed."
    )


class ReasonInput(StrictSerializer):
    reason = FreeText(max_length=500, help_text="Why, in at least 10 characters.")


class ReopenAnswerInput(StrictSerializer):
    approve = Flag(help_text="true: open it again, as the second person; false: decline, or take it back.")


class PeriodQuery(PageQuery):
    account = Text(required=False, max_length=64)


class LateSerializer(serializers.Serializer[Any]):
    """Flows of an earlier time that post here. `since` is null for the time before the first period."""

    since = TextOrNull()
    until = serializers.CharField()
    kind = serializers.ChoiceField([kind.value for kind in Kind])
    minor_amount = serializers.IntegerField()
    flows = serializers.IntegerField()


class RollForwardSerializer(serializers.Serializer[Any]):
    """One currency. Amounts in minor units, with the sign with which they change what is in transit."""

    currency = serializers.CharField()
    opening = serializers.IntegerField()
    requested = serializers.IntegerField()
    settled = serializers.IntegerField()
    failed = serializers.IntegerField()
    returned = serializers.IntegerField()
    amount = serializers.IntegerField(help_text="Adjustment: the processor's amount is not the one asked for.")
    excess = serializers.IntegerField(help_text="Adjustment: settled beyond what is owed, or without a request.")
    cleared = serializers.IntegerField(help_text="Adjustment: rounding, write-offs, returns that were dealt with.")
    restated = serializers.IntegerField(help_text="Adjustment: what was known at the last close reads differently.")
    closing = serializers.IntegerField(help_text="The opening and all flows.")
    open_items = serializers.IntegerField(help_text="The same, from what each refund showed then.")
    difference = serializers.IntegerField()
    items = serializers.IntegerField(help_text="How many are open.")
    ages = serializers.ListField(child=serializers.IntegerField(), help_text=f"Open: {', '.join(BUCKETS)} days.")
    late = LateSerializer(many=True)


class BlockerSerializer(serializers.Serializer[Any]):
    what = serializers.CharField()
    to_do = serializers.CharField()
    currency = serializers.CharField()
    items = serializers.ListField(child=serializers.CharField(), help_text="The refunds that make it, up to 20.")
    more = serializers.IntegerField(help_text="How many more there are.")


class ClosingSerializer(serializers.Serializer[Any]):
    """One attempt to close."""

    state = serializers.ChoiceField(ClosingState.values)
    version = serializers.IntegerField(allow_null=True)
    run = serializers.IntegerField(source="run_id")
    known_until = UTC(allow_null=False)
    decided_until = UTC(allow_null=False)
    asked_by = serializers.CharField(source="asked_by.username")
    asked_at = UTC(allow_null=False)
    finished_at = UTC()
    digest = TextOrNull(help_text="SHA-256 of the manifest.")
    rollforward = RollForwardSerializer(many=True)
    blockers = BlockerSerializer(many=True)


class EventSerializer(serializers.Serializer[Any]):
    step = serializers.ChoiceField(PeriodStep.values)
    by = serializers.CharField(source="by.username")
    at = UTC(allow_null=False)
    reason = TextOrNull()
    road = serializers.CharField(source="source", help_text="By page, api or command.")


class PeriodSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    account = serializers.CharField(source="account.name")
    since = UTC(allow_null=False)
    until = UTC(allow_null=False)
    state = serializers.ChoiceField(PeriodState.values)
    version = serializers.SerializerMethodField(help_text="Of the manifest that holds; null while it is open.")
    digest = serializers.SerializerMethodField()

    def get_version(self, period: Period) -> int | None:
        return period.closing.version if period.closing else None

    def get_digest(self, period: Period) -> str | None:
        return period.closing.digest if period.closing else None


class PeriodPageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last one.")
    results = PeriodSerializer(many=True)


class PeriodDetailSerializer(PeriodSerializer):
    """A period with its newest attempt to close, a proposal to reopen it that waits, and its history."""

    closing = serializers.SerializerMethodField()
    proposal = serializers.SerializerMethodField()
    events = serializers.SerializerMethodField()

    @extend_schema_field(ClosingSerializer(allow_null=True))
    def get_closing(self, period: Period) -> Any:
        last: Closing | None = period.closings.select_related("asked_by").order_by("-id").first()
        return ClosingSerializer(last).data if last else None

    @extend_schema_field(EventSerializer(allow_null=True))
    def get_proposal(self, period: Period) -> Any:
        waiting = pending_proposal(period)
        return EventSerializer(waiting).data if waiting else None

    @extend_schema_field(EventSerializer(many=True))
    def get_events(self, period: Period) -> Any:
        return EventSerializer(period.events.select_related("by"), many=True).data
