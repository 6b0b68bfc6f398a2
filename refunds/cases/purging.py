"""Erase what has served its time: the texts of old notes and of deleted ones, deleted views, finished checks."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from refunds.cases.models import BulkCheck, Case, Event, EventKind, Note, NoteText, SavedView

HIDDEN_KEPT = dt.timedelta(days=30)
"""How long the text of a deleted note can be brought back."""
VIEW_KEPT = dt.timedelta(days=1)
CHECK_KEPT = dt.timedelta(days=7)
_AT_ONCE = 500


def purge_case_work() -> int:
    """What of it is due, at most 500 notes at a time; returns how many notes were erased."""
    now = timezone.now()
    SavedView.objects.filter(deleted_at__lt=now - VIEW_KEPT).delete()
    BulkCheck.objects.filter(at__lt=now - CHECK_KEPT).delete()
    erased = _erase(Q(hidden_at__lt=now - HIDDEN_KEPT))
    if settings.KEEP_NOTES_DAYS:
        erased += _erase(Q(edited_at__lt=now - dt.timedelta(days=settings.KEEP_NOTES_DAYS)))
    return erased


def _erase(due: Q) -> int:
    """All versions of these notes' texts go; that there was a note, whose and when, stays."""
    with transaction.atomic(durable=True):
        notes = (
            Note.objects.select_for_update(no_key=True).filter(due, erased_at__isnull=True).order_by("case_id", "id")
        )
        found = list(notes[:_AT_ONCE])
        ids = [note.pk for note in found]
        NoteText.objects.filter(note__in=ids).delete()
        Note.objects.filter(pk__in=ids).update(erased_at=timezone.now())
        for note in found:
            fewer = 1 if note.hidden_at is None else 0
            Case.objects.filter(pk=note.case_id).update(notes=F("notes") - fewer, version=F("version") + 1)
        Event.objects.bulk_create(
            [Event(case_id=note.case_id, note=note, kind=EventKind.NOTE_ERASED) for note in found]
        )  # fmt: skip
    return len(found)
