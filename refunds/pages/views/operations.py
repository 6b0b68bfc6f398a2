"""Operations: whether the house is well, what is wrong, and replaying what was parked."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_http_methods, require_safe

from connectors import inbox
from refunds import services
from refunds.operations.overview import overview
from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.chosen import Chosen, chosen
from refunds.permissions import Action, accounts_of, may


@require_safe
@allowed(Action.SEE_DELIVERIES)
def operations(request: SignedInRequest) -> HttpResponse:
    """The page, or what is inside it for htmx."""
    partial = bool(request.htmx) and not request.htmx.history_restore_request
    context = {
        "overview": overview(accounts_of(request.user)),
        "may_replay": may(request.user, Action.REPLAY_DELIVERIES),
        "may_dismiss": may(request.user, Action.DISMISS_DELIVERIES),
    }
    template = "operations/_operations.html" if partial else "operations/operations.html"
    response = render(request, template, context)
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_safe
@allowed(Action.READ_REFUNDS)
def standing(request: SignedInRequest) -> HttpResponse:
    """The banner of every page, for pages that stay open."""
    return render(request, "_standstill.html")


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Action.REPLAY_DELIVERIES)
def replay(request: SignedInRequest) -> HttpResponse:
    """GET shows what a replay of `ids`, or of all that were parked for a `reason`, would change; POST does it."""
    asked = chosen(request, command="deliveries replay")
    if asked is None:
        return redirect("operations")
    if request.method == "POST":
        return _replay_now(request, asked)
    rehearsals = [(delivery, services.dry_run(delivery)) for delivery in asked.not_waiting.filter(pk__in=asked.ids)]
    context = {
        "title": asked.title,
        "seen": asked.seen,
        "rehearsals": rehearsals,
        "number": asked.not_waiting.count(),
        "left_out": len(asked.ids) - len(rehearsals),
    }
    return render(request, "operations/replay.html", context)


def _replay_now(request: SignedInRequest, asked: Chosen) -> HttpResponse:
    found = list(asked.not_waiting.only("pk"))
    replayed = inbox.replay([delivery.pk for delivery in found])
    inbox.deliveries_waiting.send_robust(sender=None)
    LogEntry.objects.log_actions(request.user.pk, found, CHANGE, "Replayed.")
    word = "delivery waits" if replayed == 1 else "deliveries wait"
    messages.success(request, f"{replayed:,} {word} again; the worker applies them.")
    return redirect("operations")
