"""The archive of the inbox: what was delivered, in sealed files outside the database, to be played into a restored one.

A file holds deliveries in the order of their ids, a few hundred in a frame. Each frame is compressed, sealed with the
newest field key, and bound to the file and to its place in it; the last one says how many there were, so that a file
that was cut off, put together anew or altered does not open. Who verified a delivery once need not do it again.

Safe to stop and to repeat: a file appears under its name when it is complete, and only then its row; playing one in
keeps what is not there yet, and nothing twice.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from django.utils import timezone

from connectors import inbox
from connectors.keyring import FORMAT, CannotOpen, KeyMissing, ring
from connectors.models import DeliveryArchive, WebhookDelivery, WebhookEndpoint

SUFFIX = ".sealed"
SETTLED_AFTER = dt.timedelta(seconds=60)
"""Longer than any delivery takes from being received to being committed: below a settled id nothing new appears."""
_FRAME = 500
_IN_A_FILE = 50_000
_LENGTH_BYTES = 4
_FETCH_AGAIN = "Fetch it again from where the archive is kept, whole and under the name it was written with"


class NoFolder(Exception):
    """The folder to archive into is not there."""


class CannotRead(Exception):
    """An archive file that cannot be read, now or ever again; says why, and what to do instead."""

    def __init__(self, reason: str, todo: str = _FETCH_AGAIN) -> None:
        super().__init__(reason)
        self.todo = todo


def archived_until() -> dt.datetime | None:
    """Everything received before this moment is in the archive; None where none was ever made."""
    rows = DeliveryArchive.objects.filter(received_until__isnull=False)
    return rows.order_by("-received_until").values_list("received_until", flat=True).first()


def archive(folder: Path, *, progress: Callable[[int], None] = lambda _: None) -> list[DeliveryArchive]:
    """Write what was received since the last archive, up to a minute ago, into files in the folder; their rows.

    NoFolder where it is not there. It is never made: it may be a disk that is not mounted, and what counts as archived
    here may be purged.
    """
    if not folder.is_dir():
        raise NoFolder(str(folder))
    before = timezone.now() - SETTLED_AFTER
    settled = WebhookDelivery.objects.filter(received_at__lt=before)
    last = settled.order_by("-id").values_list("id", flat=True).first() or 0
    written: list[DeliveryArchive] = []
    while ids := _ids_between(_last_archived_id(), last):
        complete = ids[-1] == last
        written.append(_write(folder, ids, received_until=before if complete else None))
        progress(sum(each.deliveries for each in written))
    return written


def _last_archived_id() -> int:
    return DeliveryArchive.objects.order_by("-last_id").values_list("last_id", flat=True).first() or 0


def _ids_between(after: int, last: int) -> list[int]:
    to_archive = WebhookDelivery.objects.filter(id__gt=after, id__lte=last).order_by("id")
    return list(to_archive.values_list("id", flat=True)[:_IN_A_FILE])


def _write(folder: Path, ids: list[int], *, received_until: dt.datetime | None) -> DeliveryArchive:
    name = f"deliveries-{timezone.now():%Y%m%dT%H%M%S}-{ids[0]}-{ids[-1]}{SUFFIX}"
    unfinished = folder / f"{name}.part"
    with unfinished.open("wb") as file:
        frames = 0
        for start in range(0, len(ids), _FRAME):
            found = WebhookDelivery.objects.filter(id__in=ids[start : start + _FRAME]).order_by("id")
            _put(file, name, frames, [_plain(each) for each in found.select_related("endpoint")])
            frames += 1
        _put(file, name, frames, {"deliveries": len(ids)})
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(folder / name)
    _flush_folder(folder)
    return DeliveryArchive.objects.create(
        name=name, last_id=ids[-1], received_until=received_until, deliveries=len(ids)
    )


def _flush_folder(folder: Path) -> None:
    """The new name itself must survive a power cut before the row says it is there."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _plain(delivery: WebhookDelivery) -> dict[str, Any]:
    return {
        "endpoint": str(delivery.endpoint.uuid),
        "received_at": delivery.received_at.isoformat(),
        "body": base64.b64encode(bytes(delivery.body)).decode(),
        "headers_json": delivery.headers_json,
        "dedupe_key": delivery.dedupe_key,
        "hint_only": delivery.hint_only,
    }


def _put(file: BinaryIO, name: str, number: int, content: Any) -> None:
    sealed = ring().seal(zlib.compress(json.dumps(content).encode()), bound_to=f"archive:{name}:{number}")
    file.write(len(sealed).to_bytes(_LENGTH_BYTES, "big") + sealed)


def play_in(path: Path, *, progress: Callable[[int], None] = lambda _: None) -> tuple[int, int]:
    """Keep what the file holds and the inbox does not: (how many it holds, how many were new). They wait like others.

    CannotRead where the file is cut off, altered or none of ours, KeyMissing where its field key is missing. What was
    read of it before is kept.
    """
    endpoints = {str(uuid): pk for pk, uuid in WebhookEndpoint.objects.values_list("pk", "uuid")}
    held = new = 0
    for frame in _frames(path):
        rows = [_row(each, endpoints) for each in frame]
        before = _known(rows)
        inbox.keep(rows, using="default")
        held, new = held + len(rows), new + len(rows) - before
        progress(held)
    return held, new


def _known(rows: Iterable[inbox.Row]) -> int:
    keys: dict[int, list[str]] = {}
    for row in rows:
        keys.setdefault(row.endpoint_id, []).append(row.dedupe_key)
    known = WebhookDelivery.objects.all()
    return sum(known.filter(endpoint_id=pk, dedupe_key__in=found).count() for pk, found in keys.items())


def _row(plain: dict[str, Any], endpoints: dict[str, int]) -> inbox.Row:
    if plain["endpoint"] not in endpoints:
        raise CannotRead(
            f"it holds deliveries of endpoint {plain['endpoint']}, which this database does not have",
            "Is it the archive of another installation? If the endpoint was made after the backup, it is gone: ask the "
            "processor to send its deliveries again to a new one",
        )
    return inbox.Row(
        endpoint_id=endpoints[plain["endpoint"]],
        received_at=dt.datetime.fromisoformat(plain["received_at"]),
        body=base64.b64decode(plain["body"]),
        headers_json=plain["headers_json"],
        dedupe_key=plain["dedupe_key"],
        hint_only=plain["hint_only"],
    )


def _frames(path: Path) -> Iterator[list[dict[str, Any]]]:
    """The frames of deliveries, one in memory at a time."""
    with path.open("rb") as file:
        _refuse_what_is_none(file)
        number = held = 0
        while length := file.read(_LENGTH_BYTES):
            sealed = file.read(int.from_bytes(length, "big"))
            if len(length) < _LENGTH_BYTES or len(sealed) < int.from_bytes(length, "big"):
                break
            content = json.loads(zlib.decompress(_opened(sealed, path.name, number)))
            if isinstance(content, dict):
                if content["deliveries"] != held:
                    raise CannotRead("it holds another number of deliveries than it says")
                return
            held, number = held + len(content), number + 1
            yield content
    raise CannotRead("it is cut off")


def _refuse_what_is_none(file: BinaryIO) -> None:
    beginning = file.read(_LENGTH_BYTES + len(FORMAT))
    file.seek(0)
    if not beginning:
        raise CannotRead("it is empty")
    if len(beginning) > _LENGTH_BYTES and not beginning.endswith(FORMAT):
        raise CannotRead("it is not a file that `deliveries archive` wrote", "Give the files it wrote, *.sealed")


def _opened(sealed: bytes, name: str, number: int) -> bytes:
    try:
        return ring().open(sealed, bound_to=f"archive:{name}:{number}")
    except KeyMissing:
        raise
    except CannotOpen as error:
        raise CannotRead("it was altered, or has another name than it was written with") from error
