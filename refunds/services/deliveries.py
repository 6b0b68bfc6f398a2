"""Applying deliveries: from the inbox to the refunds, a few hundred at a time.

Claim, read, and then one transaction that records the facts and marks the deliveries done, fenced by the lease.
Deliveries are read in a child process, and a batch that cannot be recorded is halved until the one is found that is to
blame: a poisoned delivery stops nobody else and costs nobody else an attempt.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from connectors import inbox, registry
from connectors.apart import Died, survived
from connectors.contract import (
    Connector,
    Fact,
    Hint,
    Item,
    MalformedAnswer,
    Mark,
    RefundReference,
    Scope,
    Unreadable,
)
from connectors.models import ConnectorAccount, WebhookDelivery, WebhookEndpoint
from refunds.facts import Source
from refunds.models import AccountPolling, Alert, AlertKind, Refund, Sighting
from refunds.models import Mark as MarkRow
from refunds.services import items, recording
from refunds.services.reports import announce

log = structlog.get_logger(__name__)

BATCH = 500
TRIED_BATCH = 20
FIRST_READING_SECONDS = 0.1
"""How long the reading of one delivery may compute while a batch of new ones waits for it."""
READING_SECONDS = 1.0
"""The same when it is tried again."""
MOST_DEATHS = 5
"""How many readers a batch may cost before the rest of it is left for another turn."""


@dataclass(slots=True)
class Read:
    """A delivery in our own terms: what it says, for which account, and what of it we may not or cannot apply."""

    delivery: WebhookDelivery
    facts: list[items.Item] = field(default_factory=list)
    hints: list[tuple[ConnectorAccount, Hint]] = field(default_factory=list)
    marks: list[tuple[ConnectorAccount, Mark]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        counts = ((len(self.facts), "fact"), (len(self.hints), "hint"), (len(self.marks), "mark"))
        said = ", ".join(f"{n} {word}{'s' if n > 1 else ''}" for n, word in counts if n)
        return said or "nothing about refunds"


@dataclass(frozen=True, slots=True)
class Nonsense:
    """A delivery that makes no sense as a whole."""

    error: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Its reading failed, by an exception or with its whole process; the next release may do better."""

    error: str


def apply_deliveries(*, limit: int = BATCH) -> int:
    """Apply one batch of deliveries that are new, and a few that are due to be tried again; returns how many were
    claimed. Call again while it returns any."""
    return apply_new(limit=limit) + apply_tried(limit=min(limit, TRIED_BATCH))


def apply_new(*, limit: int = BATCH) -> int:
    """Apply one batch of deliveries nobody has tried yet; returns how many were claimed."""
    lease, claimed = inbox.claim(limit=limit)
    _apply(lease, claimed, cpu_seconds=FIRST_READING_SECONDS)
    return len(claimed)


def apply_tried(*, limit: int = TRIED_BATCH) -> int:
    """Apply a few deliveries that are due to be tried again; returns how many were claimed."""
    lease, claimed = inbox.claim_tried(limit=limit)
    _apply(lease, claimed, cpu_seconds=READING_SECONDS)
    return len(claimed)


def apply_one(delivery_id: int) -> None:
    """Apply one delivery now, if it waits and nobody else has it."""
    lease, claimed = inbox.claim_one(delivery_id)
    _apply(lease, claimed, cpu_seconds=READING_SECONDS)


def _apply(lease: str, claimed: Sequence[WebhookDelivery], *, cpu_seconds: float) -> None:
    if not claimed:
        return
    accounts = with_endpoints(claimed)
    readable = []
    for delivery, found in _read_each(lease, _still_to_try(lease, claimed), accounts, cpu_seconds):
        if isinstance(found, Failed):
            _put_off(lease, delivery, found.error)
        elif isinstance(found, Nonsense):
            inbox.park(lease, delivery.pk, reason=f"cannot be read: {found.error}")
            _alert_parked(delivery, f"cannot be read: {found.error}")
        else:
            readable.append(found)
    _record_or_halve(lease, readable)


def _still_to_try(lease: str, claimed: Sequence[WebhookDelivery]) -> list[WebhookDelivery]:
    spent = [delivery for delivery in claimed if delivery.attempts > len(inbox.BACKOFF) + 1]
    for delivery in spent:
        # Its worker died each time before it could say so.
        _put_off(lease, delivery, "every worker that took it died")
    return [delivery for delivery in claimed if delivery not in spent]


def _record_or_halve(lease: str, readable: Sequence[Read]) -> None:
    """Record a batch; where that fails, each half of it, down to the one that cannot be recorded."""
    if not readable:
        return
    try:
        _record(lease, readable)
    except inbox.LeaseLost:
        log.warning("lease_lost", deliveries=len(readable))
    except Exception as error:
        if len(readable) == 1:
            log.exception("delivery_failed", delivery=readable[0].delivery.pk)
            _put_off(lease, readable[0].delivery, f"{type(error).__name__}: {error}")
            return
        log.warning("batch_halved", deliveries=len(readable), error=type(error).__name__)
        middle = len(readable) // 2
        _record_or_halve(lease, readable[:middle])
        _record_or_halve(lease, readable[middle:])


def _put_off(lease: str, delivery: WebhookDelivery, reason: str) -> None:
    if inbox.put_off(lease, delivery.pk, attempts=delivery.attempts, error=reason):
        _alert_parked(delivery, reason)


# Reading.


def with_endpoints(deliveries: Sequence[WebhookDelivery]) -> dict[int, list[ConnectorAccount]]:
    """Give the deliveries their endpoints, each read once; the accounts each endpoint speaks for."""
    endpoints = WebhookEndpoint.objects.prefetch_related("accounts").in_bulk({d.endpoint_id for d in deliveries})
    for delivery in deliveries:
        delivery.endpoint = endpoints[delivery.endpoint_id]
    return {endpoint.pk: list(endpoint.accounts.all()) for endpoint in endpoints.values()}


def read(delivery: WebhookDelivery) -> Read | Nonsense | Failed:
    """What one delivery says, read in a child process first."""
    [(_, found)] = _read_each("", [delivery], with_endpoints([delivery]), READING_SECONDS)
    return found


def _read_each(
    lease: str, deliveries: Sequence[WebhookDelivery], accounts: dict[int, list[ConnectorAccount]], cpu_seconds: float
) -> Iterator[tuple[WebhookDelivery, Read | Nonsense | Failed]]:
    """Read the deliveries that a child process could read before us. One that ended it is Failed, and the next child
    goes on after it; where too many do, the rest is given back for another turn."""
    rest, deaths = list(deliveries), 0
    while rest and deaths < MOST_DEATHS:
        done = 0
        try:
            for delivery in survived(lambda d: _sorted_out(d, accounts), rest, cpu_seconds=cpu_seconds):
                yield delivery, _read(delivery, accounts)
                done += 1
        except Died as death:
            log.error("reader_died", delivery=rest[done].pk, cause=str(death))
            yield rest[done], Failed(f"it ended its reader: {death}")
            done += 1
            deaths += 1
        rest = rest[done:]
    if rest:
        inbox.give_back(lease, [delivery.pk for delivery in rest])


def _read(delivery: WebhookDelivery, accounts: dict[int, list[ConnectorAccount]]) -> Read | Nonsense | Failed:
    try:
        return _sorted_out(delivery, accounts)
    except MalformedAnswer as error:
        return Nonsense(str(error))
    except Exception as error:
        log.exception("delivery_not_read", delivery=delivery.pk)
        return Failed(f"{type(error).__name__}: {error}")


def _sorted_out(delivery: WebhookDelivery, accounts: dict[int, list[ConnectorAccount]]) -> Read:
    """Parse a delivery and sort what it says into our own terms. Never asks the database, for the child process's sake:
    the endpoint and its accounts are there already (`with_endpoints`). MalformedAnswer where it makes no sense."""
    found = Read(delivery)
    found.items = _unbound(delivery.endpoint.connector).parse_webhook(delivery.as_it_came())
    ours = accounts[delivery.endpoint_id]
    for item in found.items:
        if isinstance(item, Unreadable):
            found.refused.append(f"an item cannot be read: {item.reason}")
            continue
        account = _account_for(item.scope, ours)
        if account is None:
            found.refused.append(_not_ours(item.scope, ours))
        else:
            _sort_in(found, item, account, delivery)
    return found


_connectors: dict[str, Connector] = {}


def _unbound(name: str) -> Connector:
    if name not in _connectors:
        _connectors[name] = registry.connector(name)()
    return _connectors[name]


def _account_for(scope: Scope, ours: Sequence[ConnectorAccount]) -> ConnectorAccount | None:
    """The endpoint's account an item speaks for. Without a name in it, the endpoint's only account is meant."""
    if not scope.processor_account and len(ours) != 1:
        return None
    return next((account for account in ours if speaks_for(scope, account)), None)


def speaks_for(scope: Scope, account: ConnectorAccount) -> bool:
    """Whether an item with this scope is about this account, as far as it says."""
    right_mode = scope.live is None or scope.live == account.live
    return right_mode and scope.processor_account in ("", account.processor_account)


def _not_ours(scope: Scope, ours: Sequence[ConnectorAccount]) -> str:
    speaks_for = ", ".join(f"{a.processor_account or a.name} ({'live' if a.live else 'test'})" for a in ours)
    mode = {True: "live", False: "test", None: "any mode"}[scope.live]
    return (
        f"an item is for merchant account {scope.processor_account or '(unnamed)'} ({mode}); "
        f"this endpoint speaks for {speaks_for or 'no account'}"
    )


def _sort_in(found: Read, item: Fact | Hint | Mark, account: ConnectorAccount, delivery: WebhookDelivery) -> None:
    if isinstance(item, Mark):
        found.marks.append((account, item))
    elif isinstance(item, Hint):
        found.hints.append((account, item))
    elif delivery.hint_only:
        found.hints.append((account, _as_hint(item)))
    else:
        found.facts.append(
            items.item_of_event(
                item,
                account_id=account.pk,
                source=Source.WEBHOOK,
                received_at=delivery.received_at,
                delivery_id=delivery.pk,
            )
        )


def _as_hint(fact: Fact) -> Hint:
    reference = RefundReference(fact.connector_refund_id, fact.connector_transaction_id, fact.merchant_order_id)
    return Hint(reference=reference, event_id=fact.event_id, event_type=fact.event_type, occurred_at=fact.occurred_at)


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
            message=f"Delivery {found.delivery.pk} at {endpoint}: {reason}. It was not applied: correct the webhook's "
            "address at the processor, or add the account to the endpoint and replay the delivery.",
        )
    else:
        _alert_parked(found.delivery, reason)


def _alert_parked(delivery: WebhookDelivery, reason: str) -> None:
    Alert.open(
        AlertKind.DELIVERY_PARKED,
        subject=f"endpoint {delivery.endpoint_id}",
        message=f"Delivery {delivery.pk} was parked: {reason[:300]}. Look at it, and replay it once the cause is gone.",
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
