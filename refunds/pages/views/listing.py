"""The refunds list: filters, pages that htmx swaps in place, and what is done to many rows at once."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_POST, require_safe

from refunds.cases import changing, checks, views
from refunds.cases.errors import CaseError
from refunds.cases.models import Change, Tag
from refunds.pages import bulk, exporting, listing, queues, saved_views
from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.list_form import ListForm
from refunds.pages.viewer import Viewer
from refunds.permissions import Action, may, people_who_may, refunds_of


@require_safe
@allowed(Action.READ_REFUNDS)
def refunds(request: SignedInRequest) -> HttpResponse:
    """The list; without any filter at all, the view that the person begins with."""
    if not request.META.get("QUERY_STRING") and not request.htmx:
        first = views.default_of(request.user)
        if first is not None:
            return redirect(saved_views.address_of(first))
    form = ListForm(request.GET, user=request.user)
    context = {"form": form, "chips": listing.chips(form, request.GET), **_rows(request, form)}
    if (page := context.get("page")) is not None and not page.rows:
        context["hiding"] = listing.hiding(context["chips"], refunds_of(request.user), Viewer.of(request))
    context |= _tools(request)
    partial = bool(request.htmx) and not request.htmx.history_restore_request
    if not partial:
        context |= _frame(request)
    response = render(request, "refunds/_results.html" if partial else "refunds/list.html", context)
    if partial:
        response["HX-Push-Url"] = f"{reverse('refunds')}?{listing.tidied(request.GET).urlencode()}"
    patch_vary_headers(response, ["HX-Request"])
    return response


def _rows(request: SignedInRequest, form: ListForm) -> dict[str, Any]:
    """The page of rows; none, and what was wrong, where a filter or the position was not understood."""
    given = {
        "filters": saved_views.filters_of(request.GET),
        "on_every_page": listing.tidied(request.GET, without=("after", "before")).urlencode(),
    }
    if not form.is_valid():
        return {**given, "problems": form.problems()}
    found = listing.matching(refunds_of(request.user), form.cleaned_data, Viewer.of(request))
    after, before = request.GET.get("after", ""), request.GET.get("before", "")
    order = listing.order_of(form.cleaned_data)
    try:
        page = listing.page(found, after=after, before=before, order=order)
    except listing.CursorError as error:
        return {**given, "problems": [("Page", str(error))]}
    return {**given, "page": page, "order": order}


def _tools(request: SignedInRequest) -> dict[str, Any]:
    """What can be done to the rows, and the last change that can be undone."""
    if not may(request.user, Action.SEE_CASES):
        return {}
    context: dict[str, Any] = {"sees_cases": True, "view": _view(request)}
    if may(request.user, Action.WORK_CASES):
        context |= {
            "may_work": True,
            "may_check": may(request.user, Action.SYNC_REFUNDS),
            "formats": exporting.formats() if may(request.user, Action.EXPORT_REPORTS) else [],
            "people": people_who_may(Action.WORK_CASES),
            "most_at_once": f"{changing.MOST_AT_ONCE:,}",
            "sharing": views.sharing_choices(),
            "to_undo": changing.last_to_undo(request.user),
        }
    return context


def _view(request: SignedInRequest) -> dict[str, Any] | None:
    """The saved view that is open, and whether its filters are still what is shown."""
    pk = request.GET.get("view", "")
    if not pk.isdecimal() or len(pk) > 18:
        return None
    found = views.visible_to(request.user).filter(pk=int(pk)).first()
    if found is None:
        return None
    return {
        "row": found,
        "is_changed": not saved_views.same_filters(found.query, saved_views.filters_of(request.GET)),
        "may_change": views.may_change(request.user, found),
    }


def _frame(request: SignedInRequest) -> dict[str, Any]:
    """What stands around the results: the queues with their counts, suggestions, and how to save a view."""
    counts = queues.counts(refunds_of(request.user), Viewer.of(request))
    return {
        "counts": counts,
        "tags": Tag.suggestions() if may(request.user, Action.SEE_CASES) else [],
    }


@require_POST
@allowed(Action.WORK_CASES)
def change_many(request: SignedInRequest) -> HttpResponse:
    """Do something to the chosen refunds, then show the list again."""
    viewer, action = Viewer.of(request), request.POST.get("do", "")
    try:
        chosen = bulk.selected(request.POST, viewer)
        if action == "check":
            return _check_many(request, chosen)
        if action == "export":
            return _export_many(request, chosen)
        outcome, done = bulk.do(action, request.POST, chosen.ids, viewer)
    except CaseError as error:
        messages.error(request, str(error))
    else:
        say = messages.success if outcome.number else messages.info
        say(request, bulk.in_words(outcome, done, cut_off=chosen.cut_off))
    return _back(request)


def _check_many(request: SignedInRequest, chosen: bulk.Selection) -> HttpResponse:
    if not may(request.user, Action.SYNC_REFUNDS):
        messages.error(request, f"Your role does not allow you to {Action.SYNC_REFUNDS}.")
        return _back(request)
    return redirect("bulk_check", pk=checks.check_many(chosen.ids, by=request.user).pk)


def _export_many(request: SignedInRequest, chosen: bulk.Selection) -> HttpResponse:
    try:
        export = exporting.start_chosen(chosen.ids, request.POST.get("format", ""), Viewer.of(request))
    except exporting.NotUnderstood as error:
        messages.error(request, " ".join(message for _, message in error.problems))
        return _back(request)
    messages.success(request, f"{exporting.started(export)} {bulk.first_of_more() if chosen.cut_off else ''}".strip())
    return redirect("exports")


@require_POST
@allowed(Action.WORK_CASES)
def undo(request: SignedInRequest, pk: int) -> HttpResponse:
    """Take a change back, where nobody has changed the same since."""
    change = Change.objects.filter(pk=pk, by=request.user).first()
    if change is None:
        raise Http404("There is no such change of yours.")
    try:
        outcome = changing.undo(change, by=request.user)
    except CaseError as error:
        messages.error(request, str(error))
    else:
        left = change.number - outcome.number
        words = f"Undone for {outcome.number:,} refund{'' if outcome.number == 1 else 's'}."
        if left:
            words += f" {left:,} had been changed again since, and were left as they are."
        messages.success(request, words)
    return _back(request)


def _back(request: SignedInRequest) -> HttpResponse:
    """To the list with the filters, and the page of it, that the form was on; or to a refund's page."""
    refund = request.POST.get("back_to", "")
    if refund.isdecimal() and len(refund) <= 18:
        return redirect("refund", pk=int(refund))
    query = request.POST.get("back", "") or request.POST.get("filters", "")
    return redirect(f"{reverse('refunds')}?{query}")
