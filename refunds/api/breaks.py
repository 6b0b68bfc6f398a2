"""Breaks and decisions about them: what may be asked and said, and how they are shown."""

from __future__ import annotations

from typing import Any

from django.core import signing
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from refunds.api.errors import ApiError, Conflict, Invalid
from refunds.api.inputs import FreeText, Identifier, QueryInteger, StrictSerializer, Text, Word
from refunds.api.pagination import NO_CURSOR, PageQuery
from refunds.api.runs import BreakSerializer, money_or_none
from refunds.api.serializers import UTC, MoneySerializer, TextOrNull
from refunds.reconciliation import deciding
from refunds.reconciliation.ageing import AgeBucket
from refunds.reconciliation.choosing import CODE_OF, STATES, Place, Wanted, age_of
from refunds.reconciliation.codes import Family, Owner, Severity
from refunds.reconciliation.deciding.previews import MOST_AT_ONCE
from refunds.reconciliation.models import BreakDecision, BreakState, DecisionGroup, GroupState
from refunds.reconciliation.reasons import LONGEST_TEXT, OF_GROUPS, REASONS, Act

_SALT = "refunds.api.breaks.cursor"
_AGES = [bucket.label for bucket in AgeBucket]
ACTS = [str(act) for act in Act]
ACTS_OF_A_BREAK = ["resolve", "write_off", "force", "void", "reopen"]
ACTS_OF_A_GROUP = [str(act) for act in OF_GROUPS]
_REASONS = [reason.code for reason in REASONS]


class _Filters(StrictSerializer):
    """What is left out filters nothing."""

    code = Word(required=False, choices=list(CODE_OF))
    family = Word(required=False, choices=[str(each) for each in Family])
    severity = Word(required=False, choices=[str(each) for each in Severity])
    owner = Word(required=False, choices=[str(each) for each in Owner])
    age = Word(required=False, choices=_AGES, help_text="At the run's as_of.")
    account = Text(required=False, max_length=64)
    currency = Text(required=False, max_length=3)
    state = Word(required=False, choices=STATES, help_text="`waiting`: for a second person.")
    text = Text(required=False, max_length=255, help_text="An id of anything it is about, or words of its detail.")


class OpenBreakQuery(_Filters, PageQuery):
    run = QueryInteger(required=False, min_value=1, help_text="Of this run, however old; else of the newest ones.")
    refund_id = QueryInteger(required=False, min_value=1)
    identity = Identifier(required=False, max_length=160)


class PreviewInput(_Filters):
    """Which breaks are meant: by a filter, by their identities, or both."""

    run = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    identities = serializers.ListField(child=Identifier(max_length=160), required=False, max_length=MOST_AT_ONCE)


class DecisionInput(StrictSerializer):
    """What is decided about one break, as it was seen in `version`."""

    act = Word(choices=ACTS_OF_A_BREAK)
    reason = Word(choices=_REASONS)
    text = FreeText(max_length=LONGEST_TEXT, help_text="Why, for whoever comes next.")
    version = serializers.IntegerField(min_value=0, max_value=2**31 - 1, help_text="The break's `version` as read.")
    target = Text(
        required=False, max_length=255, help_text="For `force`: the id of what it belongs to, where that is not known."
    )


class GroupInput(StrictSerializer):
    """What is decided about all breaks of a preview."""

    preview = Text(max_length=20_000, trim_whitespace=False, help_text="The preview's `token`.")
    act = Word(choices=ACTS_OF_A_GROUP)
    reason = Word(choices=_REASONS)
    text = FreeText(max_length=LONGEST_TEXT)


class UndoInput(StrictSerializer):
    reason = Word(choices=_REASONS)
    text = FreeText(max_length=LONGEST_TEXT)


class AnswerInput(StrictSerializer):
    """A token can take back what it proposed itself. Approving and declining is for people, on the page."""

    answer = Word(choices=["withdraw"])
    text = FreeText(max_length=LONGEST_TEXT)


class DecisionSerializer(serializers.Serializer[Any]):
    """One version of what was decided about a difference."""

    version = serializers.IntegerField()
    act = serializers.ChoiceField(ACTS)
    was = serializers.ChoiceField(BreakState.values)
    state = serializers.ChoiceField(BreakState.values)
    proposes = TextOrNull(help_text="The state it would have if a second person agreed.")
    reason = serializers.CharField()
    text = serializers.CharField()
    decided_by = serializers.CharField(source="who")
    decided_at = UTC(allow_null=False)
    seconded_by = serializers.SerializerMethodField()
    decision_id = serializers.IntegerField(source="group_id", allow_null=True)

    def get_seconded_by(self, decision: BreakDecision) -> str | None:
        return str(decision.seconded_by) if decision.seconded_by else None


class OneBreakSerializer(BreakSerializer):
    """A break with the version its next decision has to name, and what was decided so far, newest first."""

    run_id = serializers.IntegerField()
    version = serializers.IntegerField(help_text="0 where nobody has decided yet.")
    proposed = TextOrNull(help_text="What waits for a second person.")
    decisions = serializers.SerializerMethodField()

    @extend_schema_field(DecisionSerializer(many=True))
    def get_decisions(self, found: Any) -> list[dict[str, Any]]:
        decisions = BreakDecision.objects.filter(identity=found.identity).order_by("-version")
        rows = decisions.select_related("decided_by", "seconded_by", "token")[:100]
        return list(DecisionSerializer(rows, many=True).data)


class OpenBreakSerializer(BreakSerializer):
    """A break of a list: with its run and what waits."""

    run_id = serializers.IntegerField()
    version = serializers.IntegerField()
    proposed = TextOrNull()


class OpenBreakPageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last one.")
    results = OpenBreakSerializer(many=True)


class SumSerializer(serializers.Serializer[Any]):
    account = serializers.CharField()
    breaks = serializers.IntegerField()
    at_risk = MoneySerializer(allow_null=True)


class GroupSerializer(serializers.Serializer[Any]):
    """One act over a break or many."""

    id = serializers.IntegerField()
    act = serializers.ChoiceField(ACTS)
    state = serializers.ChoiceField(GroupState.values)
    reason = serializers.CharField()
    text = serializers.CharField()
    breaks = serializers.IntegerField()
    sums = serializers.SerializerMethodField()
    chosen = serializers.DictField(help_text="The filter its breaks were chosen by; empty for one break.")
    decided_by = serializers.CharField(source="who")
    decided_at = UTC(allow_null=False)
    answered_by = serializers.SerializerMethodField()
    answered_at = UTC()
    answer_text = TextOrNull()
    undoes = serializers.IntegerField(source="undoes_id", allow_null=True)

    @extend_schema_field(SumSerializer(many=True))
    def get_sums(self, group: DecisionGroup) -> list[dict[str, Any]]:
        return sums_shown(group.sums, {account.pk: account.name for account in group.accounts.all()})

    def get_answered_by(self, group: DecisionGroup) -> str | None:
        return str(group.answered_by) if group.answered_by else None


class GroupPageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last one.")
    results = GroupSerializer(many=True)


class PreviewSerializer(serializers.Serializer[Any]):
    """What a decision about all of these would be about; nothing is done yet."""

    token = serializers.CharField(help_text="Hand it in with the decision, within an hour.")
    count = serializers.IntegerField()
    left_out = serializers.IntegerField(help_text="Match too, but are decided, or wait for a second person.")
    sums = SumSerializer(many=True)
    acts = serializers.ListField(child=serializers.ChoiceField(ACTS_OF_A_GROUP))
    needs_second_person = serializers.BooleanField(help_text="Whether a write-off or a forced match would wait.")
    sample = OpenBreakSerializer(many=True)


def sums_shown(sums: list[dict[str, Any]], names: dict[int, str]) -> list[dict[str, Any]]:
    return [
        {
            "account": names[line["account"]],
            "breaks": line["breaks"],
            "at_risk": money_or_none(line["minor_amount"], line["currency"]),
        }
        for line in sums
        if line["account"] in names
    ]


def preview_shown(found: deciding.Preview, names: dict[int, str]) -> dict[str, Any]:
    shown = {
        "token": found.token,
        "count": len(found.items),
        "left_out": found.left_out,
        "sums": sums_shown(found.sums, names),
        "acts": [str(act) for act in found.acts],
        "needs_second_person": found.needs_second,
        "sample": found.sample,
    }
    return dict(PreviewSerializer(shown).data)


def wanted_of(values: dict[str, Any]) -> Wanted:
    """The filter of a query or a body."""
    asked = {**values, "refund": values.get("refund_id")}
    if "age" in values:
        asked["age"] = age_of(values["age"])
    if "identity" in values:
        asked["identities"] = [values["identity"]]
    return Wanted.read(asked)


def sealed(place: Place) -> str:
    return signing.dumps([place.run, place.code, place.pk], salt=_SALT)


def opened(cursor: str) -> Place:
    try:
        run, code, pk = signing.loads(cursor, salt=_SALT)
    except (signing.BadSignature, TypeError, ValueError):
        raise Invalid(NO_CURSOR) from None
    return Place(int(run), int(code), int(pk))


def as_api_error(error: deciding.DecisionError) -> ApiError:
    """409 where somebody was faster, 400 where it makes no sense."""
    if isinstance(error, deciding.Conflict):
        return Conflict(error.message)
    return Invalid({error.field or "body": error.message})
