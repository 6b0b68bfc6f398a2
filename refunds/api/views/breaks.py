"""/api/breaks/, /api/decisions/ and /api/approvals/: what differs, and what is decided about it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from refunds.api import breaks as shapes
from refunds.api import breaks_schema as schema
from refunds.api.errors import Invalid, Missing
from refunds.api.inputs import StrictSerializer, read, read_query
from refunds.api.pagination import PageQuery, next_link, page_by_id
from refunds.api.schema import answers, made
from refunds.api.views.base import ApiView
from refunds.permissions import Action, accounts_of
from refunds.reconciliation import deciding
from refunds.reconciliation.choosing import page_of
from refunds.reconciliation.deciding import DecisionError
from refunds.reconciliation.models import Break, DecisionGroup, GroupState, Run
from refunds.reconciliation.reasons import Act

_NO_SUCH_BREAK = "There is no such break, or this token may not see it."
_NO_SUCH_DECISION = "There is no such decision, or this token may not see it."


class _View(ApiView):
    @property
    def accounts(self) -> Any:
        return accounts_of(self.token)

    def one_break(self, pk: int) -> Any:
        """With its decision. Missing also where its run compares accounts the token may not use."""
        visible = Break.objects.filter(account__in=self.accounts, run__in=Run.objects.visible_in(self.accounts))
        found = visible.with_decision().select_related("account", "refund").filter(pk=pk).first()
        if found is None:
            raise Missing(_NO_SUCH_BREAK)
        return found

    def groups(self) -> Any:
        visible = DecisionGroup.objects.visible_in(self.accounts)
        return visible.select_related("decided_by", "token", "answered_by").prefetch_related("accounts")

    def group(self, pk: int) -> DecisionGroup:
        found: DecisionGroup | None = self.groups().filter(pk=pk).first()
        if found is None:
            raise Missing(_NO_SUCH_DECISION)
        return found


class OpenBreaksView(_View):
    actions = {"GET": (Action.EXPORT_REPORTS,)}

    @extend_schema(
        operation_id="list_open_breaks",
        summary="List breaks of the newest runs",
        description=schema.BREAKS,
        parameters=[shapes.OpenBreakQuery],
        responses=answers(shapes.OpenBreakPageSerializer, 400),
        examples=[schema.BREAK_PAGE],
    )
    def get(self, request: Request) -> Response:
        query = read_query(request.query_params, shapes.OpenBreakQuery)
        after = shapes.opened(query["cursor"]) if query.get("cursor") else None
        page = page_of(shapes.wanted_of(query), self.accounts, after=after, size=query["page_size"])
        link = next_link(request, shapes.sealed(page.next) if page.next else None)
        return Response({"next": link, "results": shapes.OpenBreakSerializer(page.rows, many=True).data})


class BreakView(_View):
    actions = {"GET": (Action.EXPORT_REPORTS,)}

    @extend_schema(
        operation_id="read_break",
        summary="One break, and what was decided about it",
        responses=answers(shapes.OneBreakSerializer, 400, 404),
        examples=[schema.ONE_BREAK],
    )
    def get(self, request: Request, pk: int) -> Response:
        read_query(request.query_params, StrictSerializer)
        return Response(shapes.OneBreakSerializer(self.one_break(pk)).data)


class BreakDecisionsView(_View):
    actions = {"POST": (Action.DECIDE_BREAKS,)}

    @extend_schema(
        operation_id="decide_break",
        summary="Decide about one break",
        description=schema.DECIDE,
        request=shapes.DecisionInput,
        responses=made(shapes.GroupSerializer, 400, 404, 409, 415),
        examples=schema.DECISIONS,
    )
    def post(self, request: Request, pk: int) -> Response:
        found, said = self.one_break(pk), read(shapes.DecisionInput(), request.data)
        try:
            group = deciding.decide(
                found, Act(said["act"]), reason=said["reason"], text=said["text"], by=self.token,
                version=said["version"], target=said.get("target", ""),
            )  # fmt: skip
        except DecisionError as error:
            raise shapes.as_api_error(error) from error
        return Response(shapes.GroupSerializer(group).data, status=201)


class PreviewView(_View):
    actions = {"POST": (Action.DECIDE_BREAKS,)}

    @extend_schema(
        operation_id="preview_decisions",
        summary="What a decision about many breaks would be about",
        description=schema.PREVIEW,
        request=shapes.PreviewInput,
        responses=answers(shapes.PreviewSerializer, 400, 413, 415),
        examples=schema.PREVIEWS,
    )
    def post(self, request: Request) -> Response:
        wanted = shapes.wanted_of(read(shapes.PreviewInput(), request.data))
        try:
            found = deciding.preview(wanted, self.accounts, by=self.token)
        except DecisionError as error:
            raise shapes.as_api_error(error) from error
        names = dict(self.accounts.values_list("pk", "name"))
        return Response(shapes.preview_shown(found, names))


class DecisionsView(_View):
    actions = {"GET": (Action.EXPORT_REPORTS,), "POST": (Action.DECIDE_BREAKS,)}

    @extend_schema(
        operation_id="list_decisions",
        summary="List decisions",
        description="Newest first. Follow `next` until it is null.",
        parameters=[PageQuery],
        responses=answers(shapes.GroupPageSerializer, 400),
        examples=[schema.GROUP_PAGE],
    )
    def get(self, request: Request) -> Response:
        return self.page(request, self.groups())

    @extend_schema(
        operation_id="decide_breaks",
        summary="Decide about all breaks of a preview",
        description=schema.APPLY,
        request=shapes.GroupInput,
        responses=made(shapes.GroupSerializer, 400, 409, 415),
        examples=schema.GROUPS,
    )
    def post(self, request: Request) -> Response:
        said = read(shapes.GroupInput(), request.data)
        try:
            group = deciding.apply(
                said["preview"], self.accounts, Act(said["act"]), reason=said["reason"], text=said["text"],
                by=self.token,
            )  # fmt: skip
        except DecisionError as error:
            raise shapes.as_api_error(error) from error
        return Response(shapes.GroupSerializer(group).data, status=201)

    def page(self, request: Request, groups: Any) -> Response:
        query = read_query(request.query_params, PageQuery)
        return page_by_id(request, groups, query, shapes.GroupSerializer)


class DecisionView(_View):
    actions = {"GET": (Action.EXPORT_REPORTS,)}

    @extend_schema(
        operation_id="read_decision",
        summary="One decision",
        responses=answers(shapes.GroupSerializer, 400, 404),
        examples=[schema.GROUP],
    )
    def get(self, request: Request, pk: int) -> Response:
        read_query(request.query_params, StrictSerializer)
        return Response(shapes.GroupSerializer(self.group(pk)).data)


class UndoView(_View):
    actions = {"POST": (Action.DECIDE_BREAKS,)}

    @extend_schema(
        operation_id="undo_decision",
        summary="Undo a whole decision",
        description=schema.UNDO,
        request=shapes.UndoInput,
        responses=made(shapes.GroupSerializer, 400, 404, 409, 415),
        examples=schema.UNDOING,
    )
    def post(self, request: Request, pk: int) -> Response:
        group, said = self.group(pk), read(shapes.UndoInput(), request.data)
        try:
            undoing = deciding.undo(group, reason=said["reason"], text=said["text"], by=self.token)
        except DecisionError as error:
            raise shapes.as_api_error(error) from error
        return Response(shapes.GroupSerializer(undoing).data, status=201)


class ApprovalsView(DecisionsView):
    actions = {"GET": (Action.EXPORT_REPORTS,)}
    http_method_names = ["get", "head"]

    @extend_schema(
        operation_id="list_approvals",
        summary="List what waits for a second person",
        description=schema.APPROVALS,
        parameters=[PageQuery],
        responses=answers(shapes.GroupPageSerializer, 400),
        examples=[schema.WAITING_PAGE],
    )
    def get(self, request: Request) -> Response:
        return self.page(request, self.groups().filter(state=GroupState.WAITING))


class ApprovalView(_View):
    actions = {"POST": (Action.DECIDE_BREAKS,)}

    @extend_schema(
        operation_id="withdraw_proposal",
        summary="Take back one's own proposal",
        description=schema.WITHDRAW,
        request=shapes.AnswerInput,
        responses=answers(shapes.GroupSerializer, 400, 404, 409, 415),
        examples=schema.WITHDRAWING,
    )
    def post(self, request: Request, pk: int) -> Response:
        group, said = self.group(pk), read(shapes.AnswerInput(), request.data)
        if group.state != GroupState.WAITING:
            raise Invalid({"body": "This does not wait for anybody any more."})
        try:
            deciding.withdraw(group, by=self.token, text=said["text"])
        except DecisionError as error:
            raise shapes.as_api_error(error) from error
        return Response(shapes.GroupSerializer(group).data)
