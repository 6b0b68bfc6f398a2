"""Accounts: do we hear from each processor, and if not, why not."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from refunds.operations import health
from refunds.operations.alerts import open_alerts
from refunds.pages.access import SignedInRequest, allowed
from refunds.permissions import Action, accounts_of


@require_safe
@allowed(Action.SEE_DELIVERIES)
def accounts(request: SignedInRequest) -> HttpResponse:
    visible = accounts_of(request.user)
    alerts = open_alerts(visible)
    return render(
        request, "refunds/accounts.html", {"healths": health.with_backlogs(health.health(visible)), "alerts": alerts}
    )
