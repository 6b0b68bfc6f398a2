"""Webhook deliveries: look at them, replay them, first dry, and dismiss what nobody will ever replay."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from connectors import archive, inbox
from connectors.keyring import KeyMissing
from connectors.management.console import Progress, account_named, moment, shown, table, whole_number
from connectors.models import DeliveryState, WebhookDelivery
from refunds import services

_BATCH = 500
_THESE: dict[str, Any] = {"type": whole_number, "action": "append", "default": []}


class Command(BaseCommand):
    help = (
        "List webhook deliveries; replay them, first with --dry-run to see what it would change; dismiss parked ones; "
        "archive them in sealed files, and play these into a restored database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        listing = actions.add_parser("list", help="the newest deliveries")
        listing.add_argument("--state", choices=[state.label for state in DeliveryState], help="only in this state")
        listing.add_argument("--limit", type=whole_number, default=50, help="how many at most (50)")
        _add_span(listing)
        replay = actions.add_parser("replay", help="put deliveries back into the queue, as if they had just come")
        replay.add_argument("--id", **_THESE, help="this delivery; may be repeated")
        replay.add_argument("--parked", action="store_true", help="only parked ones")
        replay.add_argument("--dry-run", action="store_true", help="only show what it would change")
        _add_span(replay)
        dismissing = actions.add_parser("dismiss", help="set parked deliveries aside for good; they are kept")
        dismissing.add_argument("--id", **_THESE, help="this one; may be repeated")
        dismissing.add_argument("--parked", action="store_true", help="all that are parked")
        dismissing.add_argument("--reason", required=True, help="why, for whoever comes next")
        _add_by(dismissing)
        _add_span(dismissing)
        undoing = actions.add_parser("undismiss", help="park dismissed deliveries again")
        undoing.add_argument("--id", **_THESE, help="this one; may be repeated")
        undoing.add_argument("--dismissed", action="store_true", help="all that are dismissed")
        _add_by(undoing)
        _add_span(undoing)
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
            "dismiss": self._dismiss,
            "undismiss": self._undismiss,
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
                (delivery.dismissed_because or delivery.error or delivery.outcome)[:200],
            )
            for delivery in found.select_related("endpoint").defer("body").order_by("-id")[: options["limit"]]
        ]
        self.stdout.write(table(("id", "received", "endpoint", "state", "attempts", "reason, error or outcome"), rows))

    def _replay(self, options: dict[str, Any]) -> None:
        found = _selected(options, "parked")
        if options["parked"]:
            found = found.filter(state=DeliveryState.PARKED)
        if not options["id"]:
            found = found.exclude(state=DeliveryState.DISMISSED)
        ids = list(found.exclude(state=DeliveryState.WAITING).order_by("id").values_list("id", flat=True))
        self._say_left_out(options["id"], ids)
        if options["dry_run"]:
            self._dry_run(ids)
        else:
            self._for_real(ids)

    def _say_left_out(self, named: list[int], found: list[int], why: str = "they wait already or do not match") -> None:
        """Say which of the numbers that were given are left alone; CommandError where all of them are."""
        left_out = set(named) - set(found)
        there = set(WebhookDelivery.objects.filter(pk__in=left_out).values_list("pk", flat=True))
        reasons = [
            f"{reason} {', '.join(map(str, sorted(numbers)))}"
            for reason, numbers in (("there is no delivery", left_out - there), (f"because {why}:", there))
            if numbers
        ]
        if named and not found:
            raise CommandError(f"nothing was done: {'; '.join(reasons)}")
        for reason in reasons:
            self.stderr.write(f"Left out{',' if reason.startswith('because') else ':'} {reason}")

    def _dismiss(self, options: dict[str, Any]) -> None:
        found = _selected(options, "parked").filter(state=DeliveryState.PARKED)
        ids = list(found.order_by("id").values_list("id", flat=True))
        self._say_left_out(options["id"], ids, "they are not parked")
        try:
            done = services.dismiss_deliveries(ids, by=options["by"], reason=options["reason"])
        except services.NoReason as error:
            raise CommandError(f"--reason: {error}.") from None
        self.stdout.write(f"{done} deliveries dismissed; `deliveries undismiss` parks them again.")

    def _undismiss(self, options: dict[str, Any]) -> None:
        found = _selected(options, "dismissed").filter(state=DeliveryState.DISMISSED)
        ids = list(found.order_by("id").values_list("id", flat=True))
        self._say_left_out(options["id"], ids, "they are not dismissed")
        self.stdout.write(f"{services.undismiss_deliveries(ids, by=options['by'])} deliveries parked again.")

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
        folder = options["to"]
        try:
            written = archive.archive(folder, progress=lambda done: progress.show(f"{done:,} archived"))
        except archive.NoFolder:
            raise CommandError(
                f"{folder}: there is no such folder, and none is made. Is its disk mounted? If it is to be a new one, "
                "make it first, on the disk the archive belongs to."
            ) from None
        except OSError as error:
            raise CommandError(
                f"{folder}: {error.strerror or error}. Files that were finished count, the one that was being written "
                "does not: mend that, and run it again."
            ) from error
        progress.done()
        for each in written:
            self.stdout.write(f"{folder / each.name}: {each.deliveries} deliveries")
        self.stdout.write(f"{sum(each.deliveries for each in written)} deliveries archived, up to a minute ago.")

    def _unarchive(self, options: dict[str, Any]) -> None:
        progress, files, held, new = Progress(self.stderr), sorted(options["files"]), 0, 0
        failed: list[str] = []
        for path in files:
            try:
                in_file, of_them_new = archive.play_in(path, progress=lambda done: progress.show(f"{done:,} read"))
            except (archive.CannotRead, KeyMissing, OSError) as error:
                failed.append(f"{path}: {_why_not(error)}")
            else:
                held, new = held + in_file, new + of_them_new
        progress.done()
        inbox.deliveries_waiting.send_robust(sender=None)
        self.stdout.write(f"{held} deliveries read, {new} were not here; the worker applies them.")
        if failed:
            complaints = "\n".join(failed)
            raise CommandError(
                f"{len(failed)} of {len(files)} files were not read whole; the others were, and what came before the "
                f"fault is kept too.\n{complaints}"
            )


def _why_not(error: archive.CannotRead | KeyMissing | OSError) -> str:
    """What is wrong with an archive file and what to do: most of it is not mended by running again."""
    if isinstance(error, archive.CannotRead):
        return f"{error}. {error.todo}."
    if isinstance(error, KeyMissing):
        return f"{error}. Put that key back, last, and run it again."
    if isinstance(error, FileNotFoundError):
        return f"{error.strerror}. Look for it where the archive is kept."
    return f"{error.strerror or error}. It is read again once that is mended."


def _add_by(parser: argparse.ArgumentParser) -> None:
    try:
        me = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        me = "somebody"
    parser.add_argument("--by", default=f"{me} (command line)", metavar="NAME", help="who does it (%(default)s)")


def _selected(options: dict[str, Any], every: str) -> Any:
    """What the options name; `every` is the flag for all of the action's kind."""
    if not (options["id"] or options[every] or options["account"] or options["since"]):
        raise CommandError(f"say which: --id, --{every}, --account or --since")
    found = _in_span(options)
    return found.filter(pk__in=options["id"]) if options["id"] else found


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
