"""Reconciliation from the command line: compare now, print what differs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connectors.contract import Money
from connectors.management.console import Progress, account_named, moment, shown, table
from connectors.models import ConnectorAccount
from connectors.money import MoneyError, to_major
from refunds.reconciliation.codes import Code
from refunds.reconciliation.ladder import COMBINATIONS
from refunds.reconciliation.models import Run, RunState
from refunds.reconciliation.runs import CannotRun, perform, start_run


class Command(BaseCommand):
    help = "Compare our books, the processors, the settlement and the bank over a period. It corrects nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--from", dest="since", type=moment, required=True, help="the first moment: 2026-03-01")
        parser.add_argument("--to", dest="until", type=moment, required=True, help="the first one after it: 2026-04-01")
        parser.add_argument("--account", action="append", metavar="NAME", help="only this account; may be repeated")
        parser.add_argument("--as-of", type=moment, help="only what had been received by then; now, if left out")
        parser.add_argument(
            "--parties", choices=COMBINATIONS, default="",
            help="R our books, P the processor, S the settlement, B the bank; those there are, if left out",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        names = options["account"]
        accounts = [account_named(name) for name in names] if names else list(ConnectorAccount.objects.all())
        try:
            run = start_run(
                accounts, since=options["since"], until=options["until"], parties=options["parties"],
                as_of=options["as_of"],
            )  # fmt: skip
        except CannotRun as error:
            raise CommandError(f"{error}.") from error
        progress = Progress(self.stderr)
        perform(run, alive=lambda: progress.show(f"{run.percent} %: {run.step}"))
        progress.done()
        run.refresh_from_db()
        if run.state != RunState.DONE:
            raise CommandError(run.error or "A worker is at this run; its row says how it ends.")
        self._say(run, accounts)

    def _say(self, run: Run, accounts: list[ConnectorAccount]) -> None:
        self.stdout.write(
            f"Run {run.pk}, {run.parties}, from {shown(run.since)} to {shown(run.until)}, as of {shown(run.as_of)}, "
            f"{', '.join(account.name for account in accounts)}"
        )
        self.stdout.write(
            f"{run.items:,} compared, {run.matches:,} matches, {run.suggested:,} of them only suggested, "
            f"{run.breaks:,} breaks."
        )
        rows = []
        for line in run.summary:
            about = Code[line["name"]].about
            at_risk = _amount(line["minor_amount"], line["currency"], accounts)
            rows.append((line["code"], line["name"], line["breaks"], at_risk, about.severity, about.owner))
        if rows:
            self.stdout.write(table(("code", "break", "how many", "at risk", "severity", "owner"), rows))


def _amount(minor_amount: int, currency: str, accounts: list[ConnectorAccount]) -> str:
    """In major units where all the accounts count the currency alike."""
    if not currency:
        return "-"
    try:
        found = {to_major(Money(minor_amount, currency), a.connector_class.currency_exponents) for a in accounts}
    except MoneyError:
        found = set()
    return f"{found.pop()} {currency}" if len(found) == 1 else f"{minor_amount} {currency} (minor units)"
