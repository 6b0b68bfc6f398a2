"""/api/cases/ and /api/refunds/{id}/case/...: what people do about refunds."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from refunds.api import cases_schema as schema
from refunds.api.cases import (
    CaseInput,
    CasePageSerializer,
    CaseQuery,
    CaseWithNotesSerializer,
    HistorySerializer,
    NoteChangeInput,
    NoteInput,
    NoteSerializer,
    as_api_error,
    case_as_json,
    case_with_notes_as_json,
    cases_of,
    line_as_json,
    note_as_json,
    wishes_of,
)
from refunds.api.errors import Missing
from refunds.api.inputs import StrictSerializer, read, read_query
from refunds.api.pagination import PageQuery, cursor_of, id_of, next_link
from refunds.api.schema import answers
from refunds.api.views.base import ApiView
from refunds.cases import changing, notes, shown
from refunds.cases.errors import CaseError
from refunds.cases.models import Note
from refunds.permissions import Action

_READ = (Action.READ_REFUNDS, Action.SEE_CASES)
_WRITE = (*_READ, Action.WORK_CASES)


class CasesView(ApiView):
    actions = {"GET": _READ}

    @extend_schema(
        operation_id="list_cases",
        summary="List the work on refunds",
        description=schema.CASES,
        parameters=[CaseQuery],
        responses=answers(CasePageSerializer, 400),
        examples=[schema.PAGE],
    )
    def get(self, request: Request) -> Response:
        query = read_query(request.query_params, CaseQuery)
        found = cases_of(self.token, query)
        if query.get("cursor"):
            found = found.filter(pk__lt=id_of(request, query["cursor"]))
        size = query["page_size"]
        rows = list(found[: size + 1])
        link = next_link(request, cursor_of(request, rows[size - 1].pk) if len(rows) > size else None)
        return Response({"next": link, "results": [case_as_json(case) for case in rows[:size]]})


class CaseView(ApiView):
    actions = {"GET": _READ, "POST": _WRITE}

    @extend_schema(
        operation_id="read_case",
        summary="The work on one refund, with its notes",
        responses=answers(CaseWithNotesSerializer, 400, 404),
        examples=[schema.CASE],
    )
    def get(self, request: Request, pk: int) -> Response:
        read_query(request.query_params, StrictSerializer)
        return Response(case_with_notes_as_json(self.refund(pk).pk))

    @extend_schema(
        operation_id="change_case",
        summary="Assign a refund, set its follow-up, tag it, link a ticket",
        description=schema.CHANGE,
        request=CaseInput,
        responses=answers(CaseWithNotesSerializer, 400, 404, 415),
        examples=[schema.CHANGE_REQUEST, schema.CASE],
    )
    def post(self, request: Request, pk: int) -> Response:
        refund = self.refund(pk)
        wishes = list(wishes_of(read(CaseInput(), request.data)))
        try:
            changing.change_together([refund.pk], wishes, by=self.token)
        except CaseError as error:
            raise as_api_error(error, "body") from None
        return Response(case_with_notes_as_json(refund.pk))


class CaseHistoryView(ApiView):
    actions = {"GET": _READ}

    @extend_schema(
        operation_id="read_case_history",
        summary="Who changed what in the work on a refund",
        description=schema.HISTORY,
        parameters=[PageQuery],
        responses=answers(HistorySerializer, 400, 404),
        examples=[schema.HISTORY_PAGE],
    )
    def get(self, request: Request, pk: int) -> Response:
        query = read_query(request.query_params, PageQuery)
        case = shown.case_of(self.refund(pk).pk)
        size, before = query["page_size"], id_of(request, query["cursor"]) if query.get("cursor") else None
        lines = shown.history_of(case, most=size + 1, before=before) if case else []
        link = next_link(request, cursor_of(request, lines[size - 1].event.pk) if len(lines) > size else None)
        return Response({"next": link, "results": [line_as_json(line) for line in lines[:size]]})


class NotesView(ApiView):
    actions = {"POST": _WRITE}

    @extend_schema(
        operation_id="add_note",
        summary="Write a note",
        description=schema.ADD_NOTE,
        request=NoteInput,
        responses=schema.note_answers(),
        examples=schema.NOTES,
    )
    def post(self, request: Request, pk: int) -> Response:
        refund = self.refund(pk)
        values = read(NoteInput(), request.data)
        try:
            note, is_new = notes.add_note(
                refund.pk, values["text"], by=self.token, reference=values.get("reference", "")
            )  # fmt: skip
        except CaseError as error:
            raise as_api_error(error, "text") from None
        return Response(note_as_json(shown.newest_text(note)), status=201 if is_new else 200)


class NoteView(ApiView):
    actions = {"POST": _WRITE}

    @extend_schema(
        operation_id="change_note",
        summary="Edit, delete or bring back a note",
        description=schema.CHANGE_NOTE,
        request=NoteChangeInput,
        responses=answers(NoteSerializer, 400, 404, 409, 415),
        examples=[schema.NOTE_EDIT, schema.EDITED_NOTE],
    )
    def post(self, request: Request, pk: int, note_id: int) -> Response:
        note = Note.objects.filter(pk=note_id, case=self.refund(pk).pk).first()
        if note is None:
            raise Missing("There is no such note.")
        values = read(NoteChangeInput(), request.data)
        try:
            if "text" in values:
                notes.edit_note(note, values["text"], seen=values["version"], by=self.token)
            elif values["deleted"]:
                notes.hide_note(note, by=self.token)
            else:
                notes.show_note(note, by=self.token)
        except CaseError as error:
            raise as_api_error(error, "text") from None
        return Response(note_as_json(shown.newest_text(note)))
