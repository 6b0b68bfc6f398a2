"""/api/refunds/...: register and list, one refund, its timeline, and asking the processor about it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from refunds.api import schema
from refunds.api.answers import RefundPageSerializer, TimelineSerializer, timeline_as_json
from refunds.api.filters import RefundQuery, filtered
from refunds.api.inputs import StrictSerializer, Time, read_query
from refunds.api.pagination import next_link, page_of
from refunds.api.registering import register_many, register_one
from refunds.api.serializers import RefundSerializer, shown
from refunds.api.views.base import ApiView
from refunds.history import timeline
from refunds.permissions import Action
from refunds.services import sync_refund


class RefundsView(ApiView):
    actions = {"GET": (Action.READ_REFUNDS,), "POST": (Action.REGISTER_REFUNDS,)}

    @extend_schema(
        operation_id="list_refunds",
        summary="List refunds",
        description="Newest first. Follow `next` until it is null; nothing is counted.",
        parameters=[RefundQuery],
        responses=schema.answers(RefundPageSerializer, 400),
        examples=[schema.PAGE],
    )
    def get(self, request: Request) -> Response:
        query = read_query(request.query_params, RefundQuery)
        page = page_of(filtered(self.token, query), cursor=query.get("cursor", ""), size=query["page_size"])
        return Response({"next": next_link(request, page.next_cursor), "results": shown(page.refunds, self.token)})

    @extend_schema(
        operation_id="register_refunds",
        summary="Register one refund, or up to 1,000",
        description=schema.REGISTER,
        request=schema.REGISTRATION_OR_LIST,
        responses=schema.registration_answers(),
        examples=schema.REGISTRATIONS,
    )
    def post(self, request: Request) -> Response:
        if isinstance(request.data, list):
            return Response(register_many(self.token, request.data))
        status, body = register_one(self.token, request.data)
        return Response(body, status=status)


class RefundView(ApiView):
    actions = {"GET": (Action.READ_REFUNDS,)}

    @extend_schema(
        operation_id="read_refund",
        summary="One refund by our id",
        responses=schema.answers(RefundSerializer, 400, 404),
        examples=[schema.STORED],
    )
    def get(self, request: Request, pk: int) -> Response:
        read_query(request.query_params, StrictSerializer)
        return Response(shown([self.refund(pk)], self.token)[0])


class TimelineQuery(StrictSerializer):
    known_at = Time(required=False, help_text="Show only what we had been told by then, and the state it added up to.")


class TimelineView(ApiView):
    actions = {"GET": (Action.READ_REFUNDS,)}

    @extend_schema(
        operation_id="read_timeline",
        summary="Every observation of a refund, and the state they add up to",
        parameters=[TimelineQuery],
        responses=schema.answers(TimelineSerializer, 400, 404),
        examples=[schema.TIMELINE],
    )
    def get(self, request: Request, pk: int) -> Response:
        known_at = read_query(request.query_params, TimelineQuery).get("known_at")
        refund = self.refund(pk)
        return Response(timeline_as_json(refund.pk, timeline(refund, known_at=known_at), known_at))


class SyncView(ApiView):
    actions = {"POST": (Action.READ_REFUNDS, Action.SYNC_REFUNDS)}

    @extend_schema(
        operation_id="sync_refund",
        summary="Ask the processor about a refund now",
        description=schema.SYNC,
        request=None,
        responses=schema.answers(RefundSerializer, 404),
        examples=[schema.LIVE, schema.NOT_LIVE],
    )
    def post(self, request: Request, pk: int) -> Response:
        refund = self.refund(pk)
        result = sync_refund(refund)
        answer: dict[str, Any] = {"code": result.answer, "message": result.message}
        return Response(shown([result.refund or refund], self.token, live=result.live, answer=answer)[0])
