"""A processor behind a load balancer: brings events at an even pace, and each again until it was acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from connectors.sandbox.courier import stripe_signature
from tests.house.processors import STRIPE_SECRET

RESEND_SECONDS = (1.0, 2.0, 4.0)
HEALTH_EVERY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: when it came (time.monotonic()), after how many seconds, and whether it said when to try again.

    Status 0: the connection was cut, or nobody answered in time.
    """

    at: float
    status: int
    seconds: float
    says_when: bool = False


class Sender:
    """Use as a context manager around what is done to the house; it sends from a thread of its own. Leaving waits until
    every event was acknowledged, at most `patience_seconds`.

    Webs are asked for their health several times a second, and those that say no come last. Where one refuses the
    connection the next one is tried, as every load balancer does (`refused` counts); a request that was sent and then
    cut is sent again like one that was answered with an error. Events are numbered from `first`.
    """

    def __init__(
        self,
        urls: Sequence[str],
        path: str,
        *,
        per_second: float,
        first: int = 0,
        refunds: int = 500,
        patience_seconds: float = 60,
    ) -> None:
        self.answers: list[Answer] = []
        self.acknowledged: set[str] = set()
        self.refused = 0
        self.sent = 0
        self._urls = list(urls)
        self._path = path
        self._unhealthy: set[str] = set()
        self._per_second = per_second
        self._first = first
        self._refunds = refunds
        self._patience_seconds = patience_seconds
        self._stopping = threading.Event()
        self._given_up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="sender", daemon=True)

    def __enter__(self) -> Sender:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(self._patience_seconds)
        self._given_up.set()
        self._thread.join(30)

    def statuses(self, since: float = 0.0) -> Counter[int]:
        """How often each status came, since a moment of time.monotonic()."""
        return Counter(answer.status for answer in list(self.answers) if answer.at >= since)

    def wait_for(self, status: int, *, since: float, seconds: float) -> Answer:
        """The first answer of that status since a moment; AssertionError where none comes in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = next((a for a in list(self.answers) if a.status == status and a.at >= since), None)
            if found:
                return found
            time.sleep(0.02)
        raise AssertionError(f"no {status} within {seconds} s: {self.statuses(since)}")

    async def _run(self) -> None:
        timeout = aiohttp.ClientTimeout(total=20)
        # A connection for each request, as nginx does unless told otherwise: on one that is kept open, a request can
        # cross the server's goodbye.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            started, tasks = time.monotonic(), set[asyncio.Task[None]]()
            watch = asyncio.create_task(self._watch_health(session))
            while not self._stopping.is_set():
                await asyncio.sleep(max(started + self.sent / self._per_second - time.monotonic(), 0))
                task = asyncio.create_task(self._bring(session, self._first + self.sent))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                self.sent += 1
            await asyncio.gather(*tasks)
            watch.cancel()

    async def _watch_health(self, session: aiohttp.ClientSession) -> None:
        while True:
            for url in self._urls:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with session.get(f"{url}/healthz") as response:
                        (self._unhealthy.discard if response.status == 200 else self._unhealthy.add)(url)
            await asyncio.sleep(HEALTH_EVERY_SECONDS)

    async def _bring(self, session: aiohttp.ClientSession, number: int) -> None:
        from tests.benchmarks.prepared import event

        body = event(number, refunds=self._refunds)
        attempts = 0
        while not self._given_up.is_set():
            if await self._send(session, number, body) == 200:
                self.acknowledged.add(f"evt_{number}")
                return
            await asyncio.sleep(RESEND_SECONDS[min(attempts, len(RESEND_SECONDS) - 1)])
            attempts += 1

    async def _send(self, session: aiohttp.ClientSession, number: int, body: bytes) -> int:
        started = time.monotonic()
        headers = {"Stripe-Signature": stripe_signature(body, [STRIPE_SECRET], dt.datetime.now(dt.UTC))}
        in_turn = [self._urls[(number + web) % len(self._urls)] for web in range(len(self._urls))]
        for url in sorted(in_turn, key=self._unhealthy.__contains__):
            options: dict[str, Any] = {"data": body, "headers": headers}
            try:
                async with session.post(url + self._path, **options) as response:
                    await response.read()
                    return self._note(response.status, started, "Retry-After" in response.headers)
            except aiohttp.ClientConnectorError:
                self.refused += 1
            except (aiohttp.ClientError, TimeoutError, OSError):
                break
        return self._note(0, started, False)

    def _note(self, status: int, started: float, says_when: bool) -> int:
        now = time.monotonic()
        self.answers.append(Answer(now, status, now - started, says_when))
        return status


def check_nothing_lost(sender: Sender, *, seconds: float = 60) -> str:
    """Wait until all is applied; every acknowledged event is stored and counted once. A line of figures."""
    from connectors.models import DeliveryState, WebhookDelivery
    from refunds.models import Observation

    until = time.monotonic() + seconds
    while WebhookDelivery.objects.filter(state=DeliveryState.WAITING).exists() and time.monotonic() < until:
        time.sleep(0.1)
    states = Counter(WebhookDelivery.objects.values_list("state", flat=True))
    stored = set(WebhookDelivery.objects.values_list("dedupe_key", flat=True))
    observed = Counter(Observation.objects.filter(delivery__isnull=False).values_list("event_id", flat=True))
    lost = sender.acknowledged - stored
    assert not lost, f"{len(lost)} acknowledged, not stored: {sorted(lost)[:5]}"
    assert len(sender.acknowledged) == sender.sent, f"{sender.sent - len(sender.acknowledged)} never acknowledged"
    assert set(states) == {DeliveryState.APPLIED}, f"deliveries by state: {states}"
    assert set(observed) == stored, f"not applied: {sorted(stored - set(observed))[:5]}"
    doubled = [name for name, count in observed.items() if count > 1]
    assert not doubled, f"applied twice: {doubled[:5]}"
    return f"{sender.sent:,} deliveries: lost 0, applied twice 0"
