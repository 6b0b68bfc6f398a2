"""Exports: start one, see how far each is, download, cancel, delete."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from refunds.exports import exporting
from refunds.exports.formats import WRITERS
from refunds.exports.kinds import KINDS
from refunds.exports.models import Export
from refunds.pages import exporting as starting
from refunds.pages.access import SignedInRequest, allowed
from refunds.permissions import Action, accounts_of, may_export
from refunds.reconciliation.models import Run, RunState

_ON_A_PAGE = 25
_RUNS_OFFERED = 20


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Action.EXPORT_REPORTS)
def exports(request: SignedInRequest) -> HttpResponse:
    """The list, and for htmx its table alone; a form posted here starts one."""
    context: dict[str, Any] = {}
    if request.method == "POST":
        try:
            found = starting.start(request.POST, user=request.user)
        except starting.NotUnderstood as error:
            context["problems"] = error.problems
        else:
            messages.success(request, starting.started(found))
            return redirect("exports")
    visible = exporting.visible_to(request.user).select_related("user", "token", "previous")
    page = Paginator(visible.prefetch_related("downloads__user", "downloads__token"), _ON_A_PAGE).get_page(
        request.GET.get("page")
    )
    context |= {
        "page": page,
        "lines": [_line(request, each) for each in page],
        "unfinished": any(each.is_unfinished for each in page),
        "runs": _runs(request),
        "formats": starting.formats(),
    }
    template = "exports/_exports.html" if request.htmx and request.method != "POST" else "exports/exports.html"
    return render(request, template, context, status=400 if "problems" in context else 200)


def _line(request: SignedInRequest, export: Export) -> dict[str, Any]:
    kind = KINDS[export.kind]
    return {
        "export": export,
        "title": kind.title,
        "filters": kind.described(export.filters),
        "may_change": exporting.may_change(request.user, export),
    }


def _runs(request: SignedInRequest) -> list[Run]:
    """The newest runs whose breaks this person may export."""
    if not may_export(request.user, Action.SEE_RECONCILIATION):
        return []
    visible = Run.objects.visible_in(accounts_of(request.user)).filter(state=RunState.DONE)
    return list(visible[:_RUNS_OFFERED])


def _visible(request: SignedInRequest, pk: int) -> Export:
    found = exporting.visible_to(request.user).filter(pk=pk).first()
    if found is None:
        raise Http404("There is no such export.")
    return found


@require_safe
@allowed(Action.EXPORT_REPORTS)
def download(request: SignedInRequest, pk: int) -> HttpResponseBase:
    """The file, to whoever may see everything in it now."""
    export = _visible(request, pk)
    if not export.can_be_downloaded:
        messages.warning(request, f"Export {pk} has no file to download: it is {export.get_state_display().lower()}.")
        return redirect("exports")
    if request.method == "HEAD":
        return file_headers(HttpResponse(content_type=WRITERS[export.format].content_type), export)
    content = exporting.download(export, exporting.person_of(request.user))
    return file_headers(StreamingHttpResponse(content, content_type=WRITERS[export.format].content_type), export)


def file_headers(response: HttpResponseBase, export: Export) -> HttpResponseBase:
    response["Content-Disposition"] = f'attachment; filename="{export.name}"'
    response["Content-Length"] = str(export.size_bytes)
    response["Cache-Control"] = "no-store"
    return response


@require_POST
@allowed(Action.EXPORT_REPORTS)
def cancel(request: SignedInRequest, pk: int) -> HttpResponse:
    if exporting.cancel(_changeable(request, pk)):
        messages.success(request, f"Export {pk} was canceled.")
    else:
        messages.warning(request, f"Export {pk} is not being made any more.")
    return redirect("exports")


@require_POST
@allowed(Action.EXPORT_REPORTS)
def delete(request: SignedInRequest, pk: int) -> HttpResponse:
    if exporting.delete(_changeable(request, pk)):
        messages.success(request, f"The file of export {pk} was deleted.")
    else:
        messages.warning(request, f"Export {pk} has no file.")
    return redirect("exports")


def _changeable(request: SignedInRequest, pk: int) -> Export:
    export = _visible(request, pk)
    if not exporting.may_change(request.user, export):
        raise PermissionDenied("Only who asked for an export, or an admin, may cancel or delete it.")
    return export
