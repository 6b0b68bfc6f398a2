"""The sandbox over real sockets on this machine, its state file and its configuration."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from connectors.sandbox import server, state
from connectors.sandbox.clock import VirtualClock
from connectors.sandbox.config import ConfigError, load_config, parse_config
from connectors.sandbox.courier import Habits
from connectors.sandbox.sandbox import Sandbox
from connectors.sandbox.server import SandboxServer, ServerOptions

KEY = {"Authorization": "Bearer sk_test_sandbox"}


class Dashboard:
    """Takes webhooks and registrations; refuses the first `refusals` requests."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.received: list[tuple[str, Any]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        document = await request.json()
        if self.refusals:
            self.refusals -= 1
            return web.Response(status=503)
        self.received.append((request.path, document))
        return web.Response(text="[accepted]")

    async def received_enough(self, count: int) -> list[tuple[str, Any]]:
        await until(lambda: len(self.received) >= count)
        return self.received


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for it, ten seconds at most."""
    deadline = time.monotonic() + 10
    while not is_so() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)


def serve(
    sandbox: Sandbox, work: Callable[[SandboxServer, aiohttp.ClientSession], Awaitable[None]], **options: Any
) -> None:
    async def run() -> None:
        async with (
            SandboxServer(sandbox, ServerOptions(port=0, **options)) as running,
            aiohttp.ClientSession(running.base_url, headers=KEY) as client,
        ):
            await work(running, client)

    asyncio.run(run())


def with_dashboard(
    sandbox: Sandbox, dashboard: Dashboard, work: Callable[[Dashboard], Awaitable[None]], **options: Any
) -> None:
    async def run() -> None:
        app = web.Application()
        app.router.add_post("/{path:.*}", dashboard.take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        dashboard.url = f"http://{host}:{port}"
        sandbox.config.stripe.webhook_url = f"{dashboard.url}/webhooks/stripe"
        sandbox.config.adyen.webhook_url = f"{dashboard.url}/webhooks/adyen"
        sandbox.config.registration.url = f"{dashboard.url}/api/refunds"
        try:
            async with SandboxServer(sandbox, ServerOptions(port=0, **options)):
                await work(dashboard)
        finally:
            await runner.cleanup()

    asyncio.run(run())


@pytest.fixture
def living() -> Sandbox:
    """A sandbox in real time, in which a day takes a second."""
    sandbox = Sandbox(seed=4, pace=86_400)
    sandbox.start_refund("stripe", word="succeeded", refund_id="re_1")
    return sandbox


def test_it_answers_over_http(living: Sandbox) -> None:
    async def work(running: SandboxServer, client: aiohttp.ClientSession) -> None:
        async with client.get("/v1/refunds/re_1") as answer:
            assert (answer.status, (await answer.json())["status"]) == (200, "succeeded")
            assert answer.headers["Request-Id"].startswith("req_")
            assert "Server" not in answer.headers
        async with client.post("/_sandbox/says", json={"refund_id": "re_1", "native_status": "failed"}) as answer:
            assert (await answer.json())["status"] == "FAILED"
        async with client.post("/v1/refunds", data={"charge": "ch_1"}) as answer:
            assert answer.status == 403

    serve(living, work)
    assert living.world.money_moving_attempts == ["POST /v1/refunds (stripe)"]


def test_its_date_can_be_missing_on_the_wire(living: Sandbox) -> None:
    async def work(running: SandboxServer, client: aiohttp.ClientSession) -> None:
        living.fault("no_date", count=1)
        async with client.get("/v1/refunds/re_1") as answer:
            assert "Date" not in answer.headers
        async with client.get("/v1/refunds/re_1") as answer:
            assert len(answer.headers.getall("Date")) == 1

    serve(living, work)


def test_it_resets_drips_and_hangs(living: Sandbox) -> None:
    async def work(running: SandboxServer, client: aiohttp.ClientSession) -> None:
        for kind in ("reset", "drip", "hang", "endless"):
            living.clear_faults()
            living.fault(kind, seconds=0.05)
            timeout = aiohttp.ClientTimeout(total=0.4)
            with pytest.raises((aiohttp.ClientError, TimeoutError)):
                async with client.get("/v1/refunds/re_1", timeout=timeout) as answer:
                    await answer.read()

    serve(living, work)


def test_latency_delays_an_answer(living: Sandbox) -> None:
    async def work(running: SandboxServer, client: aiohttp.ClientSession) -> None:
        living.fault("latency", seconds=0.2)
        began = time.monotonic()
        async with client.get("/v1/refunds/re_1") as answer:
            assert answer.status == 200
        assert time.monotonic() - began >= 0.2

    serve(living, work)


def test_webhooks_and_registrations_reach_the_dashboard(living: Sandbox) -> None:
    async def work(dashboard: Dashboard) -> None:
        received = await dashboard.received_enough(3)
        assert sorted(path for path, _ in received) == ["/api/refunds", "/webhooks/stripe", "/webhooks/stripe"]
        living.start_refund("adyen", life="manual", refund_id="PSP1", registered=False)
        living.says("PSP1", "REFUND")
        path, document = (await dashboard.received_enough(4))[-1]
        assert path == "/webhooks/adyen"
        assert document["notificationItems"][0]["NotificationRequestItem"]["pspReference"] == "PSP1"

    with_dashboard(living, Dashboard(), work)


def test_what_the_dashboard_refuses_is_sent_again(living: Sandbox) -> None:
    async def work(dashboard: Dashboard) -> None:
        received = await dashboard.received_enough(3)
        assert sorted(path for path, _ in received) == ["/api/refunds", "/webhooks/stripe", "/webhooks/stripe"]
        await until(lambda: living.courier.counts["delivered"] + living.initiator.counts["registered"] == 3)

    with_dashboard(living, Dashboard(refusals=2), work)
    assert living.courier.counts["refused"] + living.initiator.counts["retried"] == 2


def test_refunds_arrive_and_live_by_themselves(living: Sandbox) -> None:
    async def work(dashboard: Dashboard) -> None:
        await until(lambda: len(living.world.refunds) > 4 and len(living.world.reports) >= 2)

    with_dashboard(living, Dashboard(), work, refunds_per_minute=600, reports_every_seconds=0.3)
    assert len(living.world.refunds) > 4
    assert "settlement_detail_report_batch_1.csv" in living.world.reports


def test_it_listens_on_this_machine_only(living: Sandbox) -> None:
    with pytest.raises(ValueError, match="loopback"):
        SandboxServer(living, ServerOptions(host="0.0.0.0"))


def test_a_stop_ends_the_server_and_says_how_things_stand(living: Sandbox, tmp_path: Path) -> None:
    lines: list[str] = []

    async def run() -> None:
        stop = asyncio.Event()
        running = SandboxServer(living, ServerOptions(port=0, state_path=tmp_path / "state.json"))
        task = asyncio.create_task(server.run_until(stop, running, lines.append, every=0.05))
        await asyncio.sleep(0.2)
        stop.set()
        await task

    asyncio.run(run())
    assert lines[0].startswith("sandbox: listening on http://127.0.0.1:")
    assert lines[1].startswith("sandbox: 1 refunds (0 pending, 1 succeeded, 0 failed)")
    assert (tmp_path / "state.json").exists()


def test_the_first_refunds_are_of_many_ages(clock: VirtualClock) -> None:
    sandbox = Sandbox(seed=9, clock=clock, pace=2880)
    server.populate(sandbox, 60)
    truth = sandbox.truth()
    ages = [(clock() - record.created_at).total_seconds() / 86_400 for record in truth]
    assert (len(truth), max(ages) > 25, min(ages) < 1) == (60, True, True)
    assert {record.status for record in truth} == {"PENDING", "SUCCEEDED", "FAILED"}
    clock.advance(minutes=30)
    assert "PENDING" not in {record.status for record in sandbox.truth() if record.native_status != "received"}


def test_a_world_goes_on_where_it_was_saved(tmp_path: Path, clock: VirtualClock) -> None:
    path = tmp_path / "state.json"
    habits = Habits(loss=0.1, duplicates=0.3, disorder=0.3, batch_limit=3)
    sandbox = Sandbox(seed=9, clock=clock, habits=habits, unregistered=0.2)
    for number in range(60):
        sandbox.start_refund(("stripe", "adyen")[number % 2])
        clock.advance(hours=3)
    for delivery in sandbox.deliveries_due()[::3]:
        sandbox.delivered(delivery, 503)
    sandbox.write_reports()
    state.save(sandbox, path)

    again = Sandbox(seed="another", clock=clock, habits=habits, unregistered=0.2, requests_per_second=None)
    assert state.load(again, path)
    assert state.dump(again) == state.dump(sandbox)
    assert again.truth() == sandbox.truth()
    clock.advance(days=40)
    assert again.truth() == sandbox.truth()
    assert again.deliveries_due() == sandbox.deliveries_due()
    assert again.registrations_due() == sandbox.registrations_due()
    for one in (sandbox, again):
        one.start_refund("stripe", refund_id="re_after")
    assert again.truth_of("re_after") == sandbox.truth_of("re_after")
    lists = [one.handle("GET", "/v1/refunds?limit=100", KEY).json() for one in (sandbox, again)]
    assert lists[0] == lists[1]


def test_there_may_be_no_state_yet(sandbox: Sandbox, tmp_path: Path) -> None:
    assert not state.load(sandbox, tmp_path / "state.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 99}', '{"version": 1, "seed": 0}'])
def test_a_state_that_is_none_is_refused_with_advice(sandbox: Sandbox, tmp_path: Path, text: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(state.StateError, match="remove it to begin a new one"):
        state.load(sandbox, path)


def test_a_configuration_names_accounts_secrets_and_urls(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.json"
    stripe = {
        "account": "stripe-eu",
        "api_key": "sk_test_1",
        "webhook_url": "http://127.0.0.1:8000/webhooks/stripe/t",
        "webhook_secrets": ["whsec_1"],
        "processor_account": "acct_1",
    }
    path.write_text(json.dumps({"stripe": stripe, "registration": {"url": "http://127.0.0.1:8000/api", "token": "t"}}))
    config = load_config(path)
    assert (config.stripe.account, config.stripe.webhook_secrets) == ("stripe-eu", ["whsec_1"])
    assert (config.registration.token, config.processors) == ("t", ("stripe",))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "the configuration must be a JSON object"),
        ({"paypal": {}}, "paypal is not a setting"),
        ({"stripe": []}, "stripe must be a JSON object"),
        ({"stripe": {"key": "x"}}, "stripe.key is not a setting"),
        ({"stripe": {"api_key": 5}}, "stripe.api_key must be a string"),
        ({"stripe": {"webhook_secrets": []}}, "stripe.webhook_secrets must be a list of at least one"),
        ({"stripe": {"webhook_url": "ftp://x"}}, "stripe.webhook_url must be an http or https URL"),
        ({"stripe": {"connect": "yes"}}, "stripe.connect must be true or false"),
        ({"adyen": {"hmac_keys": ["xyz"]}}, "adyen.hmac_keys must be hexadecimal"),
    ],
)
def test_a_wrong_configuration_is_explained(document: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(document)


def test_a_configuration_that_cannot_be_read_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        load_config(tmp_path / "bad.json")
