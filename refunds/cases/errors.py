"""Pure: what goes wrong with case work. Messages say what happened and what to do.

CaseError
├── Unfit           a text, tag, link or date that cannot be taken
├── EditConflict    somebody else changed the note since it was read
└── CannotUndo      too late, not one's own, or undone already
"""

from __future__ import annotations


class CaseError(ValueError):
    """Something about case work that a person can put right."""


class Unfit(CaseError):
    """What was given cannot be taken; nothing was changed."""


class EditConflict(CaseError):
    """The note has another version by now than the one that was read."""


class CannotUndo(CaseError):
    """There is nothing to take back here."""
