"""List what a processor created in a span of time and record it: after an outage, or for a new account."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.utils import timezone

from connectors.contract import ConnectorError, MalformedAnswer, NotSupported
from connectors.management.console import Progress, account_named, moment
from connectors.models import ConnectorAccount
from refunds import services
from refunds.models import Backfill


class Command(BaseCommand):
    help = (
        "Ask a processor for every refund it created in a span of time, and the 24 hours before it. One that was "
        "stopped goes on where it was, and then to the end that is wanted now. Running it twice changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's name")
        parser.add_argument(
            "--since", type=moment, help="2026-03-01 or 2026-03-01T10:00Z; UTC. Without it the last one goes on"
        )
        parser.add_argument("--until", type=moment, help="the end, exclusive (now)")
        parser.add_argument(
            "--from-first-page", action="store_true", help="forget how far an unfinished one came, and begin anew"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        account = account_named(options["account"])
        since, until = options["since"], options["until"]
        if since and until and since >= until:
            raise CommandError("--since must be before --until")
        done = self._backfill(account, since, until, from_first_page=options["from_first_page"])
        for row in done:
            self.stdout.write(f"{account}, {row.span}: {_counts(row)}")
            if row.not_recorded:
                self.stderr.write(
                    f"{account}, {row.span}: {row.not_recorded:,} refunds could not be recorded; the alert "
                    "refund_not_recorded on /operations/ says why, and they are asked about again where that can be."
                )

    def _backfill(self, account: ConnectorAccount, since: Any, until: Any, *, from_first_page: bool) -> list[Backfill]:
        progress = Progress(self.stderr)
        wanted = until or (timezone.now() if since else None)
        span, ends_early = "", False

        def begin(row: Backfill) -> None:
            nonlocal span, ends_early
            span, ends_early = row.span, wanted is not None and row.until < wanted
            if row.pages:
                self.stderr.write(f"{account}, {span}: goes on after page {row.pages:,}")

        def note(step: Backfill) -> None:
            progress.show(f"{step.span}, page {step.pages:,}: {_counts(step)}")

        try:
            return services.backfill(
                account, since, wanted, from_first_page=from_first_page, begins=begin, progress=note
            )
        except services.SpanOutOfRange as error:
            raise CommandError(f"--since, --until: {error}; nothing was begun.") from error
        except (NotSupported, LookupError, services.AnotherIsAtIt) as error:
            raise CommandError(f"{error}.") from error
        except (ConnectorError, DatabaseError) as error:
            again = f"manage.py backfill {account}"
            if ends_early:
                # What was asked for reaches beyond the span that was gone on with.
                again += f" --since {since.isoformat()}" + (f" --until {until.isoformat()}" if until else "")
            # A processor may not know a cursor any more; anything else is worth going on from it.
            again += " --from-first-page" if isinstance(error, MalformedAnswer) else ""
            reason = " ".join(str(error).split())
            message = f"{span}: {reason}. What was read is kept; go on with: {again}"
            raise CommandError(message) from error
        finally:
            progress.done()


def _counts(row: Backfill) -> str:
    return f"{row.refunds:,} refunds on {row.pages:,} pages; {row.new:,} new, {row.changed:,} changed."
