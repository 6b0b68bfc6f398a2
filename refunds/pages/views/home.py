"""Home: what needs somebody, what changed last, and whether we hear from every account."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from refunds.models import OutboxEvent, Refund, RefundQuerySet
from refunds.operations import health
from refunds.pages import queues
from refunds.pages.access import SignedInRequest, allowed
from refunds.permissions import Action, accounts_of, refunds_of

_CHANGES_SHOWN = 10
_CHANGES_READ = 60
_ALERTS_SHOWN = 5


@require_safe
@allowed(Action.READ_REFUNDS)
def home(request: SignedInRequest) -> HttpResponse:
    refunds, accounts = refunds_of(request.user), accounts_of(request.user)
    alerts = health.open_alerts(accounts)
    context = {
        "counts": queues.counts(refunds),
        "changed": recently_changed(refunds),
        "alerts": alerts[:_ALERTS_SHOWN],
        "more_alerts": len(alerts) - _ALERTS_SHOWN,
        "healths": health.health(accounts),
    }
    return render(request, "refunds/home.html", context)


def recently_changed(refunds: RefundQuerySet) -> list[Refund]:
    """The refunds whose shown state changed last, by the outbox: it has a row for each change, in order."""
    changes = OutboxEvent.objects.order_by("-id").values_list("refund_id", flat=True)[:_CHANGES_READ]
    ids = list(dict.fromkeys(changes))
    found = refunds.select_related("account").in_bulk(ids)
    return [found[pk] for pk in ids if pk in found][:_CHANGES_SHOWN]
