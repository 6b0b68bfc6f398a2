"""The history of case work: appended, never changed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from refunds.cases.models.case import Authored, Case


class ChangeKind(models.TextChoices):
    """What can be changed of many refunds at once, and be undone."""

    ASSIGNED = "assigned"
    FOLLOW_UP = "follow_up", "follow-up"
    TAGGED = "tagged"
    UNTAGGED = "untagged"
    TICKET = "ticket"


class EventKind(models.TextChoices):
    ASSIGNED = "assigned"
    FOLLOW_UP = "follow_up", "follow-up"
    TAGGED = "tagged"
    UNTAGGED = "untagged"
    TICKET = "ticket"
    NOTED = "noted"
    NOTE_EDITED = "note_edited", "note edited"
    NOTE_HIDDEN = "note_hidden", "note hidden"
    NOTE_SHOWN = "note_shown", "note shown again"
    NOTE_ERASED = "note_erased", "note erased"


class Change(Authored):
    """One thing somebody did to one refund or to many. `undoes` is the change that this one takes back."""

    kind = models.CharField(max_length=10, choices=ChangeKind.choices)
    value = models.CharField(max_length=500, db_default="", help_text="A user's id, a day, a tag or a link.")
    number = models.PositiveIntegerField(help_text="How many refunds it changed.")
    at = models.DateTimeField(db_default=Now())
    undoes = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="undone_by")

    class Meta:
        indexes = [models.Index(fields=["by", "-id"], name="change_by_person", condition=Q(by__isnull=False))]

    def __str__(self) -> str:
        return f"change {self.pk}: {self.kind} {self.value}, {self.number} refunds"


class Event(Authored):
    """One line of a case's history. `before` and `after` are values as `Change.value` has them; of notes, versions.

    A note's text is never in here: it is kept sealed, by version, in `NoteText`.
    """

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="events", db_index=False)
    kind = models.CharField(max_length=12, choices=EventKind.choices)
    before = models.CharField(max_length=500, db_default="")
    after = models.CharField(max_length=500, db_default="")
    note = models.ForeignKey("Note", on_delete=models.CASCADE, null=True, related_name="events", db_index=False)
    change = models.ForeignKey(Change, on_delete=models.PROTECT, null=True, related_name="events", db_index=False)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["case", "-id"], name="event_of_case"),
            models.Index(fields=["change"], name="event_of_change", condition=Q(change__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"case {self.case_id}: {self.kind}"
