"""Periods of an account: opened, closed with a manifest, locked, reopened by two people, verified."""

from __future__ import annotations

import argparse
import datetime as dt
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet

from connectors.management.console import Progress, account_named, shown, table
from refunds.reconciliation.closing import close, periods
from refunds.reconciliation.closing.periods import RefusedStep
from refunds.reconciliation.closing.rollforward import ADJUSTMENTS, BUCKETS
from refunds.reconciliation.closing.rules import amount
from refunds.reconciliation.models import Closing, ClosingState, Period

_SOURCE = "command"


def _day(text: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2026-03-01") from None


class Command(BaseCommand):
    help = "Open, close, lock, reopen and verify the periods of an account. Every step is a named person's."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="the periods, the newest first")
        listing.add_argument("--account", metavar="NAME", help="only of this account")
        opening = actions.add_parser("open", help="open the next period of an account")
        opening.add_argument("account")
        opening.add_argument("--from", dest="since", type=_day, help="its first day; only for the first period")
        opening.add_argument("--to", dest="until", type=_day, required=True, help="the first day after it")
        steps = {
            "show": "its roll-forward, what stands in the way, and who did what",
            "close": "work out its roll-forward and write its manifest",
            "lock": "have the database refuse changes to what was counted",
            "reopen": "propose to open it again, or answer a proposal",
            "verify": "work it out once more and compare it with its manifest",
            "manifest": "print the manifest",
        }
        found = {name: actions.add_parser(name, help=what) for name, what in steps.items()}
        for each in found.values():
            each.add_argument("id", type=int, help="as in `period list`")
        for each in (opening, found["close"], found["lock"], found["reopen"]):
            each.add_argument("--by", required=True, metavar="USER", help="whose step it is: somebody of finance")
        found["close"].add_argument(
            "--accept-restated", action="store_true", help="post what reads differently since the last close"
        )
        answer = found["reopen"].add_mutually_exclusive_group(required=True)
        answer.add_argument("--reason", help="propose it, for this reason")
        answer.add_argument("--approve", action="store_true", help="approve it, as the second person")
        answer.add_argument("--decline", action="store_true", help="decline it, or take it back")
        found["verify"].add_argument("--again", action="store_true", help="compare the parties anew, too")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        try:
            getattr(self, f"_{action}")(options)
        except RefusedStep as error:
            raise CommandError(_reasons(error)) from error

    def _list(self, options: dict[str, Any]) -> None:
        found: QuerySet[Period] = Period.objects.newest_first().select_related("account", "closing")
        if options["account"]:
            found = found.filter(account=account_named(options["account"]))
        rows = [
            (p.pk, p.account.name, shown(p.since), shown(p.until), p.state, p.closing.version if p.closing else "-")
            for p in found
        ]
        self.stdout.write(table(("id", "account", "from", "to", "state", "version"), rows))

    def _open(self, options: dict[str, Any]) -> None:
        account = account_named(options["account"])
        period = periods.open_period(
            account, since=options["since"], until=options["until"], by=_person(options), source=_SOURCE
        )
        self.stdout.write(f"Period {period.pk} of {account} is open, {shown(period.since)} to {shown(period.until)}.")

    def _show(self, options: dict[str, Any]) -> None:
        period = _period(options)
        self.stdout.write(f"{period}: {period.state}")
        last = period.closings.order_by("-id").first()
        if last is not None:
            self._say(last)
        for event in period.events.select_related("by"):
            reason = f": {event.reason}" if event.reason else ""
            self.stdout.write(f"{shown(event.at)}  {event.step} by {event.by} ({event.source}){reason}")

    def _close(self, options: dict[str, Any]) -> None:
        period = _period(options)
        closing = close.ask_to_close(
            period, by=_person(options), source=_SOURCE, accept_restated=options["accept_restated"]
        )
        progress = Progress(self.stderr)
        close.perform(closing, alive=lambda: progress.show("working out the roll-forward"))
        progress.done()
        closing.refresh_from_db()
        if closing.state == ClosingState.REFUSED:
            raise CommandError("\n".join(_lines(blocker) for blocker in closing.blockers))
        if closing.state != ClosingState.DONE:
            raise CommandError("A worker is at this closing; `period show` says how it ends.")
        self._say(closing)
        self.stdout.write(f"Closed as version {closing.version}. Manifest: {closing.digest}")

    def _lock(self, options: dict[str, Any]) -> None:
        period = periods.lock(_period(options), by=_person(options), source=_SOURCE)
        self.stdout.write(f"{period} is locked.")

    def _reopen(self, options: dict[str, Any]) -> None:
        period, by = _period(options), _person(options)
        if options["approve"]:
            periods.approve_reopening(period, by=by, source=_SOURCE)
            self.stdout.write(f"{period} is open again.")
        elif options["decline"]:
            periods.decline_reopening(period, by=by, source=_SOURCE)
            self.stdout.write(f"{period} stays {period.state}.")
        else:
            periods.propose_reopening(period, by=by, reason=options["reason"], source=_SOURCE)
            self.stdout.write("Proposed. A second person approves it: `period reopen ID --by USER --approve`.")

    def _verify(self, options: dict[str, Any]) -> None:
        closing = _closing(options)
        found = close.verify(closing, again=options["again"])
        if found:
            raise CommandError("\n".join(["It reads differently than when it was closed:", *map(str, found)]))
        self.stdout.write(f"All of it reads as when it was closed. Manifest: {closing.digest}")

    def _manifest(self, options: dict[str, Any]) -> None:
        self.stdout.write(_closing(options).manifest, ending="")

    def _say(self, closing: Closing) -> None:
        account, rows = closing.period.account, []
        for line in closing.rollforward:
            adjusted = sum(line[kind] for kind in ADJUSTMENTS)
            values = (line["opening"], line["requested"], line["settled"], line["failed"], line["returned"], adjusted,
                      line["closing"], line["open_items"], line["difference"])  # fmt: skip
            rows.append([amount(value, line["currency"], account) for value in values])
        headings = (
            "opening",
            "requested",
            "settled",
            "failed",
            "returned",
            "adjusted",
            "closing",
            "open items",
            "apart",
        )
        if rows:
            self.stdout.write(table(headings, rows))
            ages = [[amount(v, line["currency"], account) for v in line["ages"]] for line in closing.rollforward]
            self.stdout.write(table([f"open {bucket} d" for bucket in BUCKETS], ages))
        for blocker in closing.blockers:
            self.stdout.write(_lines(blocker))


def _period(options: dict[str, Any]) -> Period:
    found = Period.objects.select_related("account", "closing").filter(pk=options["id"]).first()
    if found is None:
        raise CommandError(f"there is no period {options['id']}; see `manage.py period list`")
    return found


def _closing(options: dict[str, Any]) -> Closing:
    period = _period(options)
    if period.closing is None:
        raise CommandError("The period is open: it has no manifest that holds.")
    return period.closing


def _person(options: dict[str, Any]) -> User:
    found = User.objects.filter(username=options["by"], is_active=True).first()
    if found is None:
        raise CommandError(f"there is no user {options['by']!r}")
    return found


def _reasons(error: RefusedStep) -> str:
    return "\n".join(_lines(blocker.as_dict()) for blocker in error.blockers)


def _lines(blocker: dict[str, Any]) -> str:
    items = [f"  {item}" for item in blocker["items"]]
    if blocker["more"]:
        items.append(f"  and {blocker['more']} more")
    return "\n".join([f"{blocker['what']} {blocker['to_do']}".strip(), *items])
