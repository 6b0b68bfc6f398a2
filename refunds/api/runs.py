"""Runs of reconciliation: how they are asked for, and how they and their breaks are shown."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from connectors.models import ConnectorAccount
from refunds.api.errors import Invalid
from refunds.api.inputs import StrictSerializer, Text, Time, Word
from refunds.api.pagination import PageQuery
from refunds.api.serializers import UTC, MoneySerializer, TextOrNull
from refunds.models import ApiToken
from refunds.permissions import accounts_of
from refunds.reconciliation.ageing import AgeBucket
from refunds.reconciliation.codes import Code, Family, Owner, Severity
from refunds.reconciliation.ladder import COMBINATIONS
from refunds.reconciliation.models import Break, BreakState, Run, RunState

_CODES = [code.label for code in Code]


class RunInput(StrictSerializer):
    """What is to be compared. It corrects nothing, and may be asked for again."""

    since = Time(help_text="The period's first moment.")
    until = Time(help_text="The first moment after it; at most 370 days later.")
    accounts = serializers.ListField(
        child=Text(max_length=64), required=False, max_length=1000,
        help_text="Names of connector accounts; all this token may use, if left out.",
    )  # fmt: skip
    parties = Word(choices=COMBINATIONS, required=False, help_text="Those there are, if left out.")
    as_of = Time(required=False, help_text="Only what had been received by then; now, if left out.")


class BreakQuery(PageQuery):
    code = Word(required=False, choices=_CODES)


class SummaryLineSerializer(serializers.Serializer[Any]):
    code = serializers.ChoiceField(_CODES)
    name = serializers.CharField()
    breaks = serializers.IntegerField()
    at_risk = MoneySerializer(allow_null=True)


class RunSerializer(serializers.Serializer[Any]):
    """One run, and what it came to."""

    id = serializers.IntegerField()
    state = serializers.ChoiceField(RunState.values)
    since = UTC(allow_null=False)
    until = UTC(allow_null=False)
    accounts = serializers.SerializerMethodField()
    parties = serializers.ChoiceField(COMBINATIONS)
    as_of = UTC(allow_null=False)
    rule_version = serializers.IntegerField()
    percent = serializers.IntegerField()
    step = TextOrNull(help_text="What it is at.")
    items = serializers.IntegerField(help_text="What was compared.")
    matches = serializers.IntegerField(help_text="Pairs of two parties' rows; a refund that all three know has two.")
    suggested = serializers.IntegerField(help_text="Matches a person has to agree to.")
    breaks = serializers.IntegerField()
    summary = serializers.SerializerMethodField()
    created_at = UTC(allow_null=False)
    finished_at = UTC()
    error = TextOrNull()

    def get_accounts(self, run: Run) -> list[str]:
        return [account.name for account in run.accounts.all()]

    @extend_schema_field(SummaryLineSerializer(many=True))
    def get_summary(self, run: Run) -> list[dict[str, Any]]:
        return [
            {"code": line["code"], "name": line["name"], "breaks": line["breaks"],
             "at_risk": money_or_none(line["minor_amount"], line["currency"])}
            for line in run.summary
        ]  # fmt: skip


class RunPageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last one.")
    results = RunSerializer(many=True)


class BreakSerializer(serializers.Serializer[Any]):
    """One difference. `identity` is the same for the same difference in every run."""

    id = serializers.IntegerField()
    identity = serializers.CharField()
    code = serializers.SerializerMethodField()
    name = serializers.SerializerMethodField()
    family = serializers.SerializerMethodField()
    severity = serializers.SerializerMethodField()
    owner = serializers.SerializerMethodField()
    state = serializers.ChoiceField(BreakState.values)
    parties = serializers.CharField()
    account = serializers.CharField(source="account.name")
    refund_id = serializers.IntegerField(allow_null=True)
    connector_refund_id = serializers.SerializerMethodField()
    entry_id = serializers.IntegerField(allow_null=True)
    line_id = serializers.IntegerField(allow_null=True)
    payout_id = serializers.IntegerField(allow_null=True)
    at_risk = serializers.SerializerMethodField()
    expected_at = UTC(allow_null=False)
    age = serializers.SerializerMethodField(help_text="How long it is due, at the run's as_of.")
    detail = TextOrNull()

    def get_code(self, found: Break) -> str:
        return Code(found.code).label

    def get_name(self, found: Break) -> str:
        return Code(found.code).name

    def get_family(self, found: Break) -> Family:
        return Code(found.code).about.family

    def get_severity(self, found: Break) -> Severity:
        return Code(found.code).about.severity

    def get_owner(self, found: Break) -> Owner:
        return Code(found.code).about.owner

    def get_connector_refund_id(self, found: Break) -> str | None:
        return found.refund.connector_refund_id if found.refund else None

    @extend_schema_field(MoneySerializer(allow_null=True))
    def get_at_risk(self, found: Break) -> dict[str, Any] | None:
        return money_or_none(found.minor_amount, found.currency)

    def get_age(self, found: Break) -> str:
        return AgeBucket(found.age).label


class BreakPageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last one.")
    results = BreakSerializer(many=True)


def money_or_none(minor_amount: int, currency: str) -> dict[str, Any] | None:
    """None where it is about no amount, as a row nobody could read."""
    return {"minor_amount": minor_amount, "currency": currency} if currency else None


def accounts_named(token: ApiToken, names: list[str] | None) -> list[ConnectorAccount]:
    """The accounts that are to be compared; Invalid names those that are not there for this token."""
    found = list(accounts_of(token).filter(name__in=names)) if names is not None else list(accounts_of(token))
    if names is not None and (missing := sorted(set(names) - {account.name for account in found})):
        raise Invalid({"accounts": f"there is no account {', '.join(missing)} that this token may use"})
    return found


def period_of(values: dict[str, Any]) -> dict[str, Any]:
    """What `start_run` is asked with."""
    return {
        "since": values["since"],
        "until": values["until"],
        "parties": values.get("parties", ""),
        "as_of": values.get("as_of"),
    }
