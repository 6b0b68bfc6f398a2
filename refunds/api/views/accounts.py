"""/api/accounts/{account}/...: Get a refund by its processor's id, HandleEvent, and what the account agreed to."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from refunds.api import schema
from refunds.api.answers import HandledEventSerializer
from refunds.api.errors import EventUnverified, Missing, QuestionFailed
from refunds.api.events import EventInput, delivery_of
from refunds.api.inputs import Identifier, QueryFlag, StrictSerializer, read, read_query
from refunds.api.permissions import require
from refunds.api.serializers import RefundSerializer, Showing, disputed_among, shown
from refunds.api.terms import TermsListSerializer, terms_of
from refunds.api.views.base import ApiView
from refunds.permissions import Action
from refunds.services import UnverifiedEvent, get_refund, handle_event

_LONGEST_ID = 255


class GetQuery(StrictSerializer):
    live = QueryFlag(required=False, default=False, help_text="Ask the processor now; needs refunds:sync too.")
    connector_transaction_id = Identifier(
        required=False,
        max_length=_LONGEST_ID,
        help_text="The payment's id: some processors find a refund we have never seen only under its payment.",
    )


class AccountRefundView(ApiView):
    actions = {"GET": (Action.READ_REFUNDS,)}

    @extend_schema(
        operation_id="get_refund",
        summary="Get: one refund by its processor's id, live if you want",
        description=schema.GET,
        parameters=[GetQuery, *schema.ACCOUNT_REFUND_PATH],
        responses=schema.answers(RefundSerializer, 400, 404, 502, 503),
        examples=[schema.STORED, schema.LIVE, schema.NOT_LIVE],
    )
    def get(self, request: Request, account: str, connector_refund_id: str) -> Response:
        query = read_query(request.query_params, GetQuery)
        if query["live"]:
            require(self.token, Action.SYNC_REFUNDS)
        asked = self.account(account)
        if "\0" in connector_refund_id or len(connector_refund_id) > _LONGEST_ID:
            raise Missing
        payment = query.get("connector_transaction_id", "")
        result = get_refund(asked, connector_refund_id, live=query["live"], connector_transaction_id=payment)
        if result.refund is None and not query["live"]:
            raise Missing
        if result.refund is None:
            wait = result.retry_after_seconds
            raise QuestionFailed(result.answer, result.message, retry_after_seconds=wait)
        result.refund.account = asked
        answer: dict[str, Any] | None = {"code": result.answer, "message": result.message} if query["live"] else None
        return Response(shown([result.refund], self.token, live=result.live, answer=answer)[0])


class EventsView(ApiView):
    actions = {"POST": (Action.HANDLE_EVENTS,)}

    @extend_schema(
        operation_id="handle_event",
        summary="HandleEvent: hand in a webhook that another system received",
        description=schema.HANDLE_EVENT,
        parameters=schema.ACCOUNT_PATH,
        request=EventInput,
        responses=schema.answers(HandledEventSerializer, 400, 404, 413, 415),
        examples=schema.EVENTS,
    )
    def post(self, request: Request, account: str) -> Response:
        asked = self.account(account)
        values = read(EventInput(), request.data)
        try:
            handled = handle_event(asked, delivery_of(values), verify_with_processor=values["verify"])
        except UnverifiedEvent as error:
            raise EventUnverified(f"Nothing was kept: {error}.") from error
        refunds = [event.refund for event in handled.events if event.refund is not None]
        context = Showing(self.token, disputed=disputed_among(refunds)).context()
        return Response(HandledEventSerializer(handled, context=context).data)


class TermsView(ApiView):
    actions = {"GET": (Action.EXPORT_REPORTS,)}

    @extend_schema(
        operation_id="list_account_terms",
        summary="What reconciliation tolerates and expects of an account",
        description=schema.TERMS,
        parameters=schema.ACCOUNT_PATH,
        responses=schema.answers(TermsListSerializer, 400, 404),
        examples=[schema.TERMS_OF_ACCOUNT],
    )
    def get(self, request: Request, account: str) -> Response:
        read_query(request.query_params, StrictSerializer)
        return Response(terms_of(self.account(account)))
