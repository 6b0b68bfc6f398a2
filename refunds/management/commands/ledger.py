"""Our books from the command line: import a file of entries, list what was handed in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connectors.management.console import Progress, account_named, shown, table, whole_number
from refunds.reconciliation.book_files import NothingToTry, import_ledger, try_again
from refunds.reconciliation.books import Source
from refunds.reconciliation.ledger_file import COLUMNS, REQUIRED, BadLedgerFile
from refunds.reconciliation.models import LedgerImport

_FIRST_ERRORS = 20


class Command(BaseCommand):
    help = "Import entries of our books, which reconciliation compares with the processor and the settlement."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        importing = actions.add_parser(
            "import",
            help="import a CSV file; the same one again changes nothing",
            description=f"Columns: {', '.join(COLUMNS)}. Required: {', '.join(REQUIRED)}. Amounts in major units with "
            "a point. Rows that cannot be taken are named with line, column and reason, the others are kept.",
        )
        importing.add_argument("file", type=Path, help="a CSV file: UTF-8; comma, semicolon or tab")
        importing.add_argument("--account", required=True, metavar="NAME", help="whose books they are")
        again = actions.add_parser("again", help="import a file anew that was refused as a whole, as it was kept")
        again.add_argument("id", type=whole_number, help="its number in the list")
        for action in (importing, again):
            action.add_argument(
                "--column",
                action="append",
                metavar="OURS=HEADING",
                help="the heading under which one of our columns stands; remembered for this account. May be repeated",
            )
        listing = actions.add_parser("list", help="the newest imports")
        listing.add_argument("--limit", type=whole_number, default=50, help="how many at most (50)")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        {"import": self._import, "again": self._again, "list": self._list}[action](options)

    def _import(self, options: dict[str, Any]) -> None:
        account, path = account_named(options["account"]), options["file"]
        columns, progress = _columns(options["column"]), Progress(self.stderr)
        try:
            with path.open("rb") as file:
                done = import_ledger(
                    account, path.name, file, source=Source.COMMAND, columns=columns,
                    progress=lambda rows: progress.show(f"{rows:,} rows read"),
                )  # fmt: skip
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}") from error
        except BadLedgerFile as error:
            where = f" The file is kept: `ledger again {error.kept.pk}` tries it once more." if error.kept else ""
            raise CommandError(f"{path.name}: {error}{where}") from error
        progress.done()
        self._say(done)

    def _again(self, options: dict[str, Any]) -> None:
        found = LedgerImport.objects.filter(pk=options["id"]).select_related("account").first()
        if found is None:
            raise CommandError(f"there is no import {options['id']}; see `manage.py ledger list`")
        columns, progress = _columns(options["column"]), Progress(self.stderr)
        try:
            done = try_again(found, columns=columns, progress=lambda rows: progress.show(f"{rows:,} rows read"))
        except NothingToTry as error:
            raise CommandError(str(error)) from error
        except BadLedgerFile as error:
            raise CommandError(f"{found.name}: {error} The file is still kept.") from error
        progress.done()
        self._say(done)

    def _say(self, done: LedgerImport) -> None:
        for fault in done.row_errors.all()[:_FIRST_ERRORS]:
            place = f"line {fault.line}, {fault.column}" if fault.column else f"line {fault.line}"
            self.stderr.write(f"{place}: {fault.reason}")
        self.stdout.write(
            f"{done.name}: {done.entries:,} entries kept, {done.known:,} known already, {done.refused:,} refused."
        )
        if done.refused:
            raise CommandError("Not every row was taken. Mend the rows above and import the file again.")

    def _list(self, options: dict[str, Any]) -> None:
        found = LedgerImport.objects.select_related("account").order_by("-id")[: options["limit"]]
        rows = [
            (
                each.pk,
                shown(each.created_at),
                each.account.name if each.account else "several",
                each.name,
                each.source,
                each.entries,
                each.known,
                each.refused,
                each.error[:80],
            )
            for each in found
        ]
        self.stdout.write(table(("id", "came", "account", "name", "by", "kept", "known", "refused", "error"), rows))


def _columns(given: list[str] | None) -> dict[str, str] | None:
    if not given:
        return None
    columns = dict(pair.partition("=")[::2] for pair in given)
    if wrong := [name for name in columns if name not in COLUMNS or not columns[name]]:
        raise CommandError(f"--column takes OURS=HEADING; there is no column {', '.join(wrong)}: {', '.join(COLUMNS)}")
    return columns
