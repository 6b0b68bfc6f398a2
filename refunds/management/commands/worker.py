"""One worker, watched over."""

from __future__ import annotations

import socket
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from refunds.models import Heartbeat
from refunds.supervisor import Supervisor


class Command(BaseCommand):
    help = "Run a worker: the queue's processes, and a watchdog that starts them anew when they stand still."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--name", default="1", help="tells the workers of one machine apart (1); each needs its own"
        )
        parser.add_argument(
            "--alive", action="store_true", help="run nothing; fail unless this worker has done something lately"
        )

    def handle(self, *args: Any, name: str, alive: bool, **options: Any) -> None:
        worker = f"{socket.gethostname()}/{name}"
        if alive:
            self._check(worker)
            return
        supervisor = Supervisor(
            [sys.executable, sys.argv[0], "qcluster"],
            name=worker,
            silence_seconds=settings.WATCHDOG_SECONDS,
        )
        sys.exit(supervisor.run())

    def _check(self, worker: str) -> None:
        beat_at = Heartbeat.last_of(worker)
        if beat_at is None:
            raise CommandError(f"{worker} has never done anything.")
        silent = (timezone.now() - beat_at).total_seconds()
        if silent > settings.STANDSTILL_SECONDS:
            raise CommandError(f"{worker} has done nothing for {silent:.0f} s.")
        self.stdout.write(f"{worker} did something {silent:.0f} s ago.")
