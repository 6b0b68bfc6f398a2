"""Dry runs: what applying a delivery would change, shown before it is done."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import DatabaseError, transaction

from connectors.models import WebhookDelivery
from refunds.models import Alert, Refund
from refunds.services import reading, recording


@dataclass(frozen=True, slots=True)
class DryRunChange:
    """One refund, what is shown of it before and after; `note` says why nothing changes, what is refused, or what
    would be new beside it: observations, alerts."""

    connector_refund_id: str
    before: str
    after: str
    note: str = ""


class _Undo(Exception):
    """Ends the rehearsal's transaction without a trace."""


def dry_run(delivery: WebhookDelivery) -> list[DryRunChange]:
    """Apply the delivery in a transaction that is always rolled back, and tell the difference."""
    found = reading.read(delivery)
    if not isinstance(found, reading.Read):
        return [DryRunChange("", "", "", f"cannot be read: {found.error}")]
    try:
        changes = _rehearse(found)
    except (DatabaseError, ValueError) as error:
        return [DryRunChange("", "", "", f"cannot be recorded: {type(error).__name__}: {error}")]
    hints = [DryRunChange(h.reference.connector_refund_id, "", "", "would ask the processor") for _, h in found.hints]
    refused = [DryRunChange("", "", "", reason) for reason in found.refused]
    return changes + hints + refused


def _rehearse(found: reading.Read) -> list[DryRunChange]:
    keys = list(dict.fromkeys((item.account_id, item.connector_refund_id) for item in found.facts))
    changes: list[DryRunChange] = []
    try:
        with transaction.atomic():
            newest_alert = Alert.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
            before = {key: _state(*key) for key in keys}
            recording.record(found.facts)
            changes = [_change(key[1], before[key], _state(*key)) for key in keys]
            changes += [_alert(alert) for alert in Alert.objects.filter(pk__gt=newest_alert).order_by("pk")]
            raise _Undo
    except _Undo:
        return changes


@dataclass(frozen=True, slots=True)
class _State:
    shown: str
    observations: int


def _state(account_id: int, connector_refund_id: str) -> _State:
    refund = Refund.objects.filter(account_id=account_id, connector_refund_id=connector_refund_id).first()
    if refund is None:
        return _State("not known", 0)
    return _State(f"{refund.status} ({refund.stage_word})", refund.observations.count())


def _change(connector_refund_id: str, before: _State, after: _State) -> DryRunChange:
    new = after.observations - before.observations
    observations = f"{new} new observation{'s' if new > 1 else ''}" if new else ""
    if before.shown != after.shown:
        note = observations
    elif new:
        note = f"no change: something newer is known; {observations}"
    else:
        note = "no change: already known"
    return DryRunChange(connector_refund_id, before.shown, after.shown, note)


def _alert(alert: Alert) -> DryRunChange:
    return DryRunChange("", "", "", f"would alert: {alert.get_kind_display()}, {alert.subject}")
