"""Recording one page of a listing or of a change feed, together with how far it came."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog
from django.db import transaction

from connectors.contract import Answer, Fact, Hint, Mark, Page, RefundReference, Unreadable
from connectors.contract import Item as PageItem
from connectors.models import ConnectorAccount
from refunds.facts import Source
from refunds.models import Alert, AlertKind
from refunds.services import unrecorded
from refunds.services.deliveries import follow_hints, keep_marks
from refunds.services.halving import record_or_halve
from refunds.services.items import MAXIMUM_ID_LENGTH, item_of_answer, item_of_event
from refunds.services.recording import Recorded, record

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Kept:
    """What keeping a page came to."""

    created: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)
    not_recorded: int = 0

    def add(self, recorded: Recorded) -> Kept:
        self.created |= recorded.created
        self.changed |= recorded.changed
        return self


def keep_page(
    account: ConnectorAccount,
    page: Answer[Page],
    *,
    source: Source,
    save: Callable[[Kept], None],
    unless: tuple[type[Exception], ...] = (),
) -> None:
    """Record a page and `save` how far that came, in one transaction.

    Where that cannot be done, the page is halved down to the items that are to blame: they are remembered, the others
    are recorded, and `save` comes after all of them. So it may be called twice, the second time for good. An error of
    `unless` is none of the page's.
    """
    items = page.value.items
    try:
        with transaction.atomic(durable=True):
            save(Kept().add(record_page(account, page, items, source=source)))
        return
    except unless:
        raise
    except Exception as error:
        log.warning("page_not_recorded_as_one", account=account.name, source=source.value, error=type(error).__name__)
    kept = Kept()

    def record_part(part: Sequence[PageItem]) -> None:
        with transaction.atomic(durable=True):
            recorded = record_page(account, page, part, source=source)
        kept.add(recorded)

    def blame(item: PageItem, error: Exception) -> None:
        kept.not_recorded += 1
        _set_aside(account, item, error, source=source)

    record_or_halve(items, record=record_part, blame=blame)
    with transaction.atomic(durable=True):
        save(kept)


def record_page(account: ConnectorAccount, page: Answer[Page], part: Sequence[PageItem], *, source: Source) -> Recorded:
    """Record a part of a page's items, within the caller's transaction."""
    items, hints, marks = [], [], []
    for item in part:
        if isinstance(item, Mark):
            marks.append((account, item, None))
        elif isinstance(item, Hint):
            hints.append((account, item))
        elif isinstance(item, Unreadable):
            _alert_unreadable(account, item, source)
        elif source is Source.LIST:
            items.append(item_of_answer(item, page, account_id=account.pk, source=source))
        else:
            items.append(item_of_event(item, account_id=account.pk, source=source, received_at=page.received_at))
    recorded = record(items)
    if source is Source.LIST:
        unrecorded.settle(account, {item.connector_refund_id for item in items})
    keep_marks(marks)
    follow_hints(hints)
    return recorded


def _set_aside(account: ConnectorAccount, item: PageItem, error: Exception, *, source: Source) -> None:
    """A refund is asked about again; what cannot be asked about is told."""
    reference = _refund_of(item)
    if reference is not None and 0 < len(reference.connector_refund_id) <= MAXIMUM_ID_LENGTH:
        unrecorded.remember(account, reference, error, source=source)
        return
    log.error("item_not_recorded", account=account.name, source=source.value, exc_info=error)
    odd = Unreadable(event_id=getattr(item, "event_id", ""), reason=f"{type(error).__name__}: {error}"[:300])
    _alert_unreadable(account, odd, source)


def _refund_of(item: PageItem) -> RefundReference | None:
    if isinstance(item, Fact):
        return RefundReference(item.connector_refund_id, item.connector_transaction_id)
    return item.reference if isinstance(item, Hint) else None


def _alert_unreadable(account: ConnectorAccount, item: Unreadable, source: Source) -> None:
    Alert.open(
        AlertKind.DELIVERY_PARKED,
        subject=f"{account.name}: {source}",
        account_id=account.pk,
        message=f"An item of the {source} of {account.name} cannot be read ({item.event_id or 'without id'}: "
        f"{item.reason}). It changed nothing: look at it in the processor's own pages, and mend the connector.",
    )
