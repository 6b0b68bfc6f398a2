"""Exports over the API: how one is asked for, and how it is shown."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any

from rest_framework import serializers

from connectors.contract import Status
from refunds.api.errors import Invalid
from refunds.api.inputs import Flag, StrictSerializer, Text, Word
from refunds.api.runs import accounts_named
from refunds.api.serializers import UTC, TextOrNull
from refunds.exports.kinds import KINDS
from refunds.exports.kinds.chosen_refunds import MOST_CHOSEN, ChosenRefunds
from refunds.exports.kinds.report_filter import Basis, Breaks, Period, ReportFilter
from refunds.exports.models import Export, ExportState, Format
from refunds.identifiers import YEARS
from refunds.models import ApiToken


class Day(serializers.DateField):
    """A day, written 2026-03-14."""

    default_error_messages = {
        "required": "is required", "null": "must not be null", "invalid": "must be a day such as 2026-03-14",
    }  # fmt: skip

    def to_internal_value(self, value: Any) -> dt.date:
        try:
            day = dt.date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
        except ValueError:
            day = None
        if day is None or day.year not in YEARS:
            self.fail("invalid")
        return day


class Zone(Text):
    default_error_messages = {"unknown": "must be a time zone such as UTC or Europe/Berlin"}

    def to_internal_value(self, data: Any) -> str:
        name = super().to_internal_value(data)
        if name not in zoneinfo.available_timezones():
            self.fail("unknown")
        return name


class ReportFilterInput(StrictSerializer):
    """Which refunds: days in a zone, both of them inside, by one of a refund's dates."""

    basis = Word(choices=Basis.values, required=False, default=Basis.CREATED)
    since = Day(help_text="The first day.")
    until = Day(help_text="The last day; it belongs to the period.")
    zone = Zone(required=False, default="UTC", help_text="Where days begin, and whose time is written.")
    status = serializers.ListField(
        child=Word(choices=[status.value for status in Status]), required=False, max_length=3
    )
    accounts = serializers.ListField(
        child=Text(max_length=64), required=False, max_length=1000,
        help_text="Names of connector accounts; all this token may use, if left out.",
    )  # fmt: skip
    breaks = Word(choices=[choice for choice in Breaks.values if choice], required=False)

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if values["since"] > values["until"]:
            raise serializers.ValidationError({"until": "the period ends before it begins"})
        return values


class ChosenFilterInput(StrictSerializer):
    """Refunds by their numbers here."""

    refunds = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1), min_length=1, max_length=MOST_CHOSEN,
        help_text="Each refund's `id`.",
    )  # fmt: skip
    zone = Zone(required=False, default="UTC")


class BreaksFilterInput(StrictSerializer):
    """The breaks of one run."""

    run = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    zone = Zone(required=False, default="UTC")


class PeriodFilterInput(StrictSerializer):
    """What one period was closed with."""

    period = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    zone = Zone(required=False, default="UTC")


class ExportInput(StrictSerializer):
    """What is to be exported: the filters of the one that `report` names."""

    report = Word(choices=list(KINDS))
    format = Word(choices=Format.values, required=False, default=Format.CSV)
    refunds = ReportFilterInput(required=False)
    chosen = ChosenFilterInput(required=False)
    breaks = BreaksFilterInput(required=False)
    rollforward = PeriodFilterInput(required=False)
    open_items = PeriodFilterInput(required=False)
    only_new = Flag(
        required=False, default=False,
        help_text="Only rows new or changed since this token's last download of the same definition.",
    )  # fmt: skip

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        given = {name for name in KINDS if name in values}
        if given != {values["report"]}:
            raise serializers.ValidationError({values["report"]: "is required, and no other report's filters"})
        return values


def filters_of(values: dict[str, Any], token: ApiToken) -> dict[str, Any]:
    """The filters of a valid ExportInput, as they are kept."""
    if values["report"] == ChosenRefunds.name:
        return ChosenRefunds.filters_of(values["chosen"]["refunds"], values["chosen"]["zone"])
    if values["report"] != "refunds":
        return dict(values[values["report"]])
    given = values["refunds"]
    period = Period(Basis(given["basis"]), given["since"], given["until"], zoneinfo.ZoneInfo(given["zone"]))
    names = given.get("accounts")
    try:
        accounts = [account.pk for account in accounts_named(token, names)] if names else []
    except Invalid as error:
        raise Invalid({"refunds.accounts": error.fields["accounts"]}) from None
    statuses = tuple(Status(status) for status in given.get("status", []))
    return ReportFilter(period, statuses, tuple(accounts), Breaks(given.get("breaks", ""))).as_json()


class ExportSerializer(serializers.Serializer[Any]):
    """One export, and its file once it is done."""

    id = serializers.IntegerField()
    report = serializers.ChoiceField(list(KINDS), source="kind")
    format = serializers.ChoiceField(Format.values)
    state = serializers.ChoiceField(ExportState.values)
    percent = serializers.IntegerField()
    accounts = serializers.SerializerMethodField()
    only_new = serializers.BooleanField()
    previous = serializers.IntegerField(source="previous_id", allow_null=True, help_text="Rows are new since this one.")
    rows = serializers.IntegerField()
    name = TextOrNull(help_text="Of the file.")
    size_bytes = serializers.IntegerField()
    sha256 = TextOrNull(source="digest")
    taken_at = UTC(help_text="The moment its rows are from, all of them.")
    created_at = UTC(allow_null=False)
    finished_at = UTC()
    expires_at = UTC(help_text="Until when it can be downloaded.")
    error = TextOrNull()

    def get_accounts(self, export: Export) -> list[str]:
        return [account.name for account in export.accounts.all()]


class ExportPageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last one.")
    results = ExportSerializer(many=True)
