"""Alerts: read, and closed when somebody has seen to them."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from refunds.admin.base import ByRole
from refunds.models import Alert
from refunds.permissions import Action


@admin.register(Alert)
class AlertAdmin(ByRole):
    see = Action.SEE_DELIVERIES
    list_display = ("kind", "subject", "account", "message", "count", "last_at", "closed_at")
    list_filter = (("closed_at", admin.EmptyFieldListFilter), "kind", "account")
    list_select_related = ("account",)
    search_fields = ("subject", "message")
    fields = ("kind", "subject", "account", "message", "first_at", "last_at", "count", "closed_at")
    actions = ("close",)

    @admin.action(description="Close: somebody has seen to it", permissions=["view"])
    def close(self, request: HttpRequest, alerts: QuerySet[Alert]) -> None:
        still_open = list(alerts.filter(closed_at__isnull=True))
        closed = alerts.filter(closed_at__isnull=True).update(closed_at=timezone.now())
        for alert in still_open:
            self.log_change(request, alert, "Closed.")
        self.message_user(request, f"{closed} alerts closed. What goes on being wrong opens anew.", messages.SUCCESS)
