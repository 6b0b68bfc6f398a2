"""Deliveries somebody chose: by their ids, or all that are parked for one reason."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404

from connectors.models import DeliveryState, WebhookDelivery
from refunds.operations import parked
from refunds.operations.parked import CHOSEN_AT_ONCE
from refunds.pages.access import SignedInRequest

_LONGEST_ID = 18


@dataclass(slots=True)
class Chosen:
    """`ids` are shown, `all_ids` are done. `of_reason` where they are all that were parked for one reason."""

    title: str
    ids: list[int]
    all_ids: list[int] = field(default_factory=list)
    of_reason: bool = False

    @property
    def seen(self) -> str:
        """What the page's form sends back, so that nothing is done that nobody saw."""
        return ",".join(map(str, self.all_ids)) if self.of_reason else ""

    @property
    def not_waiting(self) -> QuerySet[WebhookDelivery]:
        return WebhookDelivery.objects.exclude(state=DeliveryState.WAITING).filter(pk__in=self.all_ids).order_by("id")

    @property
    def parked(self) -> QuerySet[WebhookDelivery]:
        return WebhookDelivery.objects.filter(state=DeliveryState.PARKED, pk__in=self.all_ids).order_by("id")


def chosen(request: SignedInRequest, *, command: str) -> Chosen | None:
    """The deliveries of a `reason`, or those of `ids`; None where there are too many, and the person was told of the
    command that takes any number. 404 where nothing is parked for the reason any more.

    A POST for a reason says in `seen` which ones the page showed; what was parked since is not among them.
    """
    if "reason" in request.GET:
        return _of_reason(request)
    ids = _numbers(request.GET.get("ids", ""))
    if len(ids) <= CHOSEN_AT_ONCE:
        return Chosen("Chosen deliveries", ids, ids)
    messages.error(request, f"At most {CHOSEN_AT_ONCE} at once here; `manage.py {command}` takes any number.")
    return None


def _of_reason(request: SignedInRequest) -> Chosen:
    key = request.GET["reason"]
    if request.method == "POST":
        reason = parked.seen_of_reason(key, set(_numbers(request.POST.get("seen", ""))))
    else:
        reason = parked.of_reason(key)
    if reason is None:
        raise Http404("Nothing is parked for this reason any more.")
    return Chosen(f"Parked: {reason.text}", reason.ids[:CHOSEN_AT_ONCE], reason.ids, of_reason=True)


def _numbers(text: str) -> list[int]:
    """A longer number is no delivery's: no column holds it."""
    return sorted({int(part) for part in text.split(",") if part.isdecimal() and len(part) <= _LONGEST_ID})
