"""How fast a webhook is acknowledged, against a bare Django view that verifies and inserts the same row."""

from __future__ import annotations

import asyncio
import statistics
import time

import aiohttp
import uvloop

from tests.benchmarks import prepared
from tests.benchmarks.serving import served

SIZES = {"smoke": (300, 2), "full": (2500, 7)}


def run(size: str) -> None:
    """Print the ratios, with one insert for each request and with group commit, at 16 and 64 connections."""
    from connectors.models import WebhookDelivery

    prepared.endpoint()
    requests, rounds = SIZES[size]
    for together in (False, True):
        with served(REFUNDDASH_WEBHOOK_GROUP_COMMIT=str(int(together))) as base:
            for connections in (16, 64):
                ours, theirs = _rounds(base, requests, rounds, connections)
                ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
                mine, bare = statistics.median(ours), statistics.median(theirs)
                way = "group commit" if together else "one insert a request"
                print(
                    f"acknowledge, {way}, {connections} connections: {ratio:.2f} of a bare view"
                    f" (median of {rounds} rounds; {mine:.0f}/s to {bare:.0f}/s)"
                )
    WebhookDelivery.objects.all().delete()


def _rounds(base: str, requests: int, rounds: int, connections: int) -> tuple[list[float], list[float]]:
    """Rates of both in turn; which of them goes first alternates, after a warm-up of each."""
    targets = [f"/webhooks/stripe/{prepared.TOKEN}", "/bare/"]
    rates: dict[str, list[float]] = {target: [] for target in targets}
    for number in range(-1, rounds):
        for target in targets if number % 2 else reversed(targets):
            run = f"{time.monotonic_ns()}_"
            bodies = [prepared.event(n, refunds=1000, run=run) for n in range(requests if number >= 0 else 200)]
            rate = uvloop.run(_post_all(base + target, bodies, connections))
            if number >= 0:
                rates[target].append(rate)
    return rates[targets[0]], rates[targets[1]]


async def _post_all(url: str, bodies: list[bytes], connections: int) -> float:
    """Requests a second, every one of them answered 200."""
    signed = [(body, {"Stripe-Signature": prepared.signature(body)}) for body in bodies]
    queue = iter(signed)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def post() -> None:
            for body, headers in queue:
                async with session.post(url, data=body, headers=headers) as response:
                    if response.status != 200:
                        raise RuntimeError(f"{url} answered {response.status}")

        started = time.perf_counter()
        await asyncio.gather(*(post() for _ in range(connections)))
        return len(bodies) / (time.perf_counter() - started)
