"""Status and settlement reports: import a file, list what came, download one now."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connectors.contract import MalformedReport, NotSupported, Refused
from connectors.keyring import CannotOpen
from connectors.management.console import Progress, account_named, shown, table, whole_number
from refunds import services
from refunds.models import ReportSource, ReportState, StatusReport

_FIRST_ERRORS = 20
_TURN_SECONDS = 30.0


class Command(BaseCommand):
    help = (
        "Import processors' report files: status reports, which say what became of refunds, and settlement files, "
        "which say what was booked, with which fee and payout. They are read by the names of their columns; a row that "
        "cannot be read is listed with line, column and reason, and the rest goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        importing = actions.add_parser(
            "import",
            help="import a file; the same one again changes nothing, one that was stopped goes on, and a line that had "
            "come before counts once",
        )
        importing.add_argument("file", type=Path, help="the file as the processor made it")
        importing.add_argument("--account", metavar="NAME", required=True, help="whose report it is")
        listing = actions.add_parser("list", help="the newest reports")
        listing.add_argument("--account", metavar="NAME", help="only of this account")
        listing.add_argument("--state", choices=ReportState.values, help="only in this state")
        listing.add_argument("--limit", type=whole_number, default=50, help="how many at most (50)")
        again = actions.add_parser("again", help="import a file anew that was refused or given up, as it was kept")
        again.add_argument("id", type=whole_number, help="its number in the list")
        fetch = actions.add_parser("fetch", help="download a report now and import it")
        fetch.add_argument("--account", metavar="NAME", required=True, help="whose report it is")
        which = fetch.add_mutually_exclusive_group(required=True)
        which.add_argument("--id", type=whole_number, help="one that was announced, by its number in the list")
        which.add_argument("--url", help="the address at the processor")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        {"import": self._import, "list": self._list, "fetch": self._fetch, "again": self._again}[action](options)

    def _import(self, options: dict[str, Any]) -> None:
        account, path = account_named(options["account"]), options["file"]
        try:
            with path.open("rb") as file:
                kept = services.keep_report(account, path.name, file, source=ReportSource.COMMAND)
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}") from error
        except (MalformedReport, NotSupported) as error:
            raise CommandError(f"{path.name}: {error}") from error
        if kept.known and kept.report.state == ReportState.IMPORTED:
            when = shown(kept.report.finished_at)
            self.stdout.write(f"This very file was imported already on {when} ({kept.report.name}); nothing was done.")
            return
        self._finish(kept.report)

    def _again(self, options: dict[str, Any]) -> None:
        report = StatusReport.objects.filter(pk=options["id"]).select_related("account").first()
        if report is None:
            raise CommandError(f"there is no report {options['id']}; see `manage.py report list`")
        if not services.try_again(report):
            raise CommandError(f"{report.name} is {report.get_state_display()}, or its file is gone: hand it in anew")
        self._finish(report)

    def _fetch(self, options: dict[str, Any]) -> None:
        account = account_named(options["account"])
        if options["url"]:
            try:
                report = services.report_at(account, options["url"])
            except (Refused, NotSupported, CannotOpen, ValueError) as error:
                raise CommandError(f"{error}.") from error
        else:
            found = StatusReport.objects.filter(pk=options["id"], account=account).select_related("account").first()
            if found is None:
                raise CommandError(f"{account} has no report {options['id']}; see `manage.py report list`")
            report = found
            services.fetch_now(report)
        if report.state == ReportState.ANNOUNCED and not services.fetch_report(report):
            report.refresh_from_db()
            raise CommandError(f"{report.name} was not downloaded: {report.error or 'another worker is at it'}.")
        self._finish(report)

    def _finish(self, report: StatusReport) -> None:
        """Import until it is done, here or, where a worker has taken it, by watching that worker."""
        progress = Progress(self.stderr)

        def note(step: StatusReport) -> None:
            progress.show(f"{step.percent} %: {step.rows:,} rows, {step.about_refunds:,} about refunds")

        services.import_now(report)
        while report.state == ReportState.STORED and not report.error:
            if not services.import_report(report, turn_seconds=_TURN_SECONDS, progress=note) and report.lease:
                time.sleep(1.0)
            report.refresh_from_db()
            note(report)
        progress.done()
        self._say(report)

    def _say(self, report: StatusReport) -> None:
        for error in report.row_errors.all()[:_FIRST_ERRORS]:
            place = f"line {error.line}, {error.column}" if error.column else f"line {error.line}"
            self.stderr.write(f"{place}: {error.reason}")
        if report.state == ReportState.REFUSED and report.can_be_tried_again:
            raise CommandError(f"{report.error} The file is kept: `report again {report.pk}` tries it once more.")
        if report.state != ReportState.IMPORTED and report.error:
            raise CommandError(report.error)
        if report.state == ReportState.SUPERSEDED:
            self.stdout.write(f"{report.name}: this very file is here already; nothing was done.")
            return
        if report.is_empty:
            self.stdout.write(f"{report.name}: it holds a header and no rows, so nothing was imported.")
            return
        booked = f", {report.settled:,} booked ({report.set_aside:,} had come before)" if report.settled else ""
        self.stdout.write(
            f"{report.name}: {report.rows:,} rows; {report.about_refunds:,} about refunds{booked}, {report.changed:,} "
            "refunds changed; "
            f"{report.other:,} about other things, {report.not_ours:,} of other merchant accounts, "
            f"{report.unreadable:,} unreadable."
        )

    def _list(self, options: dict[str, Any]) -> None:
        found = StatusReport.objects.select_related("account")
        if options["account"]:
            found = found.filter(account=account_named(options["account"]))
        if options["state"]:
            found = found.filter(state=options["state"])
        rows = [
            (
                report.pk,
                shown(report.created_at),
                report.account.name,
                report.name,
                report.get_state_display(),
                report.about_refunds,
                report.unreadable,
                report.error[:80],
            )
            for report in found[: options["limit"]]
        ]
        self.stdout.write(
            table(("id", "came", "account", "name", "state", "about refunds", "unreadable", "error"), rows)
        )
