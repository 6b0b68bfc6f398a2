"""/api/periods/...: see periods with their roll-forward and manifest, close, lock and reopen them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from refunds.api import period_schema as schema
from refunds.api.errors import Conflict, Missing, PersonMissing
from refunds.api.inputs import StrictSerializer, read, read_query
from refunds.api.pagination import page_by_id
from refunds.api.periods import (
    CloseInput,
    PeriodDetailSerializer,
    PeriodInput,
    PeriodPageSerializer,
    PeriodQuery,
    PeriodSerializer,
    ReasonInput,
    ReopenAnswerInput,
)
from refunds.api.schema import answers
from refunds.api.views.base import ApiView
from refunds.permissions import Action, accounts_of, may
from refunds.reconciliation.closing import periods
from refunds.reconciliation.closing.close import ask_to_close, closing_asked_for
from refunds.reconciliation.closing.periods import RefusedStep
from refunds.reconciliation.models import Period

_SOURCE = "api"
_NO_SUCH_PERIOD = "There is no such period, or this token may not see it."


class _PeriodView(ApiView):
    def periods(self) -> Any:
        return Period.objects.visible_in(accounts_of(self.token)).select_related("account", "closing")

    def period(self, pk: int) -> Period:
        found: Period | None = self.periods().filter(pk=pk).first()
        if found is None:
            raise Missing(_NO_SUCH_PERIOD)
        return found

    @property
    def person(self) -> User:
        """Whose step it is. A scope alone closes nothing: a token may do no more than who issued it."""
        issuer = self.token.created_by
        if issuer is None or not may(issuer, Action.CLOSE_PERIODS):
            raise PersonMissing
        return issuer

    def step(self, pk: int, take: Callable[[Period, User], object], *, status: int = 200) -> Response:
        """Take a step and answer with the period as it is then; 409 where something stands in the way."""
        period, person = self.period(pk), self.person
        try:
            take(period, person)
        except RefusedStep as error:
            raise Conflict(str(error)) from error
        return Response(PeriodDetailSerializer(self.period(pk)).data, status=status)


class PeriodsView(_PeriodView):
    actions = {"GET": (Action.EXPORT_REPORTS,), "POST": (Action.CLOSE_PERIODS,)}

    @extend_schema(
        operation_id="list_periods",
        summary="List periods",
        description="Newest first. Follow `next` until it is null.",
        parameters=[PeriodQuery],
        responses=answers(PeriodPageSerializer, 400),
        examples=[schema.PAGE],
    )
    def get(self, request: Request) -> Response:
        query = read_query(request.query_params, PeriodQuery)
        found = self.periods()
        if query.get("account"):
            found = found.filter(account__name=query["account"])
        return page_by_id(request, found, query, PeriodSerializer)

    @extend_schema(
        operation_id="open_period",
        summary="Open the next period",
        description=schema.OPEN,
        request=PeriodInput,
        responses=schema.step_answers(201),
        examples=schema.OPENED,
    )
    def post(self, request: Request) -> Response:
        values = read(PeriodInput(), request.data)
        account = self.account(values["account"])
        try:
            period = periods.open_period(
                account, since=values.get("since"), until=values["until"], by=self.person, source=_SOURCE
            )
        except RefusedStep as error:
            raise Conflict(str(error)) from error
        return Response(PeriodDetailSerializer(self.period(period.pk)).data, status=201)


class PeriodView(_PeriodView):
    actions = {"GET": (Action.EXPORT_REPORTS,)}

    @extend_schema(
        operation_id="read_period",
        summary="One period: its roll-forward, what stands in the way, its history",
        responses=answers(PeriodDetailSerializer, 400, 404),
        examples=[schema.PERIOD],
    )
    def get(self, request: Request, pk: int) -> Response:
        read_query(request.query_params, StrictSerializer)
        return Response(PeriodDetailSerializer(self.period(pk)).data)


class ManifestView(_PeriodView):
    actions = {"GET": (Action.EXPORT_REPORTS,)}

    @extend_schema(
        operation_id="read_manifest",
        summary="The manifest that holds",
        description=schema.MANIFEST,
        responses=schema.manifest_answers(),
        examples=[schema.A_MANIFEST],
    )
    def get(self, request: Request, pk: int) -> HttpResponse:
        read_query(request.query_params, StrictSerializer)
        period = self.period(pk)
        if period.closing is None:
            raise Missing("The period is open: it has no manifest that holds.")
        return HttpResponse(period.closing.manifest, content_type="application/json")


class CloseView(_PeriodView):
    actions = {"POST": (Action.CLOSE_PERIODS,)}

    @extend_schema(
        operation_id="close_period",
        summary="Close a period",
        description=schema.CLOSE,
        request=CloseInput,
        responses=schema.step_answers(202),
        examples=schema.CLOSING,
    )
    def post(self, request: Request, pk: int) -> Response:
        accepted = read(CloseInput(), request.data)["accept_restated"]

        def take(period: Period, person: User) -> None:
            closing = ask_to_close(period, by=person, source=_SOURCE, accept_restated=accepted)
            closing_asked_for.send_robust(sender=None, closing_id=closing.pk)

        return self.step(pk, take, status=202)


class LockView(_PeriodView):
    actions = {"POST": (Action.CLOSE_PERIODS,)}

    @extend_schema(
        operation_id="lock_period",
        summary="Lock a closed period",
        description=schema.LOCK,
        request=StrictSerializer,
        responses=schema.step_answers(),
        examples=schema.STEP,
    )
    def post(self, request: Request, pk: int) -> Response:
        read(StrictSerializer(), request.data)
        return self.step(pk, lambda period, person: periods.lock(period, by=person, source=_SOURCE))


class ReopenView(_PeriodView):
    actions = {"POST": (Action.CLOSE_PERIODS,)}

    @extend_schema(
        operation_id="propose_reopening",
        summary="Propose to reopen a period",
        description=schema.REOPEN,
        request=ReasonInput,
        responses=schema.step_answers(),
        examples=schema.STEP,
    )
    def post(self, request: Request, pk: int) -> Response:
        reason = read(ReasonInput(), request.data)["reason"]
        return self.step(
            pk, lambda period, who: periods.propose_reopening(period, by=who, reason=reason, source=_SOURCE)
        )


class ReopenAnswerView(_PeriodView):
    actions = {"POST": (Action.CLOSE_PERIODS,)}

    @extend_schema(
        operation_id="answer_reopening",
        summary="Approve or decline a reopening",
        description=schema.ANSWER,
        request=ReopenAnswerInput,
        responses=schema.step_answers(),
        examples=schema.STEP,
    )
    def post(self, request: Request, pk: int) -> Response:
        approve = read(ReopenAnswerInput(), request.data)["approve"]
        answer = periods.approve_reopening if approve else periods.decline_reopening
        return self.step(pk, lambda period, who: answer(period, by=who, source=_SOURCE))
