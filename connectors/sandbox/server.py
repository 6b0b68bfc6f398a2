"""The sandbox as a server on this machine: answers requests, lives on, posts webhooks and registrations."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from connectors.sandbox import sending, state
from connectors.sandbox.config import ADYEN, STRIPE
from connectors.sandbox.identifiers import seeded
from connectors.sandbox.sandbox import Sandbox

logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.1
_STRIPE_COURIERS = 4
_ANSWER_WITHIN_SECONDS = 10
_LARGEST_BODY = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """`port` 0 takes any free one. `reports_every_seconds` 0: reports are written only on request."""

    host: str = "127.0.0.1"
    port: int = 8765
    refunds_per_minute: float = 0.0
    reports_every_seconds: float = 0.0
    state_path: Path | None = None


def check_loopback(host: str) -> str:
    """The host, if it is this machine only; ValueError otherwise."""
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError("the sandbox listens on loopback addresses only, such as 127.0.0.1")
    return host


class SandboxServer:
    """`start` and `stop` it, or use it as an async context manager."""

    def __init__(self, sandbox: Sandbox, options: ServerOptions | None = None) -> None:
        self.sandbox = sandbox
        self.options = options or ServerOptions()
        self.base_url = ""
        check_loopback(self.options.host)
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> SandboxServer:
        await self.start()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, and set everything going."""
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.router.add_route("*", "/{path:.*}", self._answer)
        app.on_response_prepare.append(sending.drop_added_headers)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.options.host, self.options.port)
        await site.start()
        self.base_url = _url(self._runner.addresses[0])
        self.sandbox.config.adyen.report_base_url = self.base_url
        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        self._tasks = [asyncio.create_task(self._survive(job)) for job in self._jobs()]

    async def stop(self) -> None:
        """Finish: what is on its way goes back into its queue, and the state is saved."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self.save()

    def save(self) -> None:
        if self.options.state_path is not None:
            state.save(self.sandbox, self.options.state_path)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        response = self.sandbox.handle(request.method, request.path_qs, dict(request.headers), body)
        return await sending.send(request, response)

    # What goes on meanwhile.

    def _jobs(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        """Each is repeated for ever: it does what is to be done and sleeps until there may be more."""
        config = self.sandbox.config
        jobs: list[Callable[[], Coroutine[Any, Any, None]]] = [self._live]
        if self.options.refunds_per_minute > 0:
            jobs.append(self._start_refund)
        if self.options.reports_every_seconds > 0:
            jobs.append(self._write_reports)
        if self.options.state_path is not None:
            jobs.append(self._save_regularly)
        if config.stripe.webhook_url:
            jobs += [lambda: self._deliver(STRIPE)] * _STRIPE_COURIERS
        if config.adyen.webhook_url:
            jobs.append(lambda: self._deliver(ADYEN))
        if config.registration.url:
            jobs.append(self._register)
        return jobs

    async def _survive(self, job: Callable[[], Awaitable[None]]) -> None:
        """Repeat a job; an error in one round is told and does not end it."""
        while True:
            try:
                await job()
            except Exception:
                logger.exception("The sandbox goes on after an error of its own")
                await asyncio.sleep(1)

    async def _live(self) -> None:
        self.sandbox.advance()
        await asyncio.sleep(_TICK_SECONDS)

    async def _start_refund(self) -> None:
        world = self.sandbox.world
        rng = seeded(world.seed, "arrival", world.numbers["refund"])
        await asyncio.sleep(min(rng.expovariate(self.options.refunds_per_minute / 60), 60))
        if self.sandbox.config.processors:
            self.sandbox.start_refund(rng.choice(self.sandbox.config.processors))

    async def _write_reports(self) -> None:
        await asyncio.sleep(self.options.reports_every_seconds)
        self.sandbox.write_reports()

    async def _save_regularly(self) -> None:
        began = time.monotonic()
        self.save()
        # A world that takes long to write is written less often, so that saving never takes more than a twentieth.
        await asyncio.sleep(max(3.0, 20 * (time.monotonic() - began)))

    async def _deliver(self, processor: str) -> None:
        courier = self.sandbox.courier
        delivery = courier.take_next(processor, self.sandbox.world.now())
        if delivery is None:
            await asyncio.sleep(_TICK_SECONDS)
            return
        status: int | None = None
        try:
            status = await self._post(delivery.url, delivery.headers, delivery.body)
        finally:
            # Also when the server stops in between: the delivery is then made again after the next start.
            courier.report(delivery, status)

    async def _register(self) -> None:
        initiator = self.sandbox.initiator
        registration = initiator.take_next(self.sandbox.world.now())
        if registration is None:
            await asyncio.sleep(_TICK_SECONDS)
            return
        status: int | None = None
        try:
            status = await self._post(registration.url, registration.headers, registration.body)
        finally:
            initiator.report(registration, status)

    async def _post(self, url: str, headers: Any, body: bytes) -> int | None:
        if self._session is None:
            return None
        return await sending.post(self._session, url, headers, body)


def _url(address: Any) -> str:
    host, port = address[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def populate(sandbox: Sandbox, count: int) -> None:
    """Start refunds of the last thirty days, more of them lately, with the history they would have by now."""
    world = sandbox.world
    rng = seeded(world.seed, "populate")
    ages = sorted((30 * 86_400 * rng.random() ** 2 for _ in range(count)), reverse=True)
    now = world.now()
    for age in ages:
        processor = rng.choice(sandbox.config.processors)
        sandbox.start_refund(processor, created_at=now - dt.timedelta(seconds=age))
    if count:
        sandbox.write_reports()


async def run_until(stop: asyncio.Event, server: SandboxServer, tell: Callable[[str], None], every: float = 10) -> None:
    """Serve until `stop` is set; tell in one line what changed."""
    async with server:
        tell(f"sandbox: listening on {server.base_url}")
        told = ""
        while not stop.is_set():
            line = progress(server.sandbox)
            if line != told:
                tell(line)
                told = line
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every)


def progress(sandbox: Sandbox) -> str:
    """One line on how things stand."""
    stats = sandbox.stats()
    statuses, post, registrations = stats["statuses"], stats["deliveries"], stats["registrations"]
    refunds = ", ".join(f"{statuses.get(word, 0)} {word.lower()}" for word in ("PENDING", "SUCCEEDED", "FAILED"))
    counts = ", ".join(f"{post.get(word, 0)} {word}" for word in ("delivered", "lost", "refused", "waiting"))
    return (
        f"sandbox: {sum(statuses.values())} refunds ({refunds}); webhooks: {counts}; "
        f"{registrations.get('registered', 0)} registered; {sum(stats['requests'].values())} requests answered"
    )
