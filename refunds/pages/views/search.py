"""Search: paste anything; and, where nobody here knows it, ask a processor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from refunds import identifiers
from refunds.pages import searching
from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.forms import AskForm
from refunds.pages.viewer import Viewer
from refunds.permissions import Action, may, refunds_of
from refunds.services import get_refund

_LONGEST_QUERY = 20_000


@require_safe
@allowed(Action.READ_REFUNDS)
def search(request: SignedInRequest) -> HttpResponse:
    pasted = request.GET.get("q", "")[:_LONGEST_QUERY]
    lines = identifiers.read(pasted)
    only = _only(lines, request.GET.get("as", ""))
    found = searching.search(refunds_of(request.user), only or lines, Viewer.of(request))
    if len(found) == 1 and len(found[0].hits) == 1 and not found[0].by_prefix:
        [hit] = found[0].hits
        messages.info(request, f"Found by {hit.by}: {found[0].line.text}")
        return redirect(hit.refund)
    context = {
        "pasted": pasted,
        "found": found,
        "single": found[0] if len(found) == 1 else None,
        "others": bool(only) and len(lines[0].readings) > 1,
        "number_found": sum(1 for answer in found if answer.hits),
        "ask_form": _ask_form(request, found),
    }
    return render(request, "refunds/search.html", context)


def _only(lines: list[identifiers.Line], number: str) -> list[identifiers.Line]:
    """The one line, understood in one of its ways; none where that was not asked for, or there is no such way."""
    if len(lines) != 1 or not number.isascii() or not number.isdigit():
        return []
    [line] = lines
    return [replace(line, readings=(reading,)) for at, reading in enumerate(line.readings, 1) if at == int(number)]


@require_safe
@allowed(Action.READ_REFUNDS)
def suggest(request: SignedInRequest) -> HttpResponse:
    """What is found already while somebody types; nothing until it is known what that may be."""
    pasted = request.GET.get("q", "")[:_LONGEST_QUERY]
    lines = identifiers.read(pasted)
    context: dict[str, Any] = {"pasted": pasted, "lines": len(lines)}
    if len(lines) == 1 and searching.is_recognized(lines[0]):
        [context["single"]] = searching.search(refunds_of(request.user), lines, Viewer.of(request))
    return render(request, "refunds/_suggestions.html", context)


def _ask_form(request: SignedInRequest, found: list[searching.Found]) -> AskForm | None:
    """The offer to ask a processor: only for one id that nobody here knows."""
    if len(found) != 1 or found[0].hits or not may(request.user, Action.SYNC_REFUNDS):
        return None
    ids = [reading.value for reading in found[0].line.readings if reading.kind is identifiers.Kind.ID]
    return AskForm(user=request.user, initial={"refund_id": ids[-1]}) if ids else None


@require_POST
@allowed(Action.SYNC_REFUNDS)
def ask(request: SignedInRequest) -> HttpResponse:
    """Ask the chosen account's processor about an id, now."""
    form = AskForm(request.POST, user=request.user)
    if not form.is_valid():
        context = {"ask_form": form, "pasted": request.POST.get("refund_id", ""), "found": []}
        return render(request, "refunds/search.html", context)
    result = get_refund(form.cleaned_data["account"], form.cleaned_data["refund_id"], live=True)
    if result.refund is not None:
        messages.success(request, result.message)
        return redirect(result.refund)
    context = {"ask_form": form, "pasted": form.cleaned_data["refund_id"], "found": [], "result": result}
    return render(request, "refunds/search.html", context)
