"""The load: refunds with a past, refunds that live now, their webhooks in disorder, and what was promised for them."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from connectors.sandbox.config import PROCESSORS
from connectors.sandbox.courier import OutgoingDelivery, stripe_signature
from connectors.sandbox.model import Step
from connectors.sandbox.sandbox import Sandbox
from tests.house import House, Processors, post
from tests.house.post import Request
from tests.house.processors import STRIPE_SECRET

Promise = tuple[str, str]
"""What a 2xx promised: (processor, id of a Stripe event or digest of an Adyen item)."""

_LOST = 0.03
"""Of Stripe's deliveries, for good. Adyen sends again until it is acknowledged."""
_FIRST_WORD = {"stripe": "pending", "adyen": "REFUND"}
_LIFE_OF = {
    "stripe": ("succeeded", "failed"),
    "adyen": ("REFUND_FAILED", "REFUND", "REFUNDED_REVERSED"),
}
_LONG_LIFE_OF = {
    "stripe": ("requires_action", "pending", "requires_action", "pending", "succeeded", "failed"),
    "adyen": ("REFUND", "REFUND_FAILED", "REFUND", "REFUND_FAILED", "REFUND", "REFUNDED_REVERSED"),
}
_BREATH_SECONDS = 3.0
"""Between two words about one refund: the processors' clocks count whole seconds."""


@dataclass(slots=True)
class LiveRefund:
    """One whose processor goes on speaking of it while the house is dying."""

    refund_id: str
    words: list[str]
    spoke_at: float = 0.0


@dataclass(slots=True)
class Posted:
    """What came of the load so far."""

    attempts: int = 0
    acknowledged: int = 0
    lost: int = 0
    registered: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    promises: set[Promise] = field(default_factory=set)


class Load:
    """`post_some` brings a handful of deliveries in random order; what is not acknowledged goes back to the others."""

    def __init__(
        self, house: House, processors: Processors, *, rng: random.Random, refunds: int, live: int, crowded: bool
    ) -> None:
        self.posted = Posted()
        self._house, self._processors, self._rng, self._crowded = house, processors, rng, crowded
        self._waiting: list[OutgoingDelivery] = []
        self._places: defaultdict[str, float] = defaultdict(rng.random)
        now = dt.datetime.now(dt.UTC)
        ages = [rng.uniform(10, 30) for _ in range(refunds)]
        if crowded:
            processors.do(lambda sandbox: _start_with_long_lives(sandbox, now, ages))
            ages = []
        self._live = processors.do(lambda sandbox: _start(sandbox, now, ages, live))
        self.spoke_at = time.monotonic()

    def post_some(self, count: int, *, at_hand: int) -> int:
        """Post so many, drawn by chance from `at_hand` of the next ones; returns how many there were to post. Where it
        is crowded, few refunds are drawn, and everything at hand about them comes at once, in disorder."""
        self._take(max(at_hand, count) - len(self._waiting))
        self._rng.shuffle(self._waiting)
        if self._crowded:
            self._waiting.sort(key=lambda delivery: self._places[subject(delivery)])
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._rng.shuffle(batch)
        self._bring(batch)
        return len(batch)

    def introduce(self) -> None:
        """Bring one delivery about each refund that was spoken of, so that the house knows all of them."""
        self._take(10_000)
        firsts = {subject(delivery): delivery for delivery in reversed(self._waiting)}
        chosen = set(map(id, firsts.values()))
        self._waiting = [delivery for delivery in self._waiting if id(delivery) not in chosen]
        self._bring(list(firsts.values()))

    def _bring(self, batch: list[OutgoingDelivery]) -> None:
        urls = self._house.urls
        requests: list[tuple[Request, OutgoingDelivery]] = []
        for delivery in batch:
            if delivery.processor == "stripe" and self._rng.random() < _LOST:
                self.posted.lost += 1
            else:
                requests.append((_addressed(delivery, self._rng.choice(urls)), delivery))
        self._post(requests)

    def _take(self, wanted: int) -> None:
        if wanted > 0:
            self._waiting += self._processors.do(lambda sandbox: list(_next(sandbox, self._rng, wanted)))

    def _post(self, requests: list[tuple[Request, OutgoingDelivery]]) -> None:
        by_identity = {id(request): delivery for request, delivery in requests}

        def answered(request: Request, status: int) -> None:
            delivery = by_identity[id(request)]
            if 200 <= status < 300:
                self.posted.acknowledged += 1
                self.posted.promises.update(promises(delivery.processor, delivery.body))
            else:
                self._waiting.append(delivery)

        done = post([request for request, _ in requests], connections=12, on_answer=answered, timeout_seconds=15)
        self.posted.attempts += sum(done.statuses.values())
        self.posted.statuses.update(done.statuses)

    @property
    def at_hand(self) -> int:
        return len(self._waiting)

    def left(self) -> int:
        """How many deliveries are at hand and not acknowledged yet."""
        self._take(500)
        return len(self._waiting)

    def live_on(self, count: int) -> None:
        """The processors say the next word about a few refunds."""
        now = time.monotonic()
        ready = [live for live in self._live if live.words and now - live.spoke_at > _BREATH_SECONDS]
        for live in self._rng.sample(ready, min(count, len(ready))):
            word = live.words.pop(0)
            self._processors.do(partial(Sandbox.says, refund_id=live.refund_id, word=word))
            live.spoke_at = self.spoke_at = time.monotonic()

    def start_more(self, count: int) -> None:
        """New refunds, with a past like the others'; all of them are registered."""
        created_at = dt.datetime.now(dt.UTC) - dt.timedelta(days=20)
        for number in range(count):
            processor = ("stripe", "adyen")[number % 2]
            self._processors.do(
                partial(Sandbox.start_refund, processor=processor, created_at=created_at, registered=True)
            )

    def register_some(self, count: int) -> int:
        """The shop registers; what is refused it tries again by itself. Returns how many there were."""
        due = self._processors.do(
            lambda sandbox: [r for _ in range(count) if (r := sandbox.initiator.take_next(sandbox.world.now()))]
        )
        answers: dict[int, int] = {}
        requests = [(self._rng.choice(self._house.urls) + "/api/refunds/", r.headers, r.body) for r in due]
        order = {id(request): number for number, request in enumerate(requests)}
        post(requests, connections=4, timeout_seconds=15,
             on_answer=lambda request, status: answers.update({order[id(request)]: status}))  # fmt: skip
        self.posted.registered += sum(200 <= status < 300 for status in answers.values())
        for number, registration in enumerate(due):
            self._processors.do(partial(Sandbox.registered, registration=registration, status=answers[number] or None))
        return len(due)

    def unregistered(self) -> int:
        return self._processors.do(lambda sandbox: len(sandbox.initiator.queue))


def _next(sandbox: Sandbox, rng: random.Random, wanted: int) -> Iterator[OutgoingDelivery]:
    sandbox.advance()
    # What the courier would bring late comes late in the queue too; nobody waits half a day for it.
    courier, now = sandbox.courier, sandbox.world.now() + dt.timedelta(days=1)
    for _ in range(wanted):
        processors = sorted(PROCESSORS, key=lambda name: len(courier.queues[name]) * rng.random(), reverse=True)
        delivery = next((d for name in processors if (d := courier.take_next(name, now))), None)
        if delivery is None:
            return
        # Whether it arrives is this poster's own business, which never gives up.
        courier.report(delivery, 200)
        yield delivery


def _addressed(delivery: OutgoingDelivery, url: str) -> Request:
    """Signed anew at every attempt, as Stripe does: its signatures grow old."""
    headers = dict(delivery.headers)
    if delivery.processor == "stripe":
        headers["Stripe-Signature"] = stripe_signature(delivery.body, [STRIPE_SECRET], dt.datetime.now(dt.UTC))
    return url + delivery.url, headers, delivery.body


def _start(sandbox: Sandbox, now: dt.datetime, ages: list[float], live: int) -> list[LiveRefund]:
    """Two of Adyen for each of Stripe, which sends many more events about one."""
    for number, age in enumerate(ages):
        sandbox.start_refund("stripe" if number % 3 == 0 else "adyen", created_at=now - dt.timedelta(days=age))
    found = []
    for number in range(live):
        processor = ("stripe", "adyen")[number % 2]
        refund = sandbox.start_refund(processor, created_at=now - dt.timedelta(hours=1), word=_FIRST_WORD[processor])
        found.append(LiveRefund(refund.refund_id, list(_LIFE_OF[processor])))
    return found


def _start_with_long_lives(sandbox: Sandbox, now: dt.datetime, ages: list[float]) -> None:
    for number, age in enumerate(ages):
        processor = ("stripe", "adyen")[number % 2]
        steps = [Step(dt.timedelta(days=1), word) for word in _LONG_LIFE_OF[processor]]
        sandbox.start_refund(processor, created_at=now - dt.timedelta(days=age), steps=steps)


def promises(processor: str, body: bytes) -> set[Promise]:
    """What a delivery holds, told apart without any code of the product's."""
    document: dict[str, Any] = json.loads(body)
    if processor == "stripe":
        return {("stripe", document["id"])}
    items = [json.dumps(item, sort_keys=True) for item in document["notificationItems"]]
    return {("adyen", hashlib.sha256(item.encode()).hexdigest()) for item in items}


def subject(delivery: OutgoingDelivery) -> str:
    """The (first) refund that a delivery speaks of."""
    document: dict[str, Any] = json.loads(delivery.body)
    if delivery.processor == "stripe":
        return str(document["data"]["object"]["id"])
    item = document["notificationItems"][0]["NotificationRequestItem"]
    return str(item["pspReference"])
