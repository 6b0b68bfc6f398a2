"""What is shown of a case: its notes opened, its history in words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.contrib.auth.models import User

from connectors.keyring import CannotOpen
from refunds.cases import texts
from refunds.cases.models import Case, Change, ChangeKind, Event, EventKind, Note, NoteText
from refunds.cases.models.case import name_of

HISTORY_SHOWN = 50
NOTES_SHOWN = 100


@dataclass(frozen=True, slots=True)
class ShownNote:
    """A note with its newest text; empty where it is hidden, erased or cannot be opened."""

    note: Note
    text: str
    edited_by: str
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of history."""

    event: Event
    words: str

    @property
    def at(self) -> dt.datetime:
        return self.event.at


def case_of(refund_id: int) -> Case | None:
    found = Case.objects.filter(pk=refund_id).select_related("assignee").prefetch_related("tags")
    return found.first()


def notes_of(case: Case) -> list[ShownNote]:
    """The newest first, at most 100; deleted and erased ones are among them, without their text."""
    rows = case.note_rows.select_related("by", "by_token", "hidden_by", "hidden_by_token").order_by("-id")
    notes = list(rows[:NOTES_SHOWN])
    newest = NoteText.objects.filter(note__in=notes).select_related("by", "by_token")
    by_version = {(text.note_id, text.version): text for text in newest}
    return [shown_note(note, by_version.get((note.pk, note.version))) for note in notes]


def shown_note(note: Note, text: NoteText | None) -> ShownNote:
    if text is None or not note.is_shown:
        return ShownNote(note, "", text.author if text else "")
    try:
        return ShownNote(note, text.text, text.author)
    except CannotOpen:
        return ShownNote(note, "", text.author, unreadable=True)


def newest_text(note: Note) -> ShownNote:
    found = note.texts.select_related("by", "by_token").filter(version=note.version).first()
    return shown_note(note, found)


def history_of(case: Case, *, most: int = HISTORY_SHOWN, before: int | None = None) -> list[Line]:
    """What was changed, the newest first; `before`: only what came before this event."""
    events = case.events.select_related("by", "by_token", "change").order_by("-id")
    if before is not None:
        events = events.filter(pk__lt=before)
    found = list(events[:most])
    people = _people(found)
    return [Line(event, _words(event, people)) for event in found]


def _people(events: Iterable[Event]) -> Mapping[str, str]:
    """Names by id, of everybody refunds were given to or taken from."""
    assigned = [event for event in events if event.kind == EventKind.ASSIGNED]
    ids = {value for event in assigned for value in (event.before, event.after) if value}
    return {str(user.pk): name_of(user) for user in User.objects.filter(pk__in=ids)}


def _words(event: Event, people: Mapping[str, str]) -> str:
    before, after = event.before, event.after
    match EventKind(event.kind):
        case EventKind.ASSIGNED:
            before, after = people.get(before, before), people.get(after, after)
            words = f"gave it to {after}" if after else f"took it from {before}"
            words += f" instead of {before}" if before and after else ""
        case EventKind.FOLLOW_UP:
            words = f"set the follow-up to {after}" if after else f"took away the follow-up of {before}"
        case EventKind.TAGGED:
            words = f"added the tag {after}"
        case EventKind.UNTAGGED:
            words = f"took away the tag {before}"
        case EventKind.TICKET:
            words = f"linked a ticket at {texts.host_of(after)}" if after else "took away the ticket"
        case EventKind.NOTED:
            words = "wrote a note"
        case EventKind.NOTE_EDITED:
            words = f"edited a note (version {after})"
        case EventKind.NOTE_HIDDEN:
            words = "deleted a note"
        case EventKind.NOTE_SHOWN:
            words = "brought a note back"
        case EventKind.NOTE_ERASED:
            words = "erased a note's text, whose time was over"
    return f"{words}, undoing a change" if event.change and event.change.undoes_id else words


def change_in_words(change: Change) -> str:
    """What a change did: "12 refunds tagged vip"."""
    value = change.value
    match ChangeKind(change.kind):
        case ChangeKind.ASSIGNED:
            person = User.objects.filter(pk=value).first() if value else None
            done = f"assigned to {name_of(person)}" if person else "assigned to nobody"
        case ChangeKind.FOLLOW_UP:
            done = f"to be looked at again on {value}" if value else "without a follow-up"
        case ChangeKind.TAGGED:
            done = f"tagged {value}"
        case ChangeKind.UNTAGGED:
            done = f"no longer tagged {value}"
        case ChangeKind.TICKET:
            done = f"linked to a ticket at {texts.host_of(value)}" if value else "without a ticket"
    return f"{change.number:,} refund{'' if change.number == 1 else 's'} {done}"
