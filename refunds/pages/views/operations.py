"""Operations: whether the house is well, what is wrong, and replaying what was parked."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_http_methods, require_safe

from connectors import inbox
from connectors.models import DeliveryState, WebhookDelivery
from refunds import services
from refunds.operations import parked
from refunds.operations.overview import overview
from refunds.operations.parked import REPLAYED_AT_ONCE
from refunds.pages.access import SignedInRequest, allowed
from refunds.permissions import Action, accounts_of, may

_LONGEST_ID = 18


@require_safe
@allowed(Action.SEE_DELIVERIES)
def operations(request: SignedInRequest) -> HttpResponse:
    """The page, or what is inside it for htmx."""
    partial = bool(request.htmx) and not request.htmx.history_restore_request
    context = {
        "overview": overview(accounts_of(request.user)),
        "may_replay": may(request.user, Action.REPLAY_DELIVERIES),
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


@dataclass(slots=True)
class _Asked:
    """Which deliveries somebody wants to see replayed: `ids` are shown, `all_ids` are done."""

    title: str
    ids: list[int]
    all_ids: list[int] = field(default_factory=list)

    @property
    def deliveries(self) -> QuerySet[WebhookDelivery]:
        """All that a replay takes; what waits already is left out."""
        rows = WebhookDelivery.objects.exclude(state=DeliveryState.WAITING).order_by("id")
        return rows.filter(pk__in=self.all_ids)


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Action.REPLAY_DELIVERIES)
def replay(request: SignedInRequest) -> HttpResponse:
    """GET shows what a replay of `ids`, or of all that were parked for a `reason`, would change; POST does it."""
    asked = _asked_reason(request) if "reason" in request.GET else _asked_ids(request)
    if asked is None:
        note = f"At most {REPLAYED_AT_ONCE} at once here; `manage.py deliveries replay` takes any number."
        messages.error(request, note)
        return redirect("operations")
    if request.method == "POST":
        return _replay_now(request, asked)
    rehearsals = [(delivery, services.dry_run(delivery)) for delivery in asked.deliveries.filter(pk__in=asked.ids)]
    context = {
        "title": asked.title,
        "rehearsals": rehearsals,
        "number": asked.deliveries.count(),
        "left_out": len(asked.ids) - len(rehearsals),
    }
    return render(request, "operations/replay.html", context)


def _asked_reason(request: SignedInRequest) -> _Asked:
    reason = parked.of_reason(request.GET["reason"])
    if reason is None:
        raise Http404("Nothing is parked for this reason any more.")
    return _Asked(f"Parked: {reason.text}", reason.ids[:REPLAYED_AT_ONCE], reason.ids)


def _asked_ids(request: SignedInRequest) -> _Asked | None:
    """None where there are too many."""
    # A longer number is no delivery's: no column holds it.
    texts = request.GET.get("ids", "").split(",")
    ids = sorted({int(text) for text in texts if text.isdecimal() and len(text) <= _LONGEST_ID})
    return _Asked("Chosen deliveries", ids, ids) if len(ids) <= REPLAYED_AT_ONCE else None


def _replay_now(request: SignedInRequest, asked: _Asked) -> HttpResponse:
    found = list(asked.deliveries.only("pk"))
    replayed = inbox.replay([delivery.pk for delivery in found])
    inbox.deliveries_waiting.send_robust(sender=None)
    LogEntry.objects.log_actions(request.user.pk, found, CHANGE, "Replayed.")
    word = "delivery waits" if replayed == 1 else "deliveries wait"
    messages.success(request, f"{replayed:,} {word} again; the worker applies them.")
    return redirect("operations")
