"""List what a processor created in a span of time and record it: after an outage, or for a new account."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from connectors.contract import ConnectorError, NotSupported
from connectors.management.console import Progress, account_named, moment
from connectors.models import ConnectorAccount
from refunds import services


class Command(BaseCommand):
    help = "Ask a processor for every refund it created in a span of time. Running it twice changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's name")
        parser.add_argument("--since", type=moment, required=True, help="2026-03-01 or 2026-03-01T10:00Z; UTC")
        parser.add_argument("--until", type=moment, help="the end, exclusive (now)")
        parser.add_argument(
            "--cursor", help="go on where a backfill that failed stopped, as it said; same --since, --until"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        account = account_named(options["account"])
        since, until = options["since"], options["until"] or timezone.now()
        if since >= until:
            raise CommandError("--since must be before --until")
        done = self._backfill(account, since, until, cursor=options["cursor"])
        self.stdout.write(
            f"{account}: {done.refunds:,} refunds on {done.pages:,} pages; {done.new:,} new, {done.changed:,} changed."
        )

    def _backfill(
        self, account: ConnectorAccount, since: dt.datetime, until: dt.datetime, *, cursor: str | None
    ) -> services.BackfillProgress:
        progress = Progress(self.stderr)

        def note(step: services.BackfillProgress) -> None:
            nonlocal cursor
            cursor = step.next_cursor
            progress.show(f"page {step.pages:,}: {step.refunds:,} refunds, {step.new:,} new, {step.changed:,} changed")

        try:
            return services.backfill(account, since, until, cursor=cursor, progress=note)
        except NotSupported as error:
            raise CommandError(f"{error}.") from error
        except ConnectorError as error:
            again = f" --cursor {cursor}" if cursor else ""
            span = f"--since {since.isoformat()} --until {until.isoformat()}"
            message = f"{error}. What was read is kept; go on with: manage.py backfill {account} {span}{again}"
            raise CommandError(message) from error
        finally:
            progress.done()
