"""Notes: written, edited by version, hidden and shown again. Every version stays, sealed, until it is erased."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from refunds.cases import texts
from refunds.cases.authors import Author
from refunds.cases.errors import EditConflict
from refunds.cases.models import Case, Event, EventKind, Note, NoteText
from refunds.models import ApiToken

Actor = User | ApiToken


def add_note(refund_id: int, text: str, *, by: Actor, reference: str = "") -> tuple[Note, bool]:
    """The note, and whether it is new: one with a reference that the refund has already is that one. Raises Unfit."""
    plain, author = texts.note_text(text), Author.of(by)
    try:
        with transaction.atomic(durable=True):
            Case.objects.bulk_create([Case(refund_id=refund_id)], ignore_conflicts=True)
            note = Note.objects.create(case_id=refund_id, reference=reference, **author.columns)
            _keep_text(note, plain, author)
            _count(note, +1)
            _write_down(note, EventKind.NOTED, author, after="1")
    except IntegrityError:
        if not reference:
            raise
        return Note.objects.get(case=refund_id, reference=reference), False
    return note, True


def edit_note(note: Note, text: str, *, seen: int, by: Actor) -> Note:
    """Save another text over the version that was seen. Raises Unfit; EditConflict where that is not the newest any
    more, and where the note is gone."""
    plain, author = texts.note_text(text), Author.of(by)
    with transaction.atomic(durable=True):
        mine = Note.objects.filter(pk=note.pk, version=seen, hidden_at__isnull=True, erased_at__isnull=True)
        if not mine.update(version=seen + 1, edited_at=timezone.now()):
            raise _conflict(note)
        note.refresh_from_db()
        _keep_text(note, plain, author)
        _count(note, 0)
        _write_down(note, EventKind.NOTE_EDITED, author, before=str(seen), after=str(note.version))
    return note


def _conflict(note: Note) -> EditConflict:
    note.refresh_from_db()
    if not note.is_shown:
        return EditConflict("This note was deleted meanwhile. Copy your text, and write it as a new note.")
    who = note.texts.select_related("by", "by_token").get(version=note.version).author
    return EditConflict(
        f"{who} changed this note while you were writing. Both texts are shown: bring them together, then save again."
    )


def hide_note(note: Note, *, by: Actor) -> bool:
    """Delete it: nobody sees the text any more, everybody sees who deleted it when. False where it was not shown."""
    author = Author.of(by)
    with transaction.atomic(durable=True):
        shown = Note.objects.filter(pk=note.pk, hidden_at__isnull=True, erased_at__isnull=True)
        if not shown.update(
            hidden_at=timezone.now(), hidden_by_id=author.user_id, hidden_by_token_id=author.token_id
        ):  # fmt: skip
            return False
        _count(note, -1)
        _write_down(note, EventKind.NOTE_HIDDEN, author, before=str(note.version))
    note.refresh_from_db()
    return True


def show_note(note: Note, *, by: Actor) -> bool:
    """Take a deletion back; False where it was not hidden, or is erased."""
    author = Author.of(by)
    with transaction.atomic(durable=True):
        hidden = Note.objects.filter(pk=note.pk, hidden_at__isnull=False, erased_at__isnull=True)
        if not hidden.update(hidden_at=None, hidden_by=None, hidden_by_token=None):
            return False
        _count(note, +1)
        _write_down(note, EventKind.NOTE_SHOWN, author, after=str(note.version))
    note.refresh_from_db()
    return True


def _keep_text(note: Note, plain: str, author: Author) -> None:
    row = NoteText(note=note, version=note.version, **author.columns)
    row.text = plain
    row.save()


def _count(note: Note, more: int) -> None:
    Case.objects.filter(pk=note.case_id).update(
        notes=F("notes") + more, version=F("version") + 1, changed_at=timezone.now()
    )


def _write_down(note: Note, kind: EventKind, author: Author, *, before: str = "", after: str = "") -> None:
    Event.objects.create(
        case_id=note.case_id, note=note, kind=kind, before=before, after=after, **author.columns
    )  # fmt: skip
