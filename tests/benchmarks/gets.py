"""Gets per CPU-second through the whole transport and connector, against bare aiohttp asking the same server."""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable

import aiohttp
import uvloop

from connectors.contract import Account, Answer, Connector, Fact, RefundReference, Secret
from connectors.processors.stripe.settings import Credentials, Options
from connectors.registry import connector
from connectors.transport import Transport, run_each

SIZES = {"smoke": (500, 1), "full": (10_000, 5)}
IN_FLIGHT = 64


def run(size: str) -> None:
    gets, rounds = SIZES[size]
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.gets"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    base_url = f"http://127.0.0.1:{int(process.stdout.readline())}"
    try:
        ratios, ours, theirs = [], [], []
        for number in range(-1, rounds):
            a = _per_cpu_second(lambda: _transport(base_url, gets), gets)
            b = _per_cpu_second(lambda: _bare(base_url, gets), gets)
            if number >= 0:
                ours.append(a)
                theirs.append(b)
                ratios.append(a / b)
    finally:
        process.terminate()
        process.wait(10)
    print(
        f"gets, {gets:,}, {IN_FLIGHT} in flight: {statistics.median(ratios):.2f} of bare aiohttp per CPU-second"
        f" (median of {rounds} rounds; {statistics.median(ours):,.0f} to {statistics.median(theirs):,.0f})"
    )


def _per_cpu_second(work: Callable[[], Awaitable[None]], gets: int) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF)
    uvloop.run(_awaited(work))
    after = resource.getrusage(resource.RUSAGE_SELF)
    return gets / (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def _transport(base_url: str, gets: int) -> None:
    """What the poller does: describe, send under the policy, read strictly, translate into a fact."""
    account = Account("sandbox", base_url, Credentials(Secret("rk_test_benchmark")), Options(), name="bench")
    bound: Connector = connector("stripe")(account)
    async with Transport(connections=IN_FLIGHT) as transport:
        jobs = [_job(transport, bound, n) for n in range(gets)]
        answers = await run_each(jobs, at_once=IN_FLIGHT)
    assert all(not isinstance(answer, Exception) for answer in answers), answers[0]


def _job(transport: Transport, bound: Connector, number: int) -> Callable[[], Awaitable[Answer[Fact]]]:
    reference = RefundReference(f"re_{number}")
    return lambda: transport.run(bound, bound.get_refund(reference), flow="poll")


async def _bare(base_url: str, gets: int) -> None:
    """The least that asks the same: one session, and the JSON read."""
    numbers = iter(range(gets))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:

        async def ask() -> None:
            for number in numbers:
                async with session.get(f"{base_url}/v1/refunds/re_{number}", headers=_HEADERS) as response:
                    assert json.loads(await response.read())["id"] == f"re_{number}"

        await asyncio.gather(*(ask() for _ in range(IN_FLIGHT)))


_HEADERS = {"Authorization": "Bearer rk_test_benchmark", "Accept": "application/json"}


async def _serve() -> None:
    """The processor: answers any refund, as fast as it can, in a process of its own."""
    from aiohttp import web

    async def refund(request: web.Request) -> web.Response:
        return web.json_response(
            {
                "id": request.match_info["id"], "object": "refund", "amount": 1099, "currency": "usd",
                "status": "succeeded", "charge": "ch_1", "payment_intent": "pi_1", "created": 1_790_000_000,
                "reason": "requested_by_customer", "metadata": {}, "failure_reason": None,
                "destination_details": {"type": "card", "card": {"type": "refund", "reference_status": "pending"}},
            }
        )  # fmt: skip

    application = web.Application()
    application.router.add_get("/v1/refunds/{id}", refund)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve())
