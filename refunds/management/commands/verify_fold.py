"""Does every refund show what its log adds up to? For the engineer on call, and after a restore."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connectors.management.console import Progress
from refunds import services


class Command(BaseCommand):
    help = (
        "Merge every refund's observations and claim anew and compare with what is shown; prints each difference and "
        "fails where there is any."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--after", type=int, default=0, metavar="ID", help="go on after the refund of this number")
        parser.add_argument("--repair", action="store_true", help="show again what the log says, and say what was done")

    def handle(self, *args: Any, after: int, repair: bool, **options: Any) -> None:
        progress, started = Progress(self.stderr), time.monotonic()
        looked_at, mismatches, last = 0, 0, after
        try:
            for last, count, found in services.verify_fold(after=after):
                looked_at += count
                mismatches += len(found)
                for mismatch in found:
                    progress.done()
                    self.stdout.write(str(mismatch))
                wrong = {mismatch.refund_id for mismatch in found}
                if repair and wrong:
                    self.stdout.write(f"{services.fold_anew(wrong)} refunds show their log again.")
                rate = looked_at / (time.monotonic() - started)
                progress.show(f"{looked_at:,} refunds looked at, {mismatches:,} mismatches, {rate:,.0f}/s, at {last}")
        except KeyboardInterrupt:
            raise CommandError(f"stopped; go on with --after {last}") from None
        progress.done()
        rate = looked_at / (time.monotonic() - started)
        self.stdout.write(f"{looked_at:,} refunds looked at, {mismatches:,} mismatches ({rate:,.0f}/s).")
        if mismatches and not repair:
            raise CommandError(
                "these refunds do not show what their log adds up to: see docs/operations.md, not_its_log"
            )
