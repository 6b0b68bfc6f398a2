"""Applying deliveries: from the inbox to the refunds, a few hundred at a time.

Claim, read, and then one transaction that records the facts and marks the deliveries done, fenced by the lease.
A batch that cannot be recorded is halved until the one is found that is to blame: a poisoned delivery stops nobody else
and costs nobody else an attempt.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from connectors import inbox
from connectors.contract import Hint, Mark, RefundReference
from connectors.models import ConnectorAccount, WebhookDelivery
from refunds.models import AccountPolling, Alert, AlertKind, Refund, Sighting
from refunds.models import Mark as MarkRow
from refunds.services import reading, recording
from refunds.services.halving import record_or_halve
from refunds.services.reading import Failed, Nonsense, Read, with_endpoints
from refunds.services.reports import announce

log = structlog.get_logger(__name__)

BATCH = 500
TRIED_BATCH = 20


def apply_deliveries(*, limit: int = BATCH) -> int:
    """Apply one batch of deliveries that are new, and a few that are due to be tried again; returns how many were
    claimed. Call again while it returns any."""
    return apply_new(limit=limit) + apply_tried(limit=min(limit, TRIED_BATCH))


def apply_new(*, limit: int = BATCH) -> int:
    """Apply one batch of deliveries nobody has tried yet; returns how many were claimed."""
    lease, claimed = inbox.claim(limit=limit)
    _apply(lease, claimed, read=reading.read_in_peace)
    return len(claimed)


def apply_tried(*, limit: int = TRIED_BATCH) -> int:
    """Apply a few deliveries that are due to be tried again; returns how many were claimed."""
    lease, claimed = inbox.claim_tried(limit=limit)
    _apply(lease, claimed, read=reading.read_apart)
    return len(claimed)


def apply_one(delivery_id: int) -> None:
    """Apply one delivery now, if it waits and nobody else has it."""
    lease, claimed = inbox.claim_one(delivery_id)
    _apply(lease, claimed, read=reading.read_apart)


def take_over_from_the_dead() -> int:
    """Give out again at once what a process of this machine held when it died; returns how many deliveries."""
    left = inbox.release_dead()
    if left:
        log.error("worker_died", deliveries=len(left), first=left[0])
        reading.be_careful(
            f"A worker process died while it held {len(left)} deliveries, the first of them delivery {left[0]}. Others "
            "have taken them over. If it comes again, see who ends it: the system for want of memory, or a delivery."
        )
    return len(left)


def _apply(
    lease: str,
    claimed: Sequence[WebhookDelivery],
    *,
    read: Callable[[Sequence[WebhookDelivery], reading.Accounts], Iterable[reading.Answer]],
) -> None:
    if not claimed:
        return
    readable, not_reached = [], []
    for delivery, found in read(_still_to_try(lease, claimed), with_endpoints(claimed)):
        if isinstance(found, Read):
            readable.append(found)
        elif isinstance(found, Failed):
            _put_off(lease, delivery, found.error)
        elif isinstance(found, Nonsense):
            inbox.park(lease, delivery.pk, reason=f"cannot be read: {found.error}")
            _alert_parked(delivery, f"cannot be read: {found.error}")
        else:
            not_reached.append(delivery.pk)
    inbox.give_back(lease, not_reached)
    _record_or_halve(lease, readable)


def _still_to_try(lease: str, claimed: Sequence[WebhookDelivery]) -> list[WebhookDelivery]:
    spent = [delivery for delivery in claimed if delivery.attempts > len(inbox.BACKOFF) + 1]
    for delivery in spent:
        # Its worker died each time before it could say so.
        _put_off(lease, delivery, "every worker that took it died")
    return [delivery for delivery in claimed if delivery not in spent]


def _record_or_halve(lease: str, readable: Sequence[Read]) -> None:
    """Record a batch; where that fails, each half of it, down to the one that cannot be recorded."""

    def record(part: Sequence[Read]) -> None:
        try:
            _record(lease, part)
        except inbox.LeaseLost:
            log.warning("lease_lost", deliveries=len(part))

    def blame(found: Read, error: Exception) -> None:
        log.error("delivery_failed", delivery=found.delivery.pk, exc_info=error)
        _put_off(lease, found.delivery, f"{type(error).__name__}: {error}")

    record_or_halve(readable, record=record, blame=blame)


def _put_off(lease: str, delivery: WebhookDelivery, reason: str) -> None:
    if inbox.put_off(lease, delivery.pk, attempts=delivery.attempts, error=reason):
        _alert_parked(delivery, reason)


# Recording.


def _record(lease: str, readable: Sequence[Read]) -> None:
    with transaction.atomic(durable=True):
        recording.record([item for found in readable for item in found.facts])
        keep_marks([(a, mark, found.delivery) for found in readable for a, mark in found.marks])
        follow_hints([pair for found in readable for pair in found.hints])
        inbox.finish(lease, ((found.delivery.pk, found.outcome) for found in readable if not found.refused))
        for found in readable:
            if found.refused:
                _park_refused(lease, found)


def _park_refused(lease: str, found: Read) -> None:
    """What was ours in the delivery is applied; the rest of it is set aside and somebody is told."""
    reason = "; ".join(dict.fromkeys(found.refused))
    if not inbox.park(lease, found.delivery.pk, reason=f"{reason} (applied of it: {found.outcome})"):
        raise inbox.LeaseLost(lease)
    if any("merchant account" in line for line in found.refused):
        endpoint = found.delivery.endpoint
        Alert.open(
            AlertKind.NOT_OURS,
            subject=f"endpoint {endpoint.pk}",
            account_id=endpoint.only_account_id,
            message=f"Delivery {found.delivery.pk} at {endpoint}: {reason}. It was not applied: correct the webhook's "
            "address at the processor, or add the account to the endpoint and replay the delivery.",
        )
    else:
        _alert_parked(found.delivery, reason)


def _alert_parked(delivery: WebhookDelivery, reason: str) -> None:
    Alert.open(
        AlertKind.DELIVERY_PARKED,
        subject=f"endpoint {delivery.endpoint_id}",
        account_id=delivery.endpoint.only_account_id,
        message=f"Delivery {delivery.pk} at {delivery.endpoint} was parked: {reason[:300]}. Look at it, and replay it "
        "once the cause is gone.",
    )


def keep_marks(marks: Iterable[tuple[ConnectorAccount, Mark, WebhookDelivery | None]]) -> None:
    """Keep marks; the same event twice is one."""
    now = timezone.now()
    MarkRow.objects.bulk_create(
        [
            MarkRow(
                account=account,
                kind=mark.kind,
                connector_refund_id=mark.reference.connector_refund_id[:255],
                connector_transaction_id=mark.reference.connector_transaction_id[:255],
                event_type=mark.event_type[:120],
                event_id=mark.event_id[:255],
                as_of=mark.occurred_at or (delivery.received_at if delivery else now),
                received_at=delivery.received_at if delivery else now,
            )
            for account, mark, delivery in marks
        ],
        ignore_conflicts=True,
    )


def follow_hints(hints: Sequence[tuple[ConnectorAccount, Hint]]) -> None:
    """Ask again soon: about the refund that was named, the payment's refunds, or, knowing none, what has changed.

    A few statements an account, however many hints there are.
    """
    announce(hints)
    by_account: dict[ConnectorAccount, list[RefundReference]] = defaultdict(list)
    for account, hint in hints:
        if hint.report is None:
            by_account[account].append(hint.reference)
    now = timezone.now()
    unsettled = [account for account, references in by_account.items() if not _look_again(account, references, now=now)]
    for account in unsettled:
        AccountPolling.of(account)
    if unsettled:
        AccountPolling.objects.filter(account__in=unsettled, next_changes_at__gt=now).update(next_changes_at=now)


def _look_again(account: ConnectorAccount, references: Sequence[RefundReference], *, now: dt.datetime) -> bool:
    """Let every refund that is referred to be asked about now; False where that does not answer all the hints."""
    if not account.connector_class.supports("get_refund"):
        return False
    named = {r.connector_refund_id: r for r in references if r.connector_refund_id}
    payments = {r.connector_transaction_id for r in references if not r.connector_refund_id}
    known = {refund for refund, *_ in _ask_now(account, Q(connector_refund_id__in=named), now=now)} if named else set()
    _sight(account, [named[refund] for refund in sorted(named.keys() - known)], now=now)
    refunded = {i for _, *ids in _ask_now(account, _of_payments(payments), now=now) for i in ids} if payments else set()
    return payments <= refunded - {""}


def _of_payments(payments: Iterable[str]) -> Q:
    """Refunds of these payments, by either id."""
    ids = [payment for payment in payments if payment]
    return Q(connector_transaction_id__in=ids) | Q(other_transaction_id__in=ids)


def _ask_now(account: ConnectorAccount, which: Q, *, now: dt.datetime) -> list[tuple[str, str, str]]:
    """Make these refunds due; the refund's and the payment's ids of each."""
    found = Refund.objects.filter(which, account=account)
    found.update(next_poll_at=now)
    return list(found.values_list("connector_refund_id", "connector_transaction_id", "other_transaction_id"))


def _sight(account: ConnectorAccount, references: Iterable[RefundReference], *, now: dt.datetime) -> None:
    Sighting.objects.bulk_create(
        [
            Sighting(
                account=account,
                connector_refund_id=reference.connector_refund_id[:255],
                connector_transaction_id=reference.connector_transaction_id[:255],
                seen_at=now,
                next_poll_at=now,
            )
            for reference in references
        ],
        ignore_conflicts=True,
    )
