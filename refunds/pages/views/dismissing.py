"""Parked deliveries are dismissed with a reason, seen again, and taken back."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.paginator import Page, Paginator
from django.db.models import Count, Max, Min
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from connectors.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from refunds import services
from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.chosen import Chosen, chosen
from refunds.pages.forms import DismissForm
from refunds.permissions import Action, may

_ON_A_PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
@allowed(Action.DISMISS_DELIVERIES)
def dismiss(request: SignedInRequest) -> HttpResponse:
    """GET shows the parked deliveries of `ids`, or of a `reason`, and asks why; POST dismisses them."""
    asked = chosen(request, command="deliveries dismiss")
    if asked is None:
        return redirect("operations")
    form = DismissForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return _dismiss_now(request, asked, form.cleaned_data["reason"])
    context = {
        "title": asked.title,
        "seen": asked.seen,
        "form": form,
        "number": asked.parked.count(),
        "deliveries": asked.parked.filter(pk__in=asked.ids).prefetch_related("endpoint__accounts").defer("body"),
    }
    return render(request, "operations/dismiss.html", context, status=400 if form.errors else 200)


def _dismiss_now(request: SignedInRequest, asked: Chosen, reason: str) -> HttpResponse:
    found = list(asked.parked.only("pk"))
    by = request.user.get_username()
    dismissed = services.dismiss_deliveries([delivery.pk for delivery in found], by=by, reason=reason)
    LogEntry.objects.log_actions(request.user.pk, found, CHANGE, f"Dismissed: {reason}")
    word = "delivery is" if dismissed == 1 else "deliveries are"
    messages.success(request, f"{dismissed:,} {word} dismissed and kept. Here it can be taken back.")
    return redirect("dismissed")


@require_safe
@allowed(Action.SEE_DELIVERIES)
def dismissed(request: SignedInRequest) -> HttpResponse:
    """Who dismissed what, when and why, the newest first."""
    rows = WebhookDelivery.objects.filter(state=DeliveryState.DISMISSED)
    groups = (
        rows.values("dismissed_at", "dismissed_by", "dismissed_because")
        .annotate(number=Count("pk"), first_received_at=Min("received_at"), last_received_at=Max("received_at"))
        .order_by("-dismissed_at")
    )
    page = Paginator(groups, _ON_A_PAGE).get_page(request.GET.get("page"))
    _add_endpoints(page)
    context = {
        "page": page,
        "may_dismiss": may(request.user, Action.DISMISS_DELIVERIES),
    }
    return render(request, "operations/dismissed.html", context)


def _add_endpoints(page: Page[Any]) -> None:
    """To each dismissal, the endpoints that its deliveries came to."""
    moments = [each["dismissed_at"] for each in page]
    rows = WebhookDelivery.objects.filter(state=DeliveryState.DISMISSED, dismissed_at__in=moments).order_by()
    pairs = set(rows.values_list("dismissed_at", "endpoint_id").distinct())
    endpoints = WebhookEndpoint.objects.prefetch_related("accounts").in_bulk({endpoint for _, endpoint in pairs})
    for each in page:
        each["endpoints"] = [endpoints[pk] for moment, pk in sorted(pairs) if moment == each["dismissed_at"]]


@require_POST
@allowed(Action.DISMISS_DELIVERIES)
def undismiss(request: SignedInRequest) -> HttpResponse:
    """Park again what was dismissed at this moment."""
    moment = _moment(request.POST.get("dismissed_at", ""))
    found = list(WebhookDelivery.objects.filter(state=DeliveryState.DISMISSED, dismissed_at=moment).only("pk"))
    if not found:
        raise Http404("Nothing that was dismissed then is still dismissed.")
    parked = services.undismiss_deliveries([delivery.pk for delivery in found], by=request.user.get_username())
    LogEntry.objects.log_actions(request.user.pk, found, CHANGE, "Parked again.")
    messages.success(request, f"{parked:,} {'delivery is' if parked == 1 else 'deliveries are'} parked again.")
    return redirect("operations")


def _moment(text: str) -> dt.datetime:
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Http404("This is no moment.")
    return moment
