"""Exports: asked for, made by a worker under a lease, downloaded, canceled, deleted, expired. Nothing of what is
exported is changed by it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.dispatch import Signal
from django.utils import timezone

from refunds.exports import storing
from refunds.exports.fingerprints import Fingerprints
from refunds.exports.formats import WRITERS, Sheet, Writer, why_not
from refunds.exports.kinds import KINDS, BadFilter, ExportKind
from refunds.exports.models import (
    KEPT_FOR,
    LEASE,
    MOST_ATTEMPTS,
    Export,
    ExportDownload,
    ExportQuerySet,
    ExportState,
    Format,
    Person,
    Role,
)
from refunds.exports.snapshot import Chunk, Snapshot
from refunds.exports.storing import FingerprintStore, Store
from refunds.models import Alert, AlertKind, ApiToken
from refunds.permissions import Action, Actor, accounts_of, columns_for, may, may_export, most_exported

log = structlog.get_logger(__name__)

export_asked_for = Signal()
"""Sent with `export_id` when an export waits to be made; without it the ticker finds it too."""

MOST_WAITING = 5
"""Exports one person may have waiting at a time."""
_NOTE_SECONDS = 1.0


class CannotExport(ValueError):
    """What was asked for makes no sense, or not for this person; the message says what to do instead."""


class _LeaseLost(Exception):
    """It was canceled, or another worker has taken it over."""


# Asking.


def start_export(
    kind_name: str, filters: Mapping[str, Any], *, form: str, actor: Actor | None, only_new: bool = False
) -> Export:
    """Ask for an export; a worker makes it, or `perform`. CannotExport where it makes no sense.

    Without an actor it is the house's own command, which sees everything.
    """
    kind, form = KINDS[kind_name], Format(form)
    if reason := why_not(form):
        raise CannotExport(reason)
    actor = actor or _house()
    if not may_export(actor, kind.needs):
        raise CannotExport(f"your role does not allow you to {kind.needs}")
    try:
        accounts = list(kind.accounts(filters, actor))
    except BadFilter as error:
        raise CannotExport(str(error)) from error
    sees = sorted(action.name for action in columns_for(actor, kind.sees))
    _check_size(kind, filters, [account.pk for account in accounts], actor)
    person = person_of(actor)
    definition = definition_of(kind, filters, sees)
    previous = last_download(definition, person) if only_new else None
    if only_new and previous is None:
        raise CannotExport(
            "you have not downloaded this report with these filters yet, or too long ago: make a whole one first"
        )
    unfinished = Export.objects.filter(**person, state__in=[ExportState.WAITING, ExportState.RUNNING])
    if any(person.values()) and unfinished.count() >= MOST_WAITING:
        raise CannotExport(f"{MOST_WAITING} of your exports are still to be made: wait for them, or cancel one")
    with transaction.atomic(durable=True):
        export = Export.objects.create(
            kind=kind.name, format=form, filters=dict(filters), sees=sees, definition=definition, only_new=only_new,
            previous=previous, **person,
        )  # fmt: skip
        export.accounts.set(accounts)
    return export


def _house() -> ApiToken:
    """Whoever can run a command here can read the database."""
    from refunds.models import Scope

    return ApiToken(name="command", all_accounts=True, scopes=[scope.value for scope in Scope])


def person_of(actor: Actor) -> Person:
    """Who an export and a download belong to."""
    if isinstance(actor, ApiToken):
        return {"token": actor if actor.pk else None}
    return {"user": actor}


def definition_of(kind: ExportKind, filters: Mapping[str, Any], sees: list[str]) -> str:
    said = json.dumps([kind.name, filters, sees], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()


def _check_size(kind: ExportKind, filters: Mapping[str, Any], accounts: list[int], actor: Actor) -> None:
    most = most_exported(actor)
    if most is None:
        return
    count = kind.rows(filters, accounts, []).count
    if count > most:
        raise CannotExport(f"your role may download {most:,} rows at once, and this is {count:,}: choose fewer")


def last_download(definition: str, person: Person) -> Export | None:
    """The export of this definition that the person downloaded last, as long as it is known what was in it."""
    theirs = ExportDownload.objects.filter(**person, export__definition=definition).order_by("-id").first()
    if theirs is None or not theirs.export.parts.filter(role=Role.FINGERPRINTS).exists():
        return None
    return theirs.export


# Who may see one.


def visible_to(actor: Actor) -> ExportQuerySet:
    """Exports of which the actor may see every account and every column. Asked again at each download."""
    found = Export.objects.within(accounts_of(actor))
    allowed = [name for name, kind in KINDS.items() if may_export(actor, kind.needs)]
    found = found.filter(kind__in=allowed)
    known = {action for kind in KINDS.values() for action in kind.sees}
    for action in known - columns_for(actor, tuple(known)):
        # A list in JSON is searched as text, which both databases can.
        found = found.exclude(sees__icontains=f'"{action.name}"')
    if (most := most_exported(actor)) is not None:
        found = found.filter(rows__lte=most)
    return found


def may_change(actor: Actor, export: Export) -> bool:
    """Whether the actor may cancel or delete it: whoever asked for it, and whoever manages access."""
    mine = isinstance(actor, User) and export.user_id == actor.pk
    return mine or may(actor, Action.MANAGE_ACCESS)


# Making.


def exports_to_do() -> list[int]:
    return list(Export.objects.to_do(timezone.now()).order_by("id").values_list("id", flat=True))


def perform(export: Export, *, alive: Callable[[], None] = lambda: None) -> bool:
    """Make an export; False where somebody else does, or did, or it failed. How it ended stands in its row.

    A snapshot cannot be gone back to, so one that was stopped is made anew from its first row.
    """
    if not export.take():
        return False
    if export.attempts > MOST_ATTEMPTS:
        _fail(export, "its worker ended three times in the middle of it; look in the log")
        return False
    try:
        _make(export, alive)
    except _LeaseLost:
        log.info("export_stopped", export=export.pk)
        storing.forget([export], *Role)
    except Exception as error:
        log.exception("export_failed", export=export.pk)
        _fail(export, f"{type(error).__name__}: {error}")
    return export.state == ExportState.DONE


def _make(export: Export, alive: Callable[[], None]) -> None:
    storing.forget([export], *Role)
    kind, writer_class = KINDS[export.kind], WRITERS[export.format]
    accounts = list(export.accounts.values_list("pk", flat=True))
    snapshot = Snapshot(
        lambda: kind.rows(export.filters, accounts, export.sees),
        zone=kind.zone(export.filters), lines=writer_class.lines, guards=writer_class.guards,
    )  # fmt: skip
    before = storing.fingerprints(export.previous) if export.previous else None
    store, marks = Store(export, pack=writer_class.packs), FingerprintStore(export)
    with snapshot as (opening, chunks):
        _write(export, taken_at=opening.moment, expected=opening.expected)
        writer = writer_class(store, opening, sheet_of(export, kind, opening.moment))
        for chunk in _watched(export, chunks, alive):
            marks.write(chunk.fingerprints)
            _write_rows(export, writer, chunk, before)
    writer.close()
    digest = store.close()
    marks.close()
    now = timezone.now()
    _write(
        export, state=ExportState.DONE, finished_at=now, expires_at=now + KEPT_FOR, name=file_name(export, kind),
        size_bytes=store.size_bytes, digest=digest, rows=export.rows, seen=export.seen, lease="", error="",
    )  # fmt: skip
    Alert.close(AlertKind.EXPORT_FAILED, subject=export.kind)


def _write_rows(export: Export, writer: Writer, chunk: Chunk, before: Fingerprints | None) -> None:
    rows = chunk.rows
    if before is not None:
        rows = [row for row, mark in zip(rows, chunk.fingerprints, strict=True) if mark not in before]
    writer.write(rows)
    export.seen += len(chunk.rows)
    export.rows += len(rows)


def _watched(export: Export, chunks: Iterator[Chunk], alive: Callable[[], None]) -> Iterator[Chunk]:
    """The chunks; once a second the row learns how far it is, and whether it is still wanted."""
    noted_at = time.monotonic()
    for chunk in chunks:
        yield chunk
        if time.monotonic() - noted_at >= _NOTE_SECONDS:
            noted_at = time.monotonic()
            alive()
            _write(export, seen=export.seen, rows=export.rows, lease_until=timezone.now() + LEASE)


def _write(export: Export, **changes: Any) -> None:
    if not export.write(**changes):
        raise _LeaseLost


def _fail(export: Export, reason: str) -> None:
    if connection.needs_rollback:
        return
    storing.forget([export], *Role)
    if export.write(state=ExportState.FAILED, finished_at=timezone.now(), error=reason[:500]):
        Alert.open(
            AlertKind.EXPORT_FAILED, subject=export.kind,
            message=f"Export {export.pk} ({KINDS[export.kind].title}) failed: {reason[:300]}. Nothing was handed out. "
            "Look in the worker's log, mend the cause, and ask for it again.",
        )  # fmt: skip


def file_name(export: Export, kind: ExportKind) -> str:
    since = f"-since-export-{export.previous_id}" if export.only_new else ""
    return f"{kind.file_stem(export.filters)}-export-{export.pk}{since}.{export.format}"


def sheet_of(export: Export, kind: ExportKind, moment: dt.datetime) -> Sheet:
    """What the file says of itself."""
    zone = kind.zone(export.filters)

    def written(when: dt.datetime | None) -> str:
        return f"{when.astimezone(zone).isoformat(timespec='seconds')} ({zone.key})" if when else ""

    note = f"export {export.pk}, all rows as of {written(moment)}"
    if export.previous:
        note = (
            f"export {export.pk}, rows new or changed between export {export.previous_id} as of "
            f"{written(export.previous.taken_at)} and {written(moment)}"
        )
    return Sheet(kind.title, note, [("Report", kind.title), *kind.described(export.filters), ("Time zone", zone.key)])


# Afterwards.


def download(export: Export, person: Person) -> Iterator[bytes]:
    """The file, a piece at a time; that it was received is noted when the last piece was taken."""
    yield from storing.content(export)
    ExportDownload.objects.create(export=export, **person)
    log.info("export_downloaded", export=export.pk, rows=export.rows)


def cancel(export: Export) -> bool:
    """Stop one that is not made yet; its worker notices within a second or so."""
    unfinished = Export.objects.filter(pk=export.pk, state__in=[ExportState.WAITING, ExportState.RUNNING])
    return bool(unfinished.update(state=ExportState.CANCELED, finished_at=timezone.now(), lease=""))


def delete(export: Export) -> bool:
    """Delete a file before its time. That it was there, and who downloaded it, stays."""
    if not Export.objects.filter(pk=export.pk, state=ExportState.DONE).update(state=ExportState.DELETED):
        return False
    storing.forget([export], Role.FILE)
    return True


def expire_exports(*, now: dt.datetime | None = None) -> int:
    """Delete the files whose time is over; returns how many. What was in the last one somebody downloaded is still
    known for as long as fingerprints are kept."""
    now = now or timezone.now()
    old = list(Export.objects.filter(state=ExportState.DONE, expires_at__lte=now).order_by("expires_at")[:20])
    storing.forget(old, Role.FILE)
    Export.objects.filter(pk__in=[export.pk for export in old]).update(state=ExportState.EXPIRED)
    _forget_fingerprints(now)
    return len(old)


FINGERPRINTS_KEPT_FOR = dt.timedelta(days=180)
"""How long "since my last download" can go back."""


def _forget_fingerprints(now: dt.datetime) -> None:
    """Of files that are gone: when nobody downloaded them, or so long ago."""
    gone = Export.objects.filter(
        state__in=[ExportState.EXPIRED, ExportState.DELETED], parts__role=Role.FINGERPRINTS
    ).distinct()
    wanted = ExportDownload.objects.filter(downloaded_at__gt=now - FINGERPRINTS_KEPT_FOR).values("export")
    storing.forget(list(gone.exclude(pk__in=wanted)[:20]), Role.FINGERPRINTS)
