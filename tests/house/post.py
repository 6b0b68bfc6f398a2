"""Brings deliveries to the house, many at once, and remembers how each was answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import uvloop


@dataclass(slots=True)
class Posted:
    """How it went: how often each status came (0: no answer at all), and the seconds each answer took."""

    statuses: dict[int, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Seconds; 0.99 for the p99."""
        ordered = sorted(self.seconds)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


Request = tuple[str, Mapping[str, str], bytes]
"""URL, headers, body."""


def post(
    requests: Iterable[Request],
    *,
    connections: int = 16,
    per_second: float | None = None,
    on_answer: Callable[[Request, int], object] = lambda request, status: None,
    timeout_seconds: float = 30.0,
) -> Posted:
    """Post each request once, in order, so many at once; with `per_second` at an even pace, and what the house is
    late to answer does not slow the pace (the seconds count from when a request was due, not from when it was sent).

    `requests` may be a generator that makes more of them as answers come in (`on_answer` is called in between).
    """
    return uvloop.run(_post(iter(requests), connections, per_second, on_answer, timeout_seconds))


async def _post(
    requests: Iterator[Request],
    connections: int,
    per_second: float | None,
    on_answer: Callable[[Request, int], object],
    timeout_seconds: float,
) -> Posted:
    posted = Posted()
    started, number = time.perf_counter(), 0
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:

        async def work() -> None:
            nonlocal number
            for request in requests:
                due = started + number / per_second if per_second else time.perf_counter()
                number += 1
                await asyncio.sleep(max(due - time.perf_counter(), 0))
                status = await _send(session, request)
                posted.seconds.append(time.perf_counter() - due)
                posted.statuses[status] = posted.statuses.get(status, 0) + 1
                on_answer(request, status)

        await asyncio.gather(*(work() for _ in range(connections)))
    return posted


async def _send(session: aiohttp.ClientSession, request: Request) -> int:
    url, headers, body = request
    options: dict[str, Any] = {"data": body, "headers": dict(headers), "allow_redirects": False}
    try:
        async with session.post(url, **options) as response:
            await response.read()
            return response.status
    except (aiohttp.ClientError, TimeoutError, OSError):
        return 0
