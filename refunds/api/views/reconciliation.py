"""/api/ledger/ and /api/runs/...: hand in our books, ask for a run, read what it found."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from refunds.api import reconciliation_schema as schema
from refunds.api.errors import Invalid, Missing
from refunds.api.inputs import StrictSerializer, read, read_query
from refunds.api.ledger import EntryResultsSerializer, keep_many
from refunds.api.pagination import PageQuery, page_by_id
from refunds.api.runs import (
    BreakPageSerializer,
    BreakQuery,
    BreakSerializer,
    RunInput,
    RunPageSerializer,
    RunSerializer,
    accounts_named,
    period_of,
)
from refunds.api.schema import answers, made
from refunds.api.views.base import ApiView
from refunds.permissions import Action, accounts_of
from refunds.reconciliation.codes import Code
from refunds.reconciliation.models import Break, Run
from refunds.reconciliation.runs import CannotRun, run_asked_for, start_run

_NO_SUCH_RUN = "There is no such run, or this token may not see it."


class LedgerView(ApiView):
    actions = {"POST": (Action.RECONCILE,)}

    @extend_schema(
        operation_id="keep_ledger_entries",
        summary="Hand in entries of our books, up to 1,000",
        description=schema.LEDGER,
        request=schema.ENTRY_OR_LIST,
        responses=answers(EntryResultsSerializer, 400, 413, 415),
        examples=schema.ENTRIES,
    )
    def post(self, request: Request) -> Response:
        return Response(keep_many(self.token, request.data))


class _RunView(ApiView):
    def runs(self) -> Any:
        return Run.objects.visible_in(accounts_of(self.token))

    def run(self, pk: int) -> Run:
        found: Run | None = self.runs().filter(pk=pk).first()
        if found is None:
            raise Missing(_NO_SUCH_RUN)
        return found


class RunsView(_RunView):
    actions = {"GET": (Action.EXPORT_REPORTS,), "POST": (Action.RECONCILE,)}

    @extend_schema(
        operation_id="list_runs",
        summary="List runs",
        description="Newest first. Follow `next` until it is null.",
        parameters=[PageQuery],
        responses=answers(RunPageSerializer, 400),
        examples=[schema.RUN_PAGE],
    )
    def get(self, request: Request) -> Response:
        query = read_query(request.query_params, PageQuery)
        found = self.runs().prefetch_related("accounts")
        return page_by_id(request, found, query, RunSerializer)

    @extend_schema(
        operation_id="start_run",
        summary="Ask for a run",
        description=schema.START_RUN,
        request=RunInput,
        responses=made(RunSerializer, 400, 415),
        examples=schema.RUNS,
    )
    def post(self, request: Request) -> Response:
        values = read(RunInput(), request.data)
        try:
            run = start_run(accounts_named(self.token, values.get("accounts")), **period_of(values))
        except CannotRun as error:
            raise Invalid({error.about: str(error)}) from error
        run_asked_for.send_robust(sender=None, run_id=run.pk)
        return Response(RunSerializer(run).data, status=201)


class RunView(_RunView):
    actions = {"GET": (Action.EXPORT_REPORTS,)}

    @extend_schema(
        operation_id="read_run",
        summary="One run: how far it is, and what it came to",
        responses=answers(RunSerializer, 400, 404),
        examples=[schema.DONE_RUN],
    )
    def get(self, request: Request, pk: int) -> Response:
        read_query(request.query_params, StrictSerializer)
        return Response(RunSerializer(self.run(pk)).data)


class BreaksView(_RunView):
    actions = {"GET": (Action.EXPORT_REPORTS,)}

    @extend_schema(
        operation_id="list_breaks",
        summary="The breaks of a run",
        description=schema.BREAKS,
        parameters=[BreakQuery],
        responses=answers(BreakPageSerializer, 400, 404),
        examples=[schema.BREAK_PAGE],
    )
    def get(self, request: Request, pk: int) -> Response:
        query = read_query(request.query_params, BreakQuery)
        found = Break.objects.filter(run=self.run(pk)).with_state()
        if query.get("code"):
            found = found.filter(code=next(code for code in Code if code.label == query["code"]))
        found = found.select_related("account", "refund")
        return page_by_id(request, found, query, BreakSerializer, newest=False)
