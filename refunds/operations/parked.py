"""Parked deliveries by endpoint and reason: what goes wrong for one usually goes wrong for many."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from connectors.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from refunds.operations.figures import COUNTED_TO

CHOSEN_AT_ONCE = 100
"""How many chosen deliveries one replay or dismissal takes, and how many of a reason its page shows."""
_REASON_LENGTH = 200
_READ_AT_ONCE = 500
# What tells two deliveries apart and not two reasons: ids, numbers, quoted words.
_PARTICULAR = re.compile(r"'[^']*'|\"[^\"]*\"|\b\w*\d\w*\b")
# Whose deliveries they are tells two reasons apart, though it may look like an id.
_WHOSE = re.compile(r"merchant account (.+?) \((?:live|test|any mode)\)")


@dataclass(slots=True)
class ParkedReason:
    """Deliveries of one endpoint that were parked for the same reason, the newest first. `text` is the newest one's."""

    key: str
    text: str
    endpoint_id: int
    ids: list[int] = field(default_factory=list)
    endpoint: WebhookEndpoint | None = None
    last_received_at: dt.datetime | None = None
    first_received_at: dt.datetime | None = None


def reasons(*, up_to: int | None = None) -> list[ParkedReason]:
    """The newest parked deliveries by reason, the most frequent reason first; at most COUNTED_TO are read, none newer
    than `up_to`."""
    parked = WebhookDelivery.objects.filter(state=DeliveryState.PARKED).order_by("-id")
    if up_to is not None:
        parked = parked.filter(id__lte=up_to)
    found: dict[str, ParkedReason] = {}
    rows = parked.values_list("id", "endpoint_id", "received_at", "error")[:COUNTED_TO]
    for pk, endpoint_id, received_at, error in rows.iterator(chunk_size=_READ_AT_ONCE):
        key = _key(endpoint_id, error)
        if key not in found:
            found[key] = ParkedReason(key, error[:_REASON_LENGTH], endpoint_id, last_received_at=received_at)
        found[key].ids.append(pk)
        found[key].first_received_at = received_at
    return sorted(found.values(), key=lambda reason: -len(reason.ids))


def with_endpoints(found: list[ParkedReason]) -> list[ParkedReason]:
    """The same, each with its endpoint, and the endpoint with its accounts."""
    wanted = {reason.endpoint_id for reason in found}
    endpoints = WebhookEndpoint.objects.prefetch_related("accounts").in_bulk(wanted)
    for reason in found:
        reason.endpoint = endpoints.get(reason.endpoint_id)
    return found


def of_reason(key: str) -> ParkedReason | None:
    return next((reason for reason in reasons() if reason.key == key), None)


def seen_of_reason(key: str, seen: Collection[int]) -> ParkedReason | None:
    """Those of a reason that somebody saw. What was parked since is left out, also where it came before."""
    if not seen:
        return None
    reason = next((reason for reason in reasons(up_to=max(seen)) if reason.key == key), None)
    if reason is not None:
        reason.ids = [pk for pk in reason.ids if pk in seen]
    return reason if reason and reason.ids else None


def _key(endpoint_id: int, error: str) -> str:
    whose = sorted(set(_WHOSE.findall(error)))
    said = f"{endpoint_id} {whose} {_PARTICULAR.sub('#', error)}"
    return hashlib.sha256(said.encode()).hexdigest()[:16]
