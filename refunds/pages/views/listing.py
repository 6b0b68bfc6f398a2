"""The refunds list: filters, and pages that htmx swaps in place."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from refunds.pages import listing
from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.forms import FilterForm
from refunds.permissions import Action, refunds_of


@require_safe
@allowed(Action.READ_REFUNDS)
def refunds(request: SignedInRequest) -> HttpResponse:
    form = FilterForm(request.GET, user=request.user)
    context = {"form": form, "chips": listing.chips(form, request.GET), **_rows(request, form)}
    partial = bool(request.htmx) and not request.htmx.history_restore_request
    response = render(request, "refunds/_results.html" if partial else "refunds/list.html", context)
    if partial:
        response["HX-Push-Url"] = f"{reverse('refunds')}?{listing.tidied(request.GET).urlencode()}"
    patch_vary_headers(response, ["HX-Request"])
    return response


def _rows(request: SignedInRequest, form: FilterForm) -> dict[str, Any]:
    """The page of rows; none, and what was wrong, where a filter or the position was not understood."""
    if not form.is_valid():
        return {"problems": form.problems()}
    found = listing.matching(refunds_of(request.user), form.cleaned_data)
    after, before = request.GET.get("after", ""), request.GET.get("before", "")
    try:
        page = listing.page(found, after=after, before=before)
    except listing.CursorError as error:
        return {"problems": [("Page", str(error))]}
    return {"page": page, "filters": _filters(request)}


def _filters(request: SignedInRequest) -> str:
    """The query string of the filters alone, to which a position is added."""
    return listing.tidied(request.GET, without=("after", "before")).urlencode()
