"""The wire between our poller and the practice processors: it carries, counts, and sees what nobody may do."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from connectors.sandbox.sandbox import Sandbox
from connectors.transport import READ_SECONDS
from tests.simulation.checks import PATIENT
from tests.simulation.clock import OneClock
from tests.simulation.trace import Broken, Trace

HARMLESS = frozenset({"latency", "stale", "no_date", "skewed_date"})
"""Faults whose answer is still an answer; all others make the question a failed one."""
_ONE_REFUND = re.compile(r"/v1/refunds/([\w-]+)$")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `refund` is empty for listings and the change feed."""

    account: str
    refund: str
    failed: bool


class Wire(httpx.AsyncBaseTransport):
    """Routes each request to the sandbox that knows its key. `turn` holds what was asked since it was last cleared."""

    def __init__(self, sandboxes: Mapping[str, Sandbox], clock: OneClock, trace: Trace, made: Counter[str]) -> None:
        """`sandboxes` by our account's name; `made` counts the checks."""
        self._sandboxes = sandboxes
        self._carriers = {name: sandbox.transport() for name, sandbox in sandboxes.items()}
        self._by_key = {sandbox.config.stripe.api_key: name for name, sandbox in sandboxes.items()}
        self._clock = clock
        self._trace = trace
        self._made = made
        self._asks = 0
        self._told_to_wait: dict[str, tuple[int, dt.datetime]] = {}
        self._answered: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self.failures_in_a_row: Counter[str] = Counter()
        self.turn: list[Asked] = []
        self.faults: Counter[str] = Counter()
        self.requests = 0

    async def __aenter__(self) -> Wire:
        self._asks += 1
        self._answered, self._failed = Counter(), Counter()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Questions put together count together: any answer among them ends the row of failures."""
        for name in self._answered | self._failed:
            failures = self.failures_in_a_row[name] + self._failed[name]
            self.failures_in_a_row[name] = 0 if self._answered[name] else failures

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = self._by_key[request.headers["authorization"].removeprefix("Bearer ")]
        self._refuse_impatience(name, request)
        self.requests += 1
        active = self._sandboxes[name].faults.active
        before = [fault.happened for fault in active]
        try:
            response = await self._carriers[name].handle_async_request(request)
        except httpx.ReadTimeout:
            self._clock.advance(seconds=READ_SECONDS)
            raise
        finally:
            happened = [fault.kind for fault, count in zip(active, before, strict=True) if fault.happened > count]
            self.faults.update(happened)
            found = _ONE_REFUND.search(request.url.path)
            failed = any(kind not in HARMLESS for kind in happened)
            (self._failed if failed and "unknown_status" not in happened else self._answered)[name] += 1
            self.turn.append(Asked(name, found[1] if found else "", failed))
            if found or happened:
                text = f"{name} was asked {request.url.path} {', '.join(happened)}"
                self._trace.note(text, refund=found[1] if found else "")
        # Where the rest of the answer cannot be read, nobody can be blamed for not having read its headers.
        if "retry-after" in response.headers and HARMLESS.union(("status", "rate_limit")).issuperset(happened):
            until = self._clock() + dt.timedelta(seconds=int(response.headers["retry-after"]))
            self._told_to_wait[name] = (self._asks, until)
            self._trace.note(f"{name} said Retry-After until {until:%H:%M:%S}")
        return response

    def _refuse_impatience(self, name: str, request: httpx.Request) -> None:
        """P14. What was put together with the question that was told to wait is under way already."""
        asks, until = self._told_to_wait.get(name, (0, None))
        if until is None or asks == self._asks:
            return
        self._made[PATIENT] += 1
        if self._clock() < until:
            raise Broken("P14", f"{name} was asked {request.url.path} {until - self._clock()} before Retry-After")
        del self._told_to_wait[name]
