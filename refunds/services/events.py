"""HandleEvent: another system received a processor's webhook and hands it in; it is verified, kept and applied here."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.utils import timezone

from connectors import inbox
from connectors.contract import (
    Acknowledgement,
    Delivery,
    Fact,
    Hint,
    Item,
    Mark,
    SignatureExpired,
    SignatureInvalid,
    Unreadable,
)  # fmt: skip
from connectors.models import ConnectorAccount, WebhookDelivery, WebhookEndpoint
from refunds.models import Refund
from refunds.services import deliveries, reading
from refunds.services.syncing import get_refund


class UnverifiedEvent(Exception):
    """No secret of the account's endpoints vouches for these bytes; nothing was kept."""


@dataclass(frozen=True, slots=True)
class UnifiedEvent:
    """One event in our words; `kind` is fact, hint, mark or unreadable."""

    event_type: str
    kind: str
    source_verified: bool
    refund: Refund | None
    native_status: str = ""
    stage: str = ""
    note: str = ""
    live: bool = False
    answer: str = ""


@dataclass(frozen=True, slots=True)
class HandledEvent:
    """What the events were, and the acknowledgement the receiving system should give the processor."""

    delivery_id: int
    duplicate: bool
    late: bool
    events: list[UnifiedEvent]
    acknowledgement: Acknowledgement


def handle_event(account: ConnectorAccount, delivery: Delivery, *, verify_with_processor: bool) -> HandledEvent:
    """Verify a relayed delivery with the account's endpoints' secrets, keep it and apply it at once.

    An event older than the tolerance is authentic but late: it only makes us ask. Raises UnverifiedEvent.
    """
    # Nobody receives anything in the future; a clock that is ahead must not put the delivery off.
    delivery = replace(delivery, received_at=min(delivery.received_at, timezone.now()))
    endpoint, late = _verified_by(account, delivery)
    connector = endpoint.connector_class()
    row = inbox.row_of(endpoint.pk, delivery, connector, hint_only=late)
    kept = WebhookDelivery.objects.filter(endpoint=endpoint, dedupe_key=row.dedupe_key)
    duplicate = kept.exists()
    inbox.keep([row], using="default")
    found = kept.get()
    deliveries.apply_one(found.pk)
    items = _items(found)
    events = [_unified(item, account, found) for item in items]
    if verify_with_processor:
        events = [_verified_live(event, item, account) for event, item in zip(events, items, strict=True)]
    return HandledEvent(found.pk, duplicate, late, events, connector.acknowledgement)


def _verified_by(account: ConnectorAccount, delivery: Delivery) -> tuple[WebhookEndpoint, bool]:
    """The endpoint whose secret vouches for the bytes, and whether their signature is too old by now.

    Freshness is judged by our own clock, not by when the caller says it received them.
    """
    now, expired = timezone.now(), None
    as_if_just_received = replace(delivery, received_at=now)
    for endpoint in account.endpoints.filter(enabled=True):
        try:
            endpoint.connector_class().verify_webhook(as_if_just_received, endpoint.live_secrets(now))
        except SignatureExpired:
            expired = expired or endpoint
        except SignatureInvalid:
            continue
        else:
            return endpoint, False
    if expired is not None:
        return expired, True
    raise UnverifiedEvent("no secret of this account's endpoints vouches for this event")


def _items(kept: WebhookDelivery) -> list[Item]:
    found = reading.read(kept)
    if isinstance(found, reading.Read):
        return found.items
    # Authentic, but this release cannot read it: kept and parked like any other such delivery.
    return [Unreadable(reason=found.error)]


def _unified(item: Item, account: ConnectorAccount, found: WebhookDelivery) -> UnifiedEvent:
    if isinstance(item, Unreadable):
        return UnifiedEvent(item.event_type, "unreadable", True, None, note=item.reason)
    if not reading.speaks_for(item.scope, account):
        note = "for another merchant account or mode; not applied"
        return UnifiedEvent(item.event_type, "refused", True, None, note=note)
    if isinstance(item, Fact):
        return _unified_fact(item, account, found)
    refund = _refund(account, item.reference.connector_refund_id)
    if isinstance(item, Mark):
        return UnifiedEvent(item.event_type, "mark", True, refund, note=item.kind.value)
    return UnifiedEvent(item.event_type, "hint", True, refund, note=_hint_note(item))


def _unified_fact(fact: Fact, account: ConnectorAccount, found: WebhookDelivery) -> UnifiedEvent:
    return UnifiedEvent(
        event_type=fact.event_type,
        kind="hint" if found.hint_only else "fact",
        source_verified=True,
        refund=_refund(account, fact.connector_refund_id),
        native_status=fact.native_status,
        stage=fact.stage.word if fact.stage else "",
        note="late: the processor will be asked" if found.hint_only else "",
    )


def _hint_note(hint: Hint) -> str:
    return f"report announced: {hint.report.name}" if hint.report else "the processor will be asked"


def _verified_live(event: UnifiedEvent, item: Item, account: ConnectorAccount) -> UnifiedEvent:
    """The same event with the refund as the processor describes it now, where it can be asked."""
    refund_id = _refund_id_of(item)
    if not refund_id or event.kind == "refused":
        return event
    result = get_refund(account, refund_id, live=True)
    return replace(
        event, refund=result.refund or event.refund, note=result.message, live=result.live, answer=result.answer
    )


def _refund_id_of(item: Item) -> str:
    if isinstance(item, Unreadable):
        return ""
    return item.connector_refund_id if isinstance(item, Fact) else item.reference.connector_refund_id


def _refund(account: ConnectorAccount, connector_refund_id: str) -> Refund | None:
    if not connector_refund_id:
        return None
    known = Refund.objects.select_related("account")
    return known.filter(account=account, connector_refund_id=connector_refund_id).first()
