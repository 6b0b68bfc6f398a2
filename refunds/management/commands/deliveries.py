"""Webhook deliveries: look at them, and replay them, first dry."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connectors import archive, inbox
from connectors.keyring import CannotOpen
from connectors.management.console import Progress, account_named, moment, shown, table
from connectors.models import DeliveryState, WebhookDelivery
from refunds import services

_BATCH = 500


class Command(BaseCommand):
    help = (
        "List webhook deliveries; replay them, first with --dry-run to see what it would change; archive them in "
        "sealed files, and play these into a restored database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="the newest deliveries")
        listing.add_argument("--state", choices=[state.label for state in DeliveryState], help="only in this state")
        listing.add_argument("--limit", type=int, default=50, help="how many at most (50)")
        _add_span(listing)
        replay = actions.add_parser("replay", help="put deliveries back into the queue, as if they had just come")
        replay.add_argument("--id", type=int, action="append", default=[], help="this delivery; may be repeated")
        replay.add_argument("--parked", action="store_true", help="only parked ones")
        replay.add_argument("--dry-run", action="store_true", help="only show what it would change")
        _add_span(replay)
        archiving = actions.add_parser("archive", help="write what came since the last time into sealed files")
        archiving.add_argument(
            "--to", type=Path, required=True, metavar="FOLDER", help="where to; kept elsewhere than here"
        )
        playing_in = actions.add_parser("unarchive", help="keep what archived files hold and the inbox does not")
        playing_in.add_argument("files", type=Path, nargs="+", metavar="FILE", help="files that `archive` wrote")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        {
            "list": self._list,
            "replay": self._replay,
            "archive": self._archive,
            "unarchive": self._unarchive,
        }[action](options)

    def _list(self, options: dict[str, Any]) -> None:
        found = _in_span(options)
        if options["state"]:
            found = found.filter(state=next(state for state in DeliveryState if state.label == options["state"]))
        rows = [
            (
                delivery.pk,
                shown(delivery.received_at),
                str(delivery.endpoint),
                delivery.get_state_display(),
                delivery.attempts,
                (delivery.error or delivery.outcome)[:80],
            )
            for delivery in found.select_related("endpoint").defer("body").order_by("-id")[: options["limit"]]
        ]
        self.stdout.write(table(("id", "received", "endpoint", "state", "attempts", "error or outcome"), rows))

    def _replay(self, options: dict[str, Any]) -> None:
        if not (options["id"] or options["parked"] or options["account"] or options["since"]):
            raise CommandError("say which: --id, --parked, --account or --since")
        found = _in_span(options)
        if options["id"]:
            found = found.filter(pk__in=options["id"])
        if options["parked"]:
            found = found.filter(state=DeliveryState.PARKED)
        ids = list(found.exclude(state=DeliveryState.WAITING).order_by("id").values_list("id", flat=True))
        self._say_left_out(options["id"], ids)
        if options["dry_run"]:
            self._dry_run(ids)
        else:
            self._for_real(ids)

    def _say_left_out(self, named: list[int], found: list[int]) -> None:
        if left_out := sorted(set(named) - set(found)):
            numbers = ", ".join(str(number) for number in left_out)
            self.stderr.write(f"Left out, because they wait already or do not match: {numbers}")

    def _dry_run(self, ids: list[int]) -> None:
        progress, changes = Progress(self.stderr), 0
        for done, delivery in enumerate(_one_by_one(ids), start=1):
            for change in services.dry_run(delivery):
                changes += change.before != change.after
                progress.done()
                self.stdout.write(f"delivery {delivery.pk}: {_line(change)}")
            progress.show(f"{done:,} of {len(ids):,}")
        progress.done()
        self.stdout.write(f"{len(ids)} deliveries would be replayed: {changes} changes. Nothing was changed.")

    def _for_real(self, ids: list[int]) -> None:
        progress, done = Progress(self.stderr), 0
        for start in range(0, len(ids), _BATCH):
            done += inbox.replay(ids[start : start + _BATCH])
            progress.show(f"{done:,} of {len(ids):,}")
        progress.done()
        inbox.deliveries_waiting.send_robust(sender=None)
        self.stdout.write(f"{done} deliveries wait again; the worker applies them.")

    def _archive(self, options: dict[str, Any]) -> None:
        progress = Progress(self.stderr)
        written = archive.archive(options["to"], progress=lambda done: progress.show(f"{done:,} archived"))
        progress.done()
        for each in written:
            self.stdout.write(f"{options['to'] / each.name}: {each.deliveries} deliveries")
        self.stdout.write(f"{sum(each.deliveries for each in written)} deliveries archived, up to a minute ago.")

    def _unarchive(self, options: dict[str, Any]) -> None:
        progress, held, new = Progress(self.stderr), 0, 0
        for path in sorted(options["files"]):
            try:
                in_file, of_them_new = archive.play_in(path, progress=lambda done: progress.show(f"{done:,} read"))
            except (archive.CannotRead, CannotOpen, OSError) as error:
                raise CommandError(f"{path}: {error}. What was read before it is kept; run it again.") from None
            held, new = held + in_file, new + of_them_new
        progress.done()
        inbox.deliveries_waiting.send_robust(sender=None)
        self.stdout.write(f"{held} deliveries read, {new} were not here; the worker applies them.")


def _add_span(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--account", metavar="NAME", help="only of endpoints that speak for this account")
    parser.add_argument("--since", type=moment, help="received then or later; UTC")
    parser.add_argument("--until", type=moment, help="received before; UTC")


def _in_span(options: dict[str, Any]) -> Any:
    found = WebhookDelivery.objects.all()
    if options["account"]:
        account = account_named(options["account"])
        found = found.filter(endpoint__in=account.endpoints.all())
    if options["since"]:
        found = found.filter(received_at__gte=options["since"])
    if options["until"]:
        found = found.filter(received_at__lt=options["until"])
    return found


def _one_by_one(ids: list[int]) -> Iterator[WebhookDelivery]:
    for start in range(0, len(ids), _BATCH):
        yield from WebhookDelivery.objects.filter(pk__in=ids[start : start + _BATCH]).order_by("id")


def _line(change: services.DryRunChange) -> str:
    if change.before == change.after:
        return f"{change.connector_refund_id} {change.note}".strip()
    return f"{change.connector_refund_id} {change.before} -> {change.after} {change.note}".strip()
