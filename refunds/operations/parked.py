"""Parked deliveries by their reason: what goes wrong for one usually goes wrong for many."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from dataclasses import dataclass, field

from django.db.models.functions import Left

from connectors.models import DeliveryState, WebhookDelivery
from refunds.operations.figures import COUNTED_TO

REPLAYED_AT_ONCE = 100
"""How many chosen deliveries one replay takes, and how many of a reason its dry run shows."""
_REASON_LENGTH = 200
# What tells two deliveries apart and not two reasons: ids, numbers, quoted words.
_PARTICULAR = re.compile(r"'[^']*'|\"[^\"]*\"|\b\w*\d\w*\b")


@dataclass(slots=True)
class ParkedReason:
    """Deliveries parked for the same reason, the newest first. `text` is the newest one's."""

    key: str
    text: str
    ids: list[int] = field(default_factory=list)
    endpoint_ids: set[int] = field(default_factory=set)
    last_received_at: dt.datetime | None = None
    first_received_at: dt.datetime | None = None


def reasons() -> list[ParkedReason]:
    """The newest parked deliveries by reason, the most frequent reason first; up to COUNTED_TO deliveries are read."""
    parked = WebhookDelivery.objects.filter(state=DeliveryState.PARKED).order_by("-id")
    found: dict[str, ParkedReason] = {}
    rows = parked.values_list("id", "endpoint_id", "received_at", Left("error", _REASON_LENGTH))
    for pk, endpoint_id, received_at, error in rows[:COUNTED_TO]:
        reason = found.setdefault(_key(error), ParkedReason(_key(error), error, last_received_at=received_at))
        reason.ids.append(pk)
        reason.endpoint_ids.add(endpoint_id)
        reason.first_received_at = received_at
    return sorted(found.values(), key=lambda reason: -len(reason.ids))


def of_reason(key: str) -> ParkedReason | None:
    return next((reason for reason in reasons() if reason.key == key), None)


def _key(error: str) -> str:
    return hashlib.sha256(_PARTICULAR.sub("#", error).encode()).hexdigest()[:16]
