"""What is kept of people's work on refunds."""

from refunds.cases.models.case import Authored, Case, Tag
from refunds.cases.models.change import Change, ChangeKind, Event, EventKind
from refunds.cases.models.check import BulkCheck
from refunds.cases.models.note import Note, NoteText
from refunds.cases.models.view import SavedView, SavedViewQuerySet, Shortcut

__all__ = [
    "Authored",
    "BulkCheck",
    "Case",
    "Change",
    "ChangeKind",
    "Event",
    "EventKind",
    "Note",
    "NoteText",
    "SavedView",
    "SavedViewQuerySet",
    "Shortcut",
    "Tag",
]
