"""Case work over the API: how it is asked for, and how it is shown."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from refunds.api.errors import Conflict, Invalid
from refunds.api.inputs import Flag, FreeText, Identifier, QueryFlag, StrictSerializer, Text
from refunds.api.pagination import PageQuery
from refunds.api.serializers import UTC, TextOrNull
from refunds.cases import shown, texts
from refunds.cases.changing import MOST_TAGS
from refunds.cases.errors import CaseError, EditConflict
from refunds.cases.models import Case, ChangeKind, EventKind
from refunds.cases.shown import Line, ShownNote
from refunds.models import ApiToken
from refunds.permissions import Action, people_who_may, refunds_of

_OPTIONAL: dict[str, Any] = {"required": False, "allow_null": True}


class Day(serializers.DateField):
    """An ISO 8601 date."""

    default_error_messages = {"invalid": "must be a date such as 2026-03-14", "null": "must not be null"}

    def to_internal_value(self, value: Any) -> dt.date:
        try:
            if not isinstance(value, str) or len(value) != 10:
                self.fail("invalid")
            return dt.date.fromisoformat(value)
        except ValueError:
            self.fail("invalid")


class CaseInput(StrictSerializer):
    """What is to be changed; what is left out stays as it is, null takes it away."""

    assignee = Text(max_length=150, help_text="What the person signs in with.", **_OPTIONAL)
    follow_up_on = Day(help_text="The day on which to look again.", **_OPTIONAL)
    ticket_url = Text(max_length=texts.LONGEST_LINK, help_text="https only.", **_OPTIONAL)
    add_tags = serializers.ListField(child=Text(max_length=200), required=False, max_length=MOST_TAGS)
    remove_tags = serializers.ListField(child=Text(max_length=200), required=False, max_length=MOST_TAGS)


class NoteInput(StrictSerializer):
    text = FreeText(max_length=texts.LONGEST_NOTE, help_text="Plain text.")
    reference = Identifier(
        required=False,
        max_length=100,
        help_text="Your own id: the same one again is the same note.",
    )


class NoteChangeInput(StrictSerializer):
    """Either another text for the version you read, or `deleted`: true hides the note, false brings it back."""

    version = serializers.IntegerField(required=False, min_value=1, max_value=2_000_000_000)
    text = FreeText(required=False, max_length=texts.LONGEST_NOTE)
    deleted = Flag(required=False)

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if "deleted" in values and len(values) == 1:
            return values
        if set(values) == {"version", "text"}:
            return values
        raise serializers.ValidationError("send version and text together, or deleted alone")


class CaseQuery(PageQuery):
    assignee = Text(required=False, max_length=150)
    tag = Text(required=False, max_length=200)
    follow_up_until = Day(required=False, help_text="To be looked at again by this day.")
    with_notes = QueryFlag(required=False)


class NoteSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    version = serializers.IntegerField(help_text="Send it back with an edit.")
    text = serializers.CharField(allow_null=True, help_text="null where it is deleted, erased or cannot be opened.")
    author = serializers.CharField()
    created_at = UTC(allow_null=False)
    edited_by = TextOrNull()
    edited_at = UTC(allow_null=False)
    deleted_at = UTC()
    erased_at = UTC()
    reference = TextOrNull()


class CaseSerializer(serializers.Serializer[Any]):
    """What people do about a refund. A refund nobody has worked on has an empty one."""

    refund_id = serializers.IntegerField()
    assignee = TextOrNull(help_text="What the person signs in with.")
    follow_up_on = serializers.DateField(allow_null=True)
    ticket_url = TextOrNull()
    tags = serializers.ListField(child=serializers.CharField())
    note_count = serializers.IntegerField(help_text="How many are shown.")
    version = serializers.IntegerField(help_text="Grows with every change.")
    changed_at = UTC()


class CaseWithNotesSerializer(CaseSerializer):
    notes = NoteSerializer(many=True, help_text="The newest first, at most 100.")


class CasePageSerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last one.")
    results = CaseSerializer(many=True)


class HistoryLineSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(EventKind.values)
    author = serializers.CharField()
    at = UTC(allow_null=False)
    words = serializers.CharField(help_text="For people.")


class HistorySerializer(serializers.Serializer[Any]):
    next = serializers.URLField(allow_null=True, help_text="The next page; null on the last one.")
    results = HistoryLineSerializer(many=True)


def cases_of(token: ApiToken, query: Mapping[str, Any]) -> QuerySet[Case]:
    """The cases a token may see that the query asks for, the newest refund first."""
    cases = Case.objects.select_related("assignee").prefetch_related("tags").order_by("-pk")
    if not token.all_accounts:
        cases = cases.filter(refund__in=refunds_of(token))
    if "assignee" in query:
        cases = cases.filter(assignee__username=query["assignee"])
    if "tag" in query:
        cases = cases.filter(tags__name=_tag(query["tag"], "tag"))
    if "follow_up_until" in query:
        cases = cases.filter(follow_up_on__lte=query["follow_up_until"])
    if "with_notes" in query:
        cases = cases.filter(notes__gt=0) if query["with_notes"] else cases.filter(notes=0)
    return cases


def wishes_of(values: Mapping[str, Any]) -> Iterator[tuple[ChangeKind, str]]:
    """What a sound CaseInput asks for; Invalid where a person is not known."""
    if "assignee" in values:
        yield ChangeKind.ASSIGNED, _person(values["assignee"])
    if "follow_up_on" in values:
        day = values["follow_up_on"]
        yield ChangeKind.FOLLOW_UP, day.isoformat() if day else ""
    if "ticket_url" in values:
        yield ChangeKind.TICKET, values["ticket_url"] or ""
    for name, kind in (("add_tags", ChangeKind.TAGGED), ("remove_tags", ChangeKind.UNTAGGED)):
        for tag in values.get(name, []):
            yield kind, _tag(tag, name)


def _person(username: str | None) -> str:
    if username is None:
        return ""
    found = people_who_may(Action.WORK_CASES).filter(username=username).first() if "\0" not in username else None
    if found is None:
        raise Invalid({"assignee": "is nobody who works on refunds"})
    return str(found.pk)


def _tag(text: str, field: str) -> str:
    try:
        return texts.tag_name(text)
    except CaseError as error:
        raise Invalid({field: str(error)}) from None


def as_api_error(error: CaseError, field: str) -> Exception:
    """A conflict, or what is wrong with a field."""
    return Conflict(str(error)) if isinstance(error, EditConflict) else Invalid({field: str(error)})


def case_as_json(case: Case) -> dict[str, Any]:
    return dict(CaseSerializer(_values(case)).data)


def case_with_notes_as_json(refund_id: int) -> dict[str, Any]:
    case = shown.case_of(refund_id)
    notes = [note_as_json(note) for note in shown.notes_of(case)] if case else []
    values = _values(case) if case else _NOTHING | {"refund_id": refund_id}
    return dict(CaseWithNotesSerializer(values | {"notes": notes}).data)


_NOTHING: dict[str, Any] = {
    "assignee": None, "follow_up_on": None, "ticket_url": "", "tags": [], "note_count": 0, "version": 0,
    "changed_at": None,
}  # fmt: skip


def _values(case: Case) -> dict[str, Any]:
    return {
        "refund_id": case.pk,
        "assignee": case.assignee.username if case.assignee else None,
        "follow_up_on": case.follow_up_on,
        "ticket_url": case.ticket_url,
        "tags": sorted(tag.name for tag in case.tags.all()),
        "note_count": case.notes,
        "version": case.version,
        "changed_at": case.changed_at,
    }


def note_as_json(found: ShownNote) -> dict[str, Any]:
    note = found.note
    values = {
        "id": note.pk, "version": note.version, "text": found.text or None, "author": note.author,
        "created_at": note.at, "edited_by": found.edited_by if note.version > 1 else "", "edited_at": note.edited_at,
        "deleted_at": note.hidden_at, "erased_at": note.erased_at, "reference": note.reference,
    }  # fmt: skip
    return dict(NoteSerializer(values).data)


def line_as_json(line: Line) -> dict[str, Any]:
    event = line.event
    values = {"id": event.pk, "kind": event.kind, "author": event.author, "at": event.at, "words": line.words}
    return dict(HistoryLineSerializer(values).data)
