"""One worker, watched over."""

from __future__ import annotations

import socket
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from refunds.supervisor import Supervisor


class Command(BaseCommand):
    help = "Run a worker: the queue's processes, and a watchdog that starts them anew when they stand still."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--name", default="1", help="tells the workers of one machine apart (1); each needs its own"
        )

    def handle(self, *args: Any, name: str, **options: Any) -> None:
        supervisor = Supervisor(
            [sys.executable, sys.argv[0], "qcluster"],
            name=f"{socket.gethostname()}/{name}",
            silence_seconds=settings.WATCHDOG_SECONDS,
        )
        sys.exit(supervisor.run())
