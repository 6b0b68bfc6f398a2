"""Webhook deliveries: to be looked at and replayed, first dry; never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from connectors.models import WebhookDelivery
from refunds.admin.base import ByRole
from refunds.operations.parked import REPLAYED_AT_ONCE
from refunds.permissions import Action, may
from refunds.redaction import redact


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ByRole):
    see = Action.SEE_DELIVERIES
    list_display = ("id", "received_at", "endpoint", "state", "attempts", "said")
    list_filter = ("state", "endpoint", "hint_only")
    list_select_related = ("endpoint",)
    search_fields = ("=id", "=dedupe_key")
    fields = (
        "endpoint", "received_at", "state", "attempts", "next_attempt_at", "error", "outcome", "finished_at",
        "hint_only", "dedupe_key", "kept_headers", "redacted_body",
    )  # fmt: skip
    actions = ("replay",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        return super().get_queryset(request).defer("body")

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

    @admin.action(description="Replay: show first what it would change", permissions=["replay"])
    def replay(self, request: HttpRequest, deliveries: QuerySet[WebhookDelivery]) -> HttpResponse:
        ids = ",".join(str(pk) for pk in deliveries.order_by("id").values_list("id", flat=True)[: REPLAYED_AT_ONCE + 1])
        return redirect(f"{reverse('replay')}?ids={ids}")

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        replay = f"{reverse('replay')}?ids={object_id}"
        extra = {"replay_url": replay if self.has_replay_permission(request) else "", **(extra_context or {})}
        return super().change_view(request, object_id, form_url, extra)
