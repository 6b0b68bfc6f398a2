"""Saved views: all of them, saving one, changing, pinning, deleting."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from refunds.cases import views
from refunds.cases.errors import Unfit
from refunds.cases.models import SavedView, Shortcut
from refunds.cases.purging import VIEW_KEPT
from refunds.pages import listing, saved_views
from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.list_form import ListForm
from refunds.pages.viewer import Viewer
from refunds.permissions import Action, may


@require_safe
@allowed(Action.SEE_CASES)
def all_views(request: SignedInRequest) -> HttpResponse:
    """Every view one may open, with its count; and one's own that were deleted within the last day."""
    pins = dict(Shortcut.objects.filter(user=request.user).values_list("view", "is_default"))
    lines = [
        {"shown": each, "pinned": each.view.pk in pins, "first": pins.get(each.view.pk, False),
         "may_change": views.may_change(request.user, each.view), "chips": _chips(request, each.view)}
        for each in saved_views.shown(views.visible_to(request.user), Viewer.of(request))
    ]  # fmt: skip
    deleted = SavedView.objects.filter(owner=request.user, deleted_at__gte=timezone.now() - VIEW_KEPT)
    context = {"lines": lines, "deleted": deleted, "may_work": may(request.user, Action.WORK_CASES)}
    return render(request, "cases/views.html", context)


def _chips(request: SignedInRequest, view: SavedView) -> list[listing.Chip]:
    query = QueryDict(view.query)
    return listing.chips(ListForm(query, user=request.user), query)


@require_POST
@allowed(Action.WORK_CASES)
def save(request: SignedInRequest) -> HttpResponse:
    """Save the list's filters under a name, and go on with it."""
    query = saved_views.filters_of(QueryDict(request.POST.get("filters", "")))
    name, shared_with = request.POST.get("name", ""), request.POST.get("shared_with", "")
    try:
        view = views.save_view(request.user, name=name, query=query, shared_with=shared_with)
        if request.POST.get("pin"):
            views.pin(request.user, view)
    except Unfit as error:
        messages.error(request, str(error))
        return redirect(f"{saved_views.list_address()}{query}")
    messages.success(request, f"Saved as {view.name}.")
    return redirect(saved_views.address_of(view))


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Action.SEE_CASES)
def change(request: SignedInRequest, pk: int) -> HttpResponse:
    """A view's own page: its name, with whom it is shared, what it filters by and what does not work of that."""
    view = _visible(request, pk)
    status = 200
    if request.method == "POST":
        _insist(request, view)
        filters = QueryDict(request.POST.get("query", view.query))
        try:
            views.change_view(
                view, name=request.POST.get("name", view.name), shared_with=request.POST.get("shared_with", ""),
                query=saved_views.filters_of(filters),
            )  # fmt: skip
        except Unfit as error:
            messages.error(request, str(error))
            status = 400
        else:
            messages.success(request, f"{view.name} was saved.")
            return redirect(saved_views.address_of(view))
    query = QueryDict(view.query)
    form = ListForm(query, user=request.user)
    context = {
        "view": view,
        "may_change": views.may_change(request.user, view),
        "problems": form.problems(),
        "chips": listing.chips(form, query),
        "sharing": views.sharing_choices(),
        "address": saved_views.address_of(view),
    }
    return render(request, "cases/view.html", context, status=status)


@require_POST
@allowed(Action.WORK_CASES)
def do(request: SignedInRequest, pk: int) -> HttpResponse:
    """Pin, unpin, begin with, delete, restore: what the button said."""
    action = _ACTIONS.get(request.POST.get("do", ""))
    if action is None:
        raise Http404("There is no such thing to do with a view.")
    try:
        messages.success(request, action(request, pk))
    except Unfit as error:
        messages.error(request, str(error))
    return redirect("views")


def _pin(request: SignedInRequest, pk: int) -> str:
    view = _visible(request, pk)
    views.pin(request.user, view)
    return f"{view.name} is on every page now."


def _unpin(request: SignedInRequest, pk: int) -> str:
    view = _visible(request, pk)
    views.unpin(request.user, view)
    return f"{view.name} is no longer pinned."


def _begin(request: SignedInRequest, pk: int) -> str:
    view = _visible(request, pk)
    views.begin_with(request.user, view)
    return f"The list of refunds begins with {view.name} now."


def _begin_with_all(request: SignedInRequest, pk: int) -> str:
    views.begin_with(request.user, None)
    return "The list of refunds begins with all refunds now."


def _delete(request: SignedInRequest, pk: int) -> str:
    view = _visible(request, pk)
    _insist(request, view)
    views.delete_view(view)
    return f"{view.name} is deleted. Its owner can bring it back for a day."


def _restore(request: SignedInRequest, pk: int) -> str:
    view = SavedView.objects.filter(pk=pk, owner=request.user, deleted_at__isnull=False).first()
    if view is None:
        raise Http404("There is no such view of yours that was deleted.")
    views.restore_view(view)
    return f"{view.name} is back."


_ACTIONS: Mapping[str, Callable[[SignedInRequest, int], str]] = {
    "pin": _pin,
    "unpin": _unpin,
    "begin": _begin,
    "begin_with_all": _begin_with_all,
    "delete": _delete,
    "restore": _restore,
}


def _visible(request: SignedInRequest, pk: int) -> SavedView:
    found = views.visible_to(request.user).filter(pk=pk).first()
    if found is None:
        raise Http404("There is no such view, or it is not shared with you any more.")
    return found


def _insist(request: SignedInRequest, view: SavedView) -> None:
    if not views.may_change(request.user, view):
        raise PermissionDenied("Only its owner can change this view. Save it under another name instead.")
