"""Dry runs: what applying a delivery would change, shown before it is done."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from connectors.contract import MalformedAnswer
from connectors.models import WebhookDelivery
from refunds.models import Refund
from refunds.services import deliveries, recording


@dataclass(frozen=True, slots=True)
class DryRunChange:
    """One refund, what is shown of it before and after; `note` says why nothing changes, or what is refused."""

    connector_refund_id: str
    before: str
    after: str
    note: str = ""


class _Undo(Exception):
    """Ends the rehearsal's transaction without a trace."""


def dry_run(delivery: WebhookDelivery) -> list[DryRunChange]:
    """Apply the delivery in a transaction that is always rolled back, and tell the difference."""
    try:
        found = deliveries.read(delivery, deliveries.with_endpoints([delivery]))
    except MalformedAnswer as error:
        return [DryRunChange("", "", "", f"cannot be read: {error}")]
    refused = [DryRunChange("", "", "", reason) for reason in found.refused]
    changes: list[DryRunChange] = []
    keys = [(item.account_id, item.connector_refund_id) for item in found.facts]
    try:
        with transaction.atomic():
            before = {key: _shown(*key) for key in keys}
            recording.record(found.facts)
            changes = [_change(key, before[key], _shown(*key)) for key in dict.fromkeys(keys)]
            raise _Undo
    except _Undo:
        pass
    hints = [DryRunChange(h.reference.connector_refund_id, "", "", "would ask the processor") for _, h in found.hints]
    return changes + hints + refused


def _shown(account_id: int, connector_refund_id: str) -> str:
    refund = Refund.objects.filter(account_id=account_id, connector_refund_id=connector_refund_id).first()
    return f"{refund.status} ({refund.stage_word})" if refund else "not known"


def _change(key: tuple[int, str], before: str, after: str) -> DryRunChange:
    return DryRunChange(
        key[1], before, after, "no change: already known, or something newer is" if before == after else ""
    )
