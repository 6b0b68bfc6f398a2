"""Home: what needs somebody, what changed since yesterday, one's own work, and whether we hear from every account."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from refunds.models import OutboxEvent, Refund, RefundQuerySet
from refunds.operations import health
from refunds.operations.alerts import open_alerts
from refunds.pages import listing, queues
from refunds.pages.access import SignedInRequest, allowed
from refunds.pages.forms import ZONES_OFFERED
from refunds.pages.queues import Order, Queue
from refunds.pages.since_yesterday import news
from refunds.pages.viewer import Viewer
from refunds.permissions import Action, accounts_of, may, refunds_of

_CHANGES_SHOWN = 10
_CHANGES_READ = 60
_ALERTS_SHOWN = 5
_WORK_SHOWN = 5


@require_safe
@allowed(Action.READ_REFUNDS)
def home(request: SignedInRequest) -> HttpResponse:
    refunds, accounts, viewer = refunds_of(request.user), accounts_of(request.user), Viewer.of(request)
    alerts = open_alerts(accounts)
    healths = health.health(accounts)
    since = viewer.yesterday_began_at
    context = {
        "counts": queues.counts(refunds, viewer),
        "news": news(refunds, since),
        "since": f"{since.astimezone(viewer.zone):%-d %b %Y %H:%M}",
        "zone": viewer.zone.key,
        "zones": ZONES_OFFERED,
        "changed": recently_changed(refunds),
        "alerts": alerts[:_ALERTS_SHOWN],
        "more_alerts": len(alerts) - _ALERTS_SHOWN,
        "healths": healths,
        "stale": [each for each in healths if each.condition in health.STALE],
    }
    if may(request.user, Action.WORK_CASES):
        context |= {"may_work": True, "work": my_work(refunds, viewer)}
    return render(request, "refunds/home.html", context)


def my_work(refunds: RefundQuerySet, viewer: Viewer) -> list[Refund]:
    """Refunds assigned to the viewer: those with the earliest follow-up first, then the oldest of the others."""
    mine = Queue.MINE.of(refunds, viewer)
    rows = listing.page(mine, size=_WORK_SHOWN, order=Order.DUE).rows
    if len(rows) < _WORK_SHOWN:
        rest = mine.exclude(case__follow_up_on__isnull=False)
        rows += listing.page(rest, size=_WORK_SHOWN - len(rows), order=Order.OLDEST).rows
    return rows


def recently_changed(refunds: RefundQuerySet) -> list[Refund]:
    """The refunds whose shown state changed last, by the outbox: it has a row for each change, in order."""
    changes = OutboxEvent.objects.order_by("-id").values_list("refund_id", flat=True)[:_CHANGES_READ]
    ids = list(dict.fromkeys(changes))
    found = refunds.select_related("account").prefetch_related("case__assignee", "case__tags").in_bulk(ids)
    return [found[pk] for pk in ids if pk in found][:_CHANGES_SHOWN]
