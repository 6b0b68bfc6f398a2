"""Webhook deliveries: to be looked at, replayed, first dry, and dismissed with a reason; never edited."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from connectors.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from refunds import services
from refunds.admin.base import ByRole
from refunds.operations.parked import CHOSEN_AT_ONCE
from refunds.permissions import Action, may
from refunds.redaction import redact

_LONGEST_ID = 18
"""A longer number is no delivery's: no column holds it."""


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ByRole):
    see = Action.SEE_DELIVERIES
    list_display = ("id", "received_at", "endpoint", "state", "attempts", "said")
    list_filter = ("state", "endpoint", "hint_only")
    list_select_related = ("endpoint",)
    search_fields = ("=id", "=dedupe_key")
    fields = (
        "endpoint", "received_at", "state", "attempts", "next_attempt", "error", "outcome", "finished_at",
        "dismissed_at", "dismissed_by", "dismissed_because", "hint_only", "dedupe_key", "kept_headers", "redacted_body",
    )  # fmt: skip
    actions = ("replay", "dismiss", "undismiss")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        return super().get_queryset(request).defer("body")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WebhookDelivery], search_term: str
    ) -> tuple[QuerySet[WebhookDelivery], bool]:
        """A key is looked for at each endpoint: the index that holds it begins with the endpoint, and without one the
        whole inbox would be read."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(endpoint__in=list(WebhookEndpoint.objects.values_list("pk", flat=True)), dedupe_key=term)
        if term.isdecimal() and len(term) <= _LONGEST_ID:
            found |= Q(pk=int(term))
        return queryset.filter(found), False

    @admin.display(description="next attempt at")
    def next_attempt(self, delivery: WebhookDelivery) -> str | dt.datetime:
        return delivery.next_attempt_at if delivery.state == DeliveryState.WAITING else "none"

    @admin.display(description="error or outcome")
    def said(self, delivery: WebhookDelivery) -> str:
        return (delivery.error or delivery.outcome)[:120]

    @admin.display(description="headers")
    def kept_headers(self, delivery: WebhookDelivery) -> SafeString:
        """Signatures only by name: nobody needs them to read, and somebody could post them again."""
        lines = [f"{k}: {'<hidden>' if 'signature' in k else v}" for k, v in sorted(delivery.headers.items())]
        return format_html("<pre>{}</pre>", "\n".join(lines) or "none kept")

    @admin.display(description="body, redacted")
    def redacted_body(self, delivery: WebhookDelivery) -> SafeString:
        return format_html("<pre>{}</pre>", redact(bytes(delivery.body)))

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Action.REPLAY_DELIVERIES)

    def has_dismiss_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Action.DISMISS_DELIVERIES)

    @admin.action(description="Replay: show first what it would change", permissions=["replay"])
    def replay(self, request: HttpRequest, deliveries: QuerySet[WebhookDelivery]) -> HttpResponse:
        return redirect(f"{reverse('replay')}?ids={_ids(deliveries)}")

    @admin.action(description="Dismiss: set parked ones aside for good, with a reason", permissions=["dismiss"])
    def dismiss(self, request: HttpRequest, deliveries: QuerySet[WebhookDelivery]) -> HttpResponse:
        return redirect(f"{reverse('dismiss')}?ids={_ids(deliveries)}")

    @admin.action(description="Park dismissed ones again", permissions=["dismiss"])
    def undismiss(self, request: HttpRequest, deliveries: QuerySet[WebhookDelivery]) -> None:
        found = list(deliveries.select_related(None).filter(state=DeliveryState.DISMISSED).only("pk"))
        parked = services.undismiss_deliveries([each.pk for each in found], by=str(request.user))
        for each in found:
            self.log_change(request, each, "Parked again.")
        self.message_user(request, f"Parked again: {parked}.")

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        chosen = f"?ids={object_id}"
        extra = {
            "replay_url": reverse("replay") + chosen if self.has_replay_permission(request) else "",
            "dismiss_url": reverse("dismiss") + chosen if self.has_dismiss_permission(request) else "",
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, extra)


def _ids(deliveries: QuerySet[WebhookDelivery]) -> str:
    """Of those that were chosen; one more than may be, where there are too many."""
    return ",".join(str(pk) for pk in deliveries.order_by("id").values_list("id", flat=True)[: CHOSEN_AT_ONCE + 1])
