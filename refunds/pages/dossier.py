"""A refund's dossier: everything that is known of it, each statement with what proves it, to print or to keep."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from connectors.models import WebhookDelivery
from refunds.history import History, TimelineEntry


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement. `digest`: SHA-256, in hex, of the body of the webhook that made it, byte for byte as it came;
    empty where no webhook made it, or the delivery is not kept any more."""

    entry: TimelineEntry
    digest: str


def evidence(history: History) -> list[Piece]:
    """Every statement, oldest first; one query."""
    numbers = {number for entry in history.entries if (number := entry.observation.delivery_id) is not None}
    bodies = WebhookDelivery.objects.filter(pk__in=numbers).values_list("pk", "body")
    digests = {pk: hashlib.sha256(body).hexdigest() for pk, body in bodies.iterator(chunk_size=1)}
    return [Piece(entry, digests.get(entry.observation.delivery_id or 0, "")) for entry in history.entries]
