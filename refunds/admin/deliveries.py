"""Webhook deliveries: to be looked at and replayed, first dry; never edited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from connectors import inbox
from connectors.models import DeliveryState, WebhookDelivery
from refunds import services
from refunds.admin.base import ByRole
from refunds.permissions import Action, may
from refunds.redaction import redact

MOST_AT_ONCE = 100
_LONGEST_ID = 18


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
        ids = ",".join(str(pk) for pk in deliveries.order_by("id").values_list("id", flat=True)[: MOST_AT_ONCE + 1])
        return redirect(f"{reverse('admin:connectors_webhookdelivery_replay')}?ids={ids}")

    def get_urls(self) -> list[URLPattern]:
        replay = self.admin_site.admin_view(self.replay_view)
        return [path("replay/", replay, name="connectors_webhookdelivery_replay"), *super().get_urls()]

    def replay_view(self, request: HttpRequest) -> HttpResponse:
        """GET shows what a replay would change, POST does it."""
        if not self.has_replay_permission(request):
            raise PermissionDenied
        # A longer number is no delivery's: no column holds it.
        texts = request.GET.get("ids", "").split(",")
        ids = [int(text) for text in texts if text.isdecimal() and len(text) <= _LONGEST_ID]
        if len(ids) > MOST_AT_ONCE:
            note = f"At most {MOST_AT_ONCE} at once here; `manage.py deliveries replay` takes any number."
            self.message_user(request, note, messages.ERROR)
            return self._back()
        deliveries = WebhookDelivery.objects.filter(pk__in=ids).exclude(state=DeliveryState.WAITING).order_by("id")
        if request.method == "POST":
            return self._replay_now(request, deliveries)
        rehearsals = [(delivery, services.dry_run(delivery)) for delivery in deliveries]
        title = f"Replay {len(rehearsals)} deliveries"
        waiting = len(set(ids)) - len(rehearsals)
        return self.page(request, "replay.html", title=title, rehearsals=rehearsals, left_out=waiting)

    def _replay_now(self, request: HttpRequest, deliveries: QuerySet[WebhookDelivery]) -> HttpResponse:
        found = list(deliveries)
        replayed = inbox.replay([delivery.pk for delivery in found])
        inbox.deliveries_waiting.send_robust(sender=None)
        self._note(request, found)
        self.message_user(request, f"{replayed} deliveries wait again; the worker applies them.", messages.SUCCESS)
        return self._back()

    def _note(self, request: HttpRequest, deliveries: list[WebhookDelivery]) -> None:
        for delivery in deliveries:
            self.log_change(request, delivery, "Replayed.")

    def _back(self) -> HttpResponse:
        return redirect(reverse("admin:connectors_webhookdelivery_changelist"))

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        replay = f"{reverse('admin:connectors_webhookdelivery_replay')}?ids={object_id}"
        extra = {"replay_url": replay if self.has_replay_permission(request) else "", **(extra_context or {})}
        return super().change_view(request, object_id, form_url, extra)
