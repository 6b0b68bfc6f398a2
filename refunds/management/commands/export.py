"""Exports from the command line: write the rows of a report into a file, now."""

from __future__ import annotations

import zoneinfo
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connectors.contract import Status
from connectors.management.console import Progress, account_named, moment, shown, table
from refunds.exports import exporting, storing
from refunds.exports.kinds.report_filter import Basis, Breaks, Period, ReportFilter
from refunds.exports.models import Export, ExportState, Format


class Command(BaseCommand):
    help = (
        "Write the refund report, a run's breaks or a period's roll-forward into a file: CSV, XLSX or Parquet, all "
        "rows of one moment."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        refunds = actions.add_parser("refunds", help="the unified refund report")
        refunds.add_argument("--from", dest="since", type=moment, required=True, help="the first day: 2026-03-01")
        refunds.add_argument("--until", type=moment, required=True, help="the last day, inside: 2026-03-31")
        refunds.add_argument("--basis", choices=Basis.values, default=Basis.CREATED, help="by which date (created)")
        refunds.add_argument("--account", action="append", metavar="NAME", help="only this account; may be repeated")
        refunds.add_argument("--status", action="append", choices=[s.value for s in Status], help="may be repeated")
        refunds.add_argument(
            "--breaks", choices=[b for b in Breaks.values if b], default="", help="open breaks or none"
        )
        breaks = actions.add_parser("breaks", help="the breaks of a run, with their state and decisions")
        breaks.add_argument("run", type=int, help="the run's number")
        rollforward = actions.add_parser("rollforward", help="the roll-forward of a closed period, a row a currency")
        open_items = actions.add_parser("open_items", help="what was in transit when a period was closed")
        for each in (rollforward, open_items):
            each.add_argument("period", type=int, help="the period's number")
        for each in (refunds, breaks, rollforward, open_items):
            each.add_argument("--zone", default="UTC", help="where days begin, and whose time is written (UTC)")
            each.add_argument("--format", choices=Format.values, default=Format.CSV)
            each.add_argument("--output", type=Path, metavar="FOLDER", default=Path(), help="where to (here)")
        listing = actions.add_parser("list", help="the newest exports")
        listing.add_argument("--limit", type=int, default=50, help="how many at most (50)")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        if action == "list":
            return self._list(options["limit"])
        if options["zone"] not in zoneinfo.available_timezones():
            raise CommandError(f"{options['zone']} is not a time zone such as UTC or Europe/Berlin.")
        filters = _report(options) if action == "refunds" else _numbered(options)
        folder: Path = options["output"]
        if not folder.is_dir():
            raise CommandError(f"There is no folder {folder}.")
        try:
            export = exporting.start_export(action, filters, form=options["format"], actor=None)
        except exporting.CannotExport as error:
            raise CommandError(f"{error}.") from error
        self._make(export)
        path = folder / export.name
        with path.open("wb") as file:
            for piece in storing.content(export):
                file.write(piece)
        exporting.delete(export)
        self.stdout.write(f"{path}: {export.rows:,} rows as of {shown(export.taken_at)}, SHA-256 {export.digest}")
        return None

    def _make(self, export: Export) -> None:
        progress = Progress(self.stderr)
        done = exporting.perform(export, alive=lambda: progress.show(f"{export.percent} %: {export.rows:,} rows"))
        progress.done()
        if not done:
            exporting.cancel(export)
            raise CommandError(export.error or "A worker is making another export; try again when it is done.")

    def _list(self, limit: int) -> None:
        rows = [
            (
                each.pk, shown(each.created_at), each.kind, each.format, ExportState(each.state).label,
                f"{each.rows:,}", each.user.get_username() if each.user else each.token or "command", each.error[:80],
            )
            for each in Export.objects.select_related("user", "token")[:limit]
        ]  # fmt: skip
        self.stdout.write(table(("id", "asked for", "kind", "format", "state", "rows", "by", "error"), rows))


def _numbered(options: dict[str, Any]) -> dict[str, Any]:
    """Of a run, or of a period."""
    what = "run" if "run" in options else "period"
    return {what: options[what], "zone": options["zone"]}


def _report(options: dict[str, Any]) -> dict[str, Any]:
    since, until = options["since"].date(), options["until"].date()
    if since > until:
        raise CommandError("The period ends before it begins.")
    period = Period(Basis(options["basis"]), since, until, zoneinfo.ZoneInfo(options["zone"]))
    accounts = tuple(account_named(name).pk for name in options["account"] or [])
    statuses = tuple(Status(status) for status in options["status"] or [])
    return ReportFilter(period, statuses, accounts, Breaks(options["breaks"])).as_json()
