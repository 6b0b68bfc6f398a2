"""Dismissing: parked deliveries that nobody will ever replay are set aside for good, with who, when and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import structlog
from django.db import transaction

from connectors import inbox
from connectors.models import DeliveryState, WebhookDelivery
from refunds.models import Alert, AlertKind

log = structlog.get_logger(__name__)


AT_ONCE = 500


class NoReason(ValueError):
    """A dismissal without a reason says nothing to whoever comes next."""


def dismiss_deliveries(delivery_ids: Sequence[int], *, by: str, reason: str) -> int:
    """Dismiss those of these deliveries that are parked; returns how many. Raises NoReason.

    Alerts about parked deliveries are closed at endpoints where nothing is parked any more.
    """
    if not reason.strip():
        raise NoReason("say why they are dismissed")
    dismissed = 0
    for ids in _batches(delivery_ids):
        with transaction.atomic(durable=True):
            dismissed += inbox.dismiss(ids, by=by, reason=reason.strip())
            _close_alerts(ids)
    log.info("deliveries_dismissed", deliveries=dismissed, by=by)
    return dismissed


def undismiss_deliveries(delivery_ids: Sequence[int], *, by: str) -> int:
    """Park dismissed deliveries again; returns how many."""
    parked = sum(inbox.undismiss(ids) for ids in _batches(delivery_ids))
    log.info("deliveries_undismissed", deliveries=parked, by=by)
    return parked


def _batches(delivery_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """A statement takes only so many numbers, and a transaction is not to be long."""
    for start in range(0, len(delivery_ids), AT_ONCE):
        yield delivery_ids[start : start + AT_ONCE]


def _close_alerts(delivery_ids: Sequence[int]) -> None:
    of_these = WebhookDelivery.objects.filter(pk__in=delivery_ids, state=DeliveryState.DISMISSED).order_by()
    parked = WebhookDelivery.objects.filter(state=DeliveryState.PARKED)
    for endpoint_id in of_these.values_list("endpoint_id", flat=True).distinct():
        if not parked.filter(endpoint_id=endpoint_id).exists():
            for kind in (AlertKind.DELIVERY_PARKED, AlertKind.NOT_OURS):
                Alert.close(kind, subject=f"endpoint {endpoint_id}")
