"""Large data for trying and measuring: refunds by the million. For development; anywhere else it refuses."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from connectors.management.console import Progress, whole_number
from refunds.management.seeding import DAYS, seed


class Command(BaseCommand):
    help = (
        "Add refunds that nobody ever made, with all their identifiers and what was observed of them, of accounts that "
        "are not enabled (seed-...). Only with REFUNDDASH_DEBUG."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--refunds", type=whole_number, required=True, help="how many")
        parser.add_argument("--days", type=whole_number, default=DAYS, help=f"over how many days until now ({DAYS})")

    def handle(self, *args: Any, refunds: int, days: int, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError(
                "seed makes refunds that never were. It works in development only: set REFUNDDASH_DEBUG=1, and a "
                "database of its own by REFUNDDASH_DATABASE_URL."
            )
        if not refunds or not days:
            raise CommandError("--refunds and --days are at least 1")
        progress, started = Progress(self.stderr), time.monotonic()
        seed(refunds, days=days, progress=progress.show)
        progress.done()
        took = time.monotonic() - started
        self.stdout.write(f"{refunds:,} refunds in {took:.0f} s ({refunds / max(took, 0.001):,.0f}/s).")
