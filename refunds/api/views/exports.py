"""/api/exports/...: ask for a file of rows, see how far it is, download it."""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from refunds.api import reconciliation_schema as schema
from refunds.api.errors import Conflict, Invalid, Missing
from refunds.api.exports import (
    ExportInput,
    ExportPageSerializer,
    ExportSerializer,
    filters_of,
)
from refunds.api.inputs import StrictSerializer, read, read_query
from refunds.api.pagination import PageQuery, page_by_id
from refunds.api.schema import answers, made
from refunds.api.views.base import ApiView
from refunds.exports import exporting
from refunds.exports.formats import WRITERS
from refunds.exports.models import Export
from refunds.permissions import Action

_NO_SUCH_EXPORT = "There is no such export, or this token may not see it."


class _ExportView(ApiView):
    def exports(self) -> Any:
        return exporting.visible_to(self.token).prefetch_related("accounts")

    def export(self, pk: int) -> Export:
        found: Export | None = self.exports().filter(pk=pk).first()
        if found is None:
            raise Missing(_NO_SUCH_EXPORT)
        return found


class ExportsView(_ExportView):
    actions = {"GET": (Action.EXPORT_REPORTS,), "POST": (Action.EXPORT_REPORTS,)}

    @extend_schema(
        operation_id="list_exports",
        summary="List exports",
        description=schema.EXPORT_LIST,
        parameters=[PageQuery],
        responses=answers(ExportPageSerializer, 400),
        examples=[schema.EXPORT_PAGE],
    )
    def get(self, request: Request) -> Response:
        query = read_query(request.query_params, PageQuery)
        return page_by_id(request, self.exports(), query, ExportSerializer)

    @extend_schema(
        operation_id="start_export",
        summary="Ask for an export",
        description=schema.START_EXPORT,
        request=ExportInput,
        responses=made(ExportSerializer, 400, 415),
        examples=schema.EXPORTS,
    )
    def post(self, request: Request) -> Response:
        values = read(ExportInput(), request.data)
        try:
            export = exporting.start_export(
                values["report"], filters_of(values, self.token), form=values["format"], actor=self.token,
                only_new=values["only_new"],
            )  # fmt: skip
        except exporting.CannotExport as error:
            raise Invalid({"body": str(error)}) from error
        exporting.export_asked_for.send_robust(sender=None, export_id=export.pk)
        return Response(ExportSerializer(export).data, status=201)


class ExportView(_ExportView):
    actions = {"GET": (Action.EXPORT_REPORTS,)}

    @extend_schema(
        operation_id="read_export",
        summary="One export: how far it is, and its file",
        responses=answers(ExportSerializer, 400, 404),
        examples=[schema.DONE_EXPORT],
    )
    def get(self, request: Request, pk: int) -> Response:
        read_query(request.query_params, StrictSerializer)
        return Response(ExportSerializer(self.export(pk)).data)


class ExportFileView(_ExportView):
    actions = {"GET": (Action.EXPORT_REPORTS,)}

    @extend_schema(
        operation_id="download_export",
        summary="The file of an export",
        description=schema.DOWNLOAD,
        responses=schema.file_answers(),
    )
    def get(self, request: Request, pk: int) -> StreamingHttpResponse:
        read_query(request.query_params, StrictSerializer)
        export = self.export(pk)
        if not export.can_be_downloaded:
            raise Conflict(f"Export {pk} has no file: it is {export.get_state_display().lower()}.")
        content = exporting.download(export, exporting.person_of(self.token))
        response = StreamingHttpResponse(content, content_type=WRITERS[export.format].content_type)
        response["Content-Disposition"] = f'attachment; filename="{export.name}"'
        response["Content-Length"] = str(export.size_bytes)
        return response
