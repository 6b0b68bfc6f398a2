"""What the API's description says of case work."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

from refunds.api import examples
from refunds.api.cases import NoteSerializer
from refunds.api.schema import answered, answers

CASES = """\
Only refunds that somebody has worked on, the newest refund first. Follow `next` until it is null. Needs refunds:read
and cases:read."""

CHANGE = """\
What is left out stays as it is; null takes it away. All of it or, where something is wrong, nothing. A tag is written
in small letters with dashes for blanks, whatever is sent; a refund takes at most 20. Needs refunds:read, cases:read and
cases:write."""

HISTORY = "The newest first. A note's text is never in it."

ADD_NOTE = """\
201 with the note, kept sealed. With a `reference` that the refund has already: 200 with that note, unchanged. Needs
refunds:read, cases:read and cases:write."""

CHANGE_NOTE = """\
An edit names the version that was read; 409 where somebody saved another one since, or the note is deleted. Every
version is kept. A deleted note can be brought back for 30 days."""


def note_answers() -> dict[int, Any]:
    return {**answers(NoteSerializer, 400, 404, 415), 201: NoteSerializer}


CASE = answered("A case", examples.CASE)
PAGE = answered(
    "A page", {"next": None, "results": [{key: value for key, value in examples.CASE.items() if key != "notes"}]}
)  # fmt: skip
CHANGE_REQUEST = OpenApiExample("Some changes", value=examples.CASE_CHANGE, request_only=True)
HISTORY_PAGE = answered("A page", examples.CASE_HISTORY)
NOTES = [
    OpenApiExample("A note", value=examples.NOTE_REQUEST, request_only=True),
    answered("New", examples.NOTE, status=201),
    answered("There already", examples.NOTE),
]
NOTE_EDIT = OpenApiExample("An edit", value=examples.NOTE_EDIT, request_only=True)
EDITED_NOTE = answered("The note", examples.NOTE)
