"""manage.py sandbox: processors to practise on, on this machine only."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connectors.sandbox import month, server, state
from connectors.sandbox.config import ConfigError, SandboxConfig, load_config
from connectors.sandbox.courier import Habits
from connectors.sandbox.sandbox import Sandbox

A_DAY_IN_THIRTY_SECONDS = 2880.0
EXIT_MONEY_MOVED = 3


class Command(BaseCommand):
    help = "Run a local server that behaves like the processors, and like the service that asks them for refunds."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--config", type=Path, help="JSON file: accounts, keys, webhook URLs and secrets, registration URL, token")
        add("--host", default="127.0.0.1", help="a loopback address")
        add("--port", type=int, default=8765)
        add("--state", type=Path, help="file the world is kept in, so that it goes on after a restart")
        add("--seed", default="0", help="the same seed gives the same refunds")
        add("--refunds-per-minute", type=_at_least_zero, default=20.0)
        add("--initial", type=int, default=0, metavar="N", help="begin with N refunds of the last thirty days")
        add(
            "--month",
            type=int,
            default=0,
            metavar="N",
            help="begin with a whole month of N refunds, its files, books "
            "and bank, and differences of every kind to be found (see docs/reconciliation.md)",
        )
        add("--pace", type=_above_zero, default=A_DAY_IN_THIRTY_SECONDS, help="how many times faster refunds live")
        add("--reports-every", type=_at_least_zero, default=60.0, metavar="SECONDS", help="0: only on request")
        add("--loss", type=_share, default=0.02, help="share of webhooks that are never sent")
        add("--duplicates", type=_share, default=0.1, help="share of webhooks that are sent again")
        add("--disorder", type=_share, default=0.1, help="share of webhooks that come late")
        add("--unregistered", type=_share, default=0.1, help="share of refunds made in the processor's dashboard")
        add("--late-registrations", type=_share, default=0.1, help="share that is registered after the webhook")
        add("--rate-limit", type=_at_least_zero, default=25.0, help="requests a second per account; 0: no limit")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sandbox = _sandbox(options)
            runs = _server(sandbox, options)
        except (ConfigError, state.StateError, ValueError) as error:
            raise CommandError(str(error)) from error
        logging.getLogger("connectors.sandbox").setLevel(logging.WARNING)
        try:
            asyncio.run(_serve(runs, self._tell))
        except OSError as error:
            raise CommandError(f"cannot listen on {options['host']}:{options['port']}: {error.strerror}") from error
        self._finish(sandbox)

    def _tell(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _finish(self, sandbox: Sandbox) -> None:
        self._tell(server.progress(sandbox))
        attempts = sandbox.world.money_moving_attempts
        if not attempts:
            return
        self.stderr.write(self.style.ERROR(f"Requests that could have moved money, all refused: {len(attempts)}"))
        for attempt in attempts:
            self.stderr.write(self.style.ERROR(f"  {attempt}"))
        sys.exit(EXIT_MONEY_MOVED)


def _sandbox(options: dict[str, Any]) -> Sandbox:
    """A new world with its first refunds, or the one in the state file."""
    config = load_config(options["config"]) if options["config"] else SandboxConfig()
    habits = Habits(loss=options["loss"], duplicates=options["duplicates"], disorder=options["disorder"], batch_limit=4)
    sandbox = Sandbox(
        config,
        seed=options["seed"],
        pace=options["pace"],
        unregistered=options["unregistered"],
        late_registrations=options["late_registrations"],
        habits=habits,
        requests_per_second=options["rate_limit"] or None,
    )
    config.adyen.report_base_url = config.stripe.files_base_url = f"http://{options['host']}:{options['port']}"
    known = state.load(sandbox, options["state"]) if options["state"] else False
    if known and options["month"] and not sandbox.world.plants:
        raise ValueError(f"{options['state']} holds a world already, and a month begins one; remove the file first")
    if not known and config.processors:
        if options["month"]:
            month.look_back(sandbox, options["month"])
        server.populate(sandbox, options["initial"])
    return sandbox


def _server(sandbox: Sandbox, options: dict[str, Any]) -> server.SandboxServer:
    settings = server.ServerOptions(
        host=options["host"],
        port=options["port"],
        refunds_per_minute=options["refunds_per_minute"],
        reports_every_seconds=options["reports_every"],
        state_path=options["state"],
    )
    return server.SandboxServer(sandbox, settings)


async def _serve(runs: server.SandboxServer, tell: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await server.run_until(stop, runs, tell)


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ArgumentTypeError("must lie between 0 and 1")
    return value


def _at_least_zero(text: str) -> float:
    value = float(text)
    if value < 0:
        raise ArgumentTypeError("must not be negative")
    return value


def _above_zero(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise ArgumentTypeError("must be greater than 0")
    return value
