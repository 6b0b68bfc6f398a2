"""/api/reports/... and files of /api/ledger/...: hand a file in, see how far it is and which rows were not taken."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from connectors.contract import MalformedReport, NotSupported
from connectors.models import ConnectorAccount
from refunds.api import files_schema as schema
from refunds.api.errors import Conflict, Invalid, Missing, TooLarge
from refunds.api.files import (
    AgainInput,
    FileQuery,
    FilesQuery,
    LedgerImportPageSerializer,
    LedgerImportSerializer,
    ReportPageSerializer,
    ReportSerializer,
    ReportsQuery,
    RowErrorPageSerializer,
    RowErrorSerializer,
    file_in,
)
from refunds.api.inputs import StrictSerializer, read, read_query
from refunds.api.pagination import PageQuery, page_by_id
from refunds.api.parsers import CSVParser, StrictJSONParser
from refunds.api.registering import NO_SUCH_ACCOUNT
from refunds.api.schema import answers
from refunds.api.views.base import ApiView
from refunds.models import ReportSource, StatusReport
from refunds.permissions import Action, accounts_of
from refunds.reconciliation.book_files import NothingToTry, import_ledger
from refunds.reconciliation.book_files import try_again as try_books_again
from refunds.reconciliation.books import Source
from refunds.reconciliation.ledger_file import BadLedgerFile
from refunds.reconciliation.models import LedgerImport
from refunds.services import keep_report, report_kept, try_again

MAXIMUM_LEDGER_BYTES = 16 * 1024 * 1024
"""It is read while the caller waits; larger files go by command."""


class _FileView(ApiView):
    """A file comes as CSV; whatever else is sent has no body."""

    parser_classes = [CSVParser]

    def named(self, values: dict[str, Any]) -> ConnectorAccount:
        account = accounts_of(self.token).filter(name=values["account"]).first()
        if account is None:
            raise Invalid({"account": NO_SUCH_ACCOUNT})
        return account

    def visible(self, model: type[Any]) -> Any:
        """Of accounts this token may use."""
        return model.objects.filter(account__in=accounts_of(self.token)).select_related("account")

    def one(self, model: type[Any], pk: int, what: str) -> Any:
        found = self.visible(model).filter(pk=pk).first()
        if found is None:
            raise Missing(f"There is no such {what}, or this token may not see it.")
        return found

    def newest(self, request: Request, found: Any, query: dict[str, Any], shown: type[Any]) -> Response:
        """A page that goes on after the last row of the one before."""
        if query.get("account"):
            found = found.filter(account__name=query["account"])
        return page_by_id(request, found, query, shown)

    def errors(self, request: Request, rows: Any) -> Response:
        query = read_query(request.query_params, PageQuery)
        return page_by_id(request, rows, query, RowErrorSerializer, newest=False)


class ReportsView(_FileView):
    actions = {"GET": (Action.EXPORT_REPORTS,), "POST": (Action.RECONCILE,)}

    @extend_schema(
        operation_id="list_reports",
        summary="List processors' files",
        description=schema.REPORTS,
        parameters=[ReportsQuery],
        responses=answers(ReportPageSerializer, 400),
        examples=[schema.REPORT_PAGE],
    )
    def get(self, request: Request) -> Response:
        query = read_query(request.query_params, ReportsQuery)
        found = self.visible(StatusReport)
        if query.get("state"):
            found = found.filter(state=query["state"])
        return self.newest(request, found, query, ReportSerializer)

    @extend_schema(
        operation_id="hand_in_report",
        summary="Hand in a processor's file",
        description=schema.HAND_IN_REPORT,
        parameters=[FileQuery],
        request=schema.FILE,
        responses=schema.report_answers(),
        examples=schema.HANDED_IN,
    )
    def post(self, request: Request) -> Response:
        values = read_query(request.query_params, FileQuery)
        account = self.named(values)
        with file_in(request.data) as file:
            try:
                kept = keep_report(account, values["name"], file, source=ReportSource.API)
            except NotSupported as error:
                raise Invalid({"account": str(error)}) from error
            except MalformedReport as error:
                raise TooLarge(str(error)) from error
        if not kept.known:
            report_kept.send_robust(sender=None, report_id=kept.report.pk)
        return Response(ReportSerializer(kept.report).data, status=200 if kept.known else 201)


class ReportView(_FileView):
    actions = {"GET": (Action.EXPORT_REPORTS,)}

    @extend_schema(
        operation_id="read_report",
        summary="One of a processor's files: how far it is",
        responses=answers(ReportSerializer, 400, 404),
        examples=[schema.REPORT],
    )
    def get(self, request: Request, pk: int) -> Response:
        read_query(request.query_params, StrictSerializer)
        return Response(ReportSerializer(self.one(StatusReport, pk, "report")).data)


class ReportErrorsView(_FileView):
    actions = {"GET": (Action.EXPORT_REPORTS,)}

    @extend_schema(
        operation_id="list_report_errors",
        summary="The rows of a file that could not be read",
        description=schema.REPORT_ERRORS,
        parameters=[PageQuery],
        responses=answers(RowErrorPageSerializer, 400, 404),
        examples=[schema.ERROR_PAGE],
    )
    def get(self, request: Request, pk: int) -> Response:
        return self.errors(request, self.one(StatusReport, pk, "report").row_errors)


class ReportAgainView(_FileView):
    parser_classes = [StrictJSONParser]
    actions = {"POST": (Action.RECONCILE,)}

    @extend_schema(
        operation_id="try_report_again",
        summary="Import a refused file anew",
        description=schema.TRY_AGAIN,
        request=None,
        responses=answers(ReportSerializer, 400, 404, 409),
        examples=[schema.AGAIN],
    )
    def post(self, request: Request, pk: int) -> Response:
        read_query(request.query_params, StrictSerializer)
        report = self.one(StatusReport, pk, "report")
        if not try_again(report):
            raise Conflict(f"Report {pk} is {report.get_state_display()}, or its file is gone: hand it in anew.")
        report_kept.send_robust(sender=None, report_id=report.pk)
        return Response(ReportSerializer(report).data)


class LedgerFileView(_FileView):
    actions = {"POST": (Action.RECONCILE,)}

    @extend_schema(
        operation_id="hand_in_ledger_file",
        summary="Hand in a file of our books",
        description=schema.LEDGER_FILE,
        parameters=[FileQuery],
        request=schema.FILE,
        responses=schema.ledger_answers(),
        examples=[schema.LEDGER_IMPORT],
    )
    def post(self, request: Request) -> Response:
        values = read_query(request.query_params, FileQuery)
        account = self.named(values)
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAXIMUM_LEDGER_BYTES:
            raise TooLarge("The file is larger than 16 MiB. Import it by `manage.py ledger import`.")
        with file_in(request.data) as file:
            try:
                done = import_ledger(account, values["name"], file, source=Source.API)
            except BadLedgerFile as error:
                where = f" The file is kept as import {error.kept.pk}." if error.kept else ""
                raise Invalid({"body": f"{values['name']}: {error}{where}"}) from error
        return Response(LedgerImportSerializer(done).data, status=201)


class LedgerImportsView(_FileView):
    actions = {"GET": (Action.EXPORT_REPORTS,)}

    @extend_schema(
        operation_id="list_ledger_imports",
        summary="List hand-ins of our books",
        description=schema.LEDGER_IMPORTS,
        parameters=[FilesQuery],
        responses=answers(LedgerImportPageSerializer, 400),
        examples=[schema.LEDGER_IMPORT_PAGE],
    )
    def get(self, request: Request) -> Response:
        query = read_query(request.query_params, FilesQuery)
        return self.newest(request, self.visible(LedgerImport), query, LedgerImportSerializer)


class LedgerAgainView(_FileView):
    parser_classes = [StrictJSONParser]
    actions = {"POST": (Action.RECONCILE,)}

    @extend_schema(
        operation_id="try_ledger_file_again",
        summary="Import a refused file of our books anew",
        description=schema.LEDGER_AGAIN,
        request=AgainInput,
        responses=schema.again_answers(),
        examples=schema.LEDGER_AGAIN_EXAMPLES,
    )
    def post(self, request: Request, pk: int) -> Response:
        read_query(request.query_params, StrictSerializer)
        said = read(AgainInput(), request.data)
        found = self.one(LedgerImport, pk, "import")
        if found.size_bytes > MAXIMUM_LEDGER_BYTES:
            raise TooLarge(f"The file is larger than 16 MiB. Try it again by `manage.py ledger again {pk}`.")
        try:
            done = try_books_again(found, columns=said.get("columns"))
        except NothingToTry as error:
            raise Conflict(str(error)) from error
        except BadLedgerFile as error:
            raise Invalid({"file": f"{found.name}: {error}"}) from error
        return Response(LedgerImportSerializer(done).data)


class LedgerErrorsView(_FileView):
    actions = {"GET": (Action.EXPORT_REPORTS,)}

    @extend_schema(
        operation_id="list_ledger_errors",
        summary="The rows of our books that were not taken",
        description=schema.LEDGER_ERRORS,
        parameters=[PageQuery],
        responses=answers(RowErrorPageSerializer, 400, 404),
        examples=[schema.ERROR_PAGE],
    )
    def get(self, request: Request, pk: int) -> Response:
        return self.errors(request, self.one(LedgerImport, pk, "import").row_errors)
