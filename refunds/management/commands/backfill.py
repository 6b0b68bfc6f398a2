"""List what a processor created in a span of time and record it: after an outage, or for a new account."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connectors.contract import ConnectorError, MalformedAnswer, NotSupported
from connectors.management.console import Progress, account_named, moment
from connectors.models import ConnectorAccount
from refunds import services
from refunds.models import Backfill


class Command(BaseCommand):
    help = (
        "Ask a processor for every refund it created in a span of time, and the 24 hours before it. One that was "
        "stopped goes on where it was. Running it twice changes nothing."
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
        self.stdout.write(
            f"{account}: {done.refunds:,} refunds on {done.pages:,} pages; {done.new:,} new, {done.changed:,} changed."
        )

    def _backfill(self, account: ConnectorAccount, since: Any, until: Any, *, from_first_page: bool) -> Backfill:
        progress = Progress(self.stderr)

        def note(step: Backfill) -> None:
            progress.show(f"page {step.pages:,}: {step.refunds:,} refunds, {step.new:,} new, {step.changed:,} changed")

        try:
            return services.backfill(account, since, until, from_first_page=from_first_page, progress=note)
        except (NotSupported, LookupError, services.AnotherIsAtIt) as error:
            raise CommandError(f"{error}.") from error
        except ConnectorError as error:
            # A processor may not know a cursor any more; anything else is worth going on from it.
            again = " --from-first-page" if isinstance(error, MalformedAnswer) else ""
            message = f"{error}. What was read is kept; go on with: manage.py backfill {account}{again}"
            raise CommandError(message) from error
        finally:
            progress.done()
