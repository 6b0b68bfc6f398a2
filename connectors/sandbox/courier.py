"""Carries events to the dashboard: late, twice, out of order or never, as the processors' own couriers do.

Nothing here opens a socket: `take_due` hands out what is to be posted, and `report` is told how it went.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import heapq
import hmac
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from connectors.sandbox import adyen_items
from connectors.sandbox.clock import SECOND
from connectors.sandbox.config import ADYEN, PROCESSORS, STRIPE, SandboxConfig
from connectors.sandbox.exchange import basic_authorization
from connectors.sandbox.identifiers import seeded
from connectors.sandbox.model import Event
from connectors.sandbox.stripe_objects import event_object
from connectors.sandbox.world import World

_MINUTES = {
    STRIPE: (1, 5, 30, 120, 300, 600, *(720,) * 5),
    ADYEN: (2, 5, 10, 15, 30, 60, 120, 240, 480, *(480,) * 87),
}
"""When a refused delivery is tried again. Stripe gives up after three days, Adyen after thirty."""

_DISORDER_SPAN = dt.timedelta(hours=12)


@dataclass(kw_only=True)
class Habits:
    """How badly the post works: shares between 0 and 1, and how many items Adyen puts into one delivery at most."""

    loss: float = 0.0
    duplicates: float = 0.0
    disorder: float = 0.0
    batch_limit: int = 1
    lost_types: frozenset[str] = frozenset()
    """Event types that are never delivered at all, whatever the share."""


@dataclass(frozen=True, slots=True, order=True)
class Letter:
    """One delivery to make. Ordered by when it is due, then as it was written."""

    due_at: dt.datetime
    number: int
    processor: str = field(compare=False)
    event_ids: tuple[str, ...] = field(compare=False)
    attempt: int = field(compare=False, default=0)


@dataclass(frozen=True, slots=True)
class OutgoingDelivery:
    """One webhook request, signed when it was taken and ready to be posted."""

    processor: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    letter: Letter


class Courier:
    """Deterministic by the world's seed: what happens to an event does not depend on when anybody asks."""

    def __init__(self, world: World, config: SandboxConfig, habits: Habits) -> None:
        self._world = world
        self._config = config
        self.habits = habits
        self.queues: dict[str, list[Letter]] = {name: [] for name in PROCESSORS}
        self.blocked_until: dict[str, dt.datetime] = {}
        self.waiting: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.lost: list[str] = []

    # Planning.

    def accept(self, event: Event) -> None:
        """Plan an event's deliveries."""
        letters = self.plan(event)
        if not letters:
            self.lost.append(event.event_id)
            self.counts["lost"] += 1
            self.waiting[event.event_id] = 1
        for letter in letters:
            self._enqueue(letter)
        self.counts["duplicated"] += max(len(letters) - 1, 0)

    def plan(self, event: Event) -> list[Letter]:
        """When the event will be delivered: never, once, or several times, at once or late."""
        refund = self._world.refunds.get(event.refund_id)
        if refund is not None and not refund.announced:
            return []
        rng = seeded(self._world.seed, "courier", event.event_id)
        lost, again, late = rng.random(), rng.random(), rng.random()
        if event.type in self.habits.lost_types or lost < self.habits.loss:
            return []
        delays = [self._late(rng.random()) if late < self.habits.disorder else dt.timedelta()]
        if again < self.habits.duplicates:
            delays += [self._late(rng.random()) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        return [Letter(event.at + delay, event.number, event.processor, (event.event_id,)) for delay in delays]

    def _late(self, share: float) -> dt.timedelta:
        return max(SECOND, _DISORDER_SPAN * share / self._world.pace)

    def _enqueue(self, letter: Letter) -> None:
        heapq.heappush(self.queues[letter.processor], letter)
        self.waiting.update(letter.event_ids)

    # Handing out.

    def take_due(self, now: dt.datetime) -> list[OutgoingDelivery]:
        """Everything that is to be posted by now, in the order in which it is to be posted."""
        due = []
        for processor in PROCESSORS:
            while (delivery := self.take_next(processor, now)) is not None:
                due.append(delivery)
        return sorted(due, key=lambda delivery: delivery.letter)

    def take_next(self, processor: str, now: dt.datetime) -> OutgoingDelivery | None:
        """The processor's next delivery, if one is due; signed now."""
        queue = self.queues[processor]
        blocked = self.blocked_until.get(processor)
        if not queue or queue[0].due_at > now or (blocked is not None and blocked > now):
            return None
        letter = heapq.heappop(queue)
        if processor == ADYEN and letter.attempt == 0:
            letter = self._fill_batch(letter, now)
        return self._write(letter, now)

    def next_due_at(self, processor: str) -> dt.datetime | None:
        queue = self.queues[processor]
        if not queue:
            return None
        return max(queue[0].due_at, self.blocked_until.get(processor, queue[0].due_at))

    def _fill_batch(self, letter: Letter, now: dt.datetime) -> Letter:
        queue = self.queues[ADYEN]
        ids = list(letter.event_ids)
        size = seeded(self._world.seed, "batch", *ids).randint(1, self.habits.batch_limit)
        while len(ids) < size and queue and queue[0].due_at <= now and queue[0].attempt == 0:
            ids += heapq.heappop(queue).event_ids
        return replace(letter, event_ids=tuple(ids))

    def _write(self, letter: Letter, now: dt.datetime) -> OutgoingDelivery:
        events = [self._world.events[event_id] for event_id in letter.event_ids]
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if letter.processor == STRIPE:
            pending = self.pending_webhooks(letter.event_ids[0])
            document = event_object(self._world, self._config.stripe, events[0], pending)
            body = json.dumps(document, indent=2, ensure_ascii=False).encode()
            headers |= {"User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)"}
            headers |= {"Stripe-Signature": stripe_signature(body, self._config.stripe.webhook_secrets, now)}
        else:
            account = self._config.adyen
            body = adyen_items.batch(self._world, account, events)
            headers |= {"User-Agent": "Adyen HttpClient 1.0", "Protocol": "HmacSHA256"}
            if account.username:
                headers |= {"Authorization": basic_authorization(account.username, account.password)}
        url = self._config.webhook_url(letter.processor)
        return OutgoingDelivery(letter.processor, url, headers, body, letter)

    # How it went.

    def report(self, delivery: OutgoingDelivery, status: int | None) -> None:
        """The receiver answered with this HTTP status, or not at all (None). Anything but 2xx is tried again."""
        letter, processor = delivery.letter, delivery.processor
        self.waiting.subtract(letter.event_ids)
        if status is not None and 200 <= status < 300:
            self.blocked_until.pop(processor, None)
            self.counts["delivered"] += 1
            return
        self.counts["refused"] += 1
        schedule = _MINUTES[processor]
        if letter.attempt >= len(schedule):
            self.counts["given_up"] += 1
            return
        retry_at = self._world.now() + max(SECOND, dt.timedelta(minutes=schedule[letter.attempt]) / self._world.pace)
        again = replace(letter, attempt=letter.attempt + 1)
        if processor == ADYEN:
            # Adyen's queue is first in, first out: newer events wait behind the one that was refused.
            self.blocked_until[processor] = retry_at
        else:
            again = replace(again, due_at=retry_at)
        self._enqueue(again)

    def pending_webhooks(self, event_id: str) -> int:
        """How many deliveries of the event have not been accepted yet, as Stripe's own event object tells."""
        return max(self.waiting.get(event_id, 0), 0)


def stripe_signature(body: bytes, secrets: list[str], now: dt.datetime) -> str:
    """The Stripe-Signature header: the sending time, and one signature for each current secret of the endpoint."""
    sent_at = int(now.timestamp())
    signed = f"{sent_at}.".encode() + body
    digests = [hmac.digest(secret.encode(), signed, hashlib.sha256).hex() for secret in secrets]
    return ",".join([f"t={sent_at}", *(f"v1={digest}" for digest in digests)])
