"""Reading deliveries: from the bytes in the inbox to facts, hints and marks of our accounts, whatever they hold.

In peace a worker reads them itself, within limits. After a death it is careful for a while, and a child process reads
each delivery before it does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import structlog
from django.utils import timezone

from connectors import registry
from connectors.apart import Died, Limits, TookTooLong, survived
from connectors.contract import Connector, Fact, Hint, Item, MalformedAnswer, Mark, RefundReference, Scope, Unreadable
from connectors.models import ConnectorAccount, WebhookDelivery, WebhookEndpoint
from refunds.facts import Source
from refunds.models import Alert, AlertKind
from refunds.services import items

log = structlog.get_logger(__name__)

FIRST_READING_SECONDS = 0.05
"""How long the reading of one delivery may compute while a batch of new ones waits for it."""
READING_SECONDS = 0.5
"""The same when it is tried again."""
MOST_DEATHS = 5
"""How many readers a batch may cost before the rest of it is left for another turn."""
CAREFUL_FOR = dt.timedelta(minutes=10)
"""How long after a death every delivery is read in a child process first."""
QUIET_AFTER = dt.timedelta(days=1)
_DELIVERIES = "deliveries"
Accounts = dict[int, list[ConnectorAccount]]
"""The accounts each endpoint speaks for, by the endpoint's id."""


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


class NotReached:
    """Nobody read it: others before it had cost too many readers."""


Answer = tuple[WebhookDelivery, Read | Nonsense | Failed | NotReached]


def with_endpoints(deliveries: Sequence[WebhookDelivery]) -> Accounts:
    """Give the deliveries their endpoints, each read once; the accounts each endpoint speaks for."""
    endpoints = WebhookEndpoint.objects.prefetch_related("accounts").in_bulk({d.endpoint_id for d in deliveries})
    for delivery in deliveries:
        delivery.endpoint = endpoints[delivery.endpoint_id]
    return {endpoint.pk: list(endpoint.accounts.all()) for endpoint in endpoints.values()}


def read(delivery: WebhookDelivery) -> Read | Nonsense | Failed:
    """What one delivery says, read in a child process first."""
    [(_, found)] = read_apart([delivery], with_endpoints([delivery]))
    if isinstance(found, NotReached):
        raise AssertionError("a reader may die once, and there is one delivery")
    return found


def read_in_peace(deliveries: Sequence[WebhookDelivery], accounts: Accounts) -> Iterator[Answer]:
    """Read the deliveries within limits in this process; in a child process while somebody died lately, or where this
    thread cannot be limited."""
    if must_be_careful() or not Limits.possible():
        return read_apart(deliveries, accounts, cpu_seconds=FIRST_READING_SECONDS)
    limits = Limits(cpu_seconds=FIRST_READING_SECONDS)
    with limits.kept():
        return iter([(delivery, _within(limits, delivery, accounts)) for delivery in deliveries])


def read_apart(
    deliveries: Sequence[WebhookDelivery], accounts: Accounts, *, cpu_seconds: float = READING_SECONDS
) -> Iterator[Answer]:
    """Read the deliveries that a child process could read before us. One that ended it is Failed, and the next child
    goes on after it; where too many do, the rest is NotReached."""
    rest, deaths = list(deliveries), 0
    while rest and deaths < MOST_DEATHS:
        done = 0
        try:
            for delivery in survived(lambda d: _sorted_out(d, accounts), rest, cpu_seconds=cpu_seconds):
                yield delivery, _read(delivery, accounts)
                done += 1
        except Died as death:
            log.error("reader_died", delivery=rest[done].pk, cause=str(death))
            be_careful(
                f"Delivery {rest[done].pk} ended the process that read it: {death}. It is tried again, and parked "
                "after its last attempt."
            )
            yield rest[done], Failed(f"it ended its reader: {death}")
            done += 1
            deaths += 1
        rest = rest[done:]
    for delivery in rest:
        yield delivery, NotReached()


def be_careful(what_happened: str) -> None:
    """Somebody died at a delivery: for a while every delivery is read in a child process first."""
    Alert.open(AlertKind.READER_DIED, subject=_DELIVERIES, message=what_happened)


def must_be_careful() -> bool:
    lately = timezone.now() - CAREFUL_FOR
    return Alert.objects.filter(kind=AlertKind.READER_DIED, last_at__gt=lately).exists()


def calm_down() -> None:
    """Close the alert once nobody has died for a day."""
    long_ago = timezone.now() - QUIET_AFTER
    if Alert.objects.filter(kind=AlertKind.READER_DIED, closed_at__isnull=True, last_at__lt=long_ago).exists():
        Alert.close(AlertKind.READER_DIED, subject=_DELIVERIES)


def _within(limits: Limits, delivery: WebhookDelivery, accounts: Accounts) -> Read | Nonsense | Failed:
    try:
        return limits.work(lambda: _read(delivery, accounts))
    except TookTooLong as error:
        log.error("delivery_took_too_long", delivery=delivery.pk)
        return Failed(str(error))


def _read(delivery: WebhookDelivery, accounts: Accounts) -> Read | Nonsense | Failed:
    try:
        return _sorted_out(delivery, accounts)
    except MalformedAnswer as error:
        return Nonsense(str(error))
    except Exception as error:
        log.exception("delivery_not_read", delivery=delivery.pk)
        return Failed(f"{type(error).__name__}: {error}")


def _sorted_out(delivery: WebhookDelivery, accounts: Accounts) -> Read:
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
