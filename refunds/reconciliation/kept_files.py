"""Files of our books that were refused as a whole: kept sealed for another try, each of them once."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from typing import IO

from django.utils import timezone

from refunds.models.sealed import PART_BYTES
from refunds.reconciliation.models import LedgerFilePart, LedgerImport
from refunds.reconciliation.models.ledger import TAKEN_FOR

KEPT_FOR = dt.timedelta(days=30)
_MOST_AT_ONCE = 20
_READ_BYTES = 64 * 1024


def keep(came_with: LedgerImport, file: IO[bytes]) -> LedgerImport:
    """Keep a refused file; returns the import under which it can be found."""
    came_with.taken_until = timezone.now() + TAKEN_FOR
    came_with.save(force_insert=True)
    file.seek(0)
    for number, piece in enumerate(_pieces(file)):
        part = LedgerFilePart(came_with=came_with, number=number)
        part.content = piece
        part.save(force_insert=True)
    came_with.write(taken_until=None)
    same = _same(came_with)
    _forget(same[1:])
    return same[0] if same else came_with


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """At least one, so that an empty file is here too."""
    piece = file.read(PART_BYTES)
    yield piece
    while piece := file.read(PART_BYTES):
        yield piece


def forget_same(came_with: LedgerImport) -> None:
    """Once a file is imported, nobody needs to try it again."""
    _forget(_same(came_with))


def _same(came_with: LedgerImport) -> list[LedgerImport]:
    """This very file, refused, the newest first; only where nothing of it was ever imported."""
    untouched = LedgerImport.objects.refused().free(timezone.now()).filter(entries=0, known=0, refused=0)
    return list(untouched.filter(account=came_with.account, digest=came_with.digest).order_by("-pk"))


def _forget(imports: list[LedgerImport]) -> None:
    for each in imports:
        # Whoever tries it again at this moment has taken it.
        if each.take():
            each.delete()


def opened(came_with: LedgerImport) -> IO[bytes]:
    """The kept file, from its beginning, of which a part at a time is in memory."""
    return io.BufferedReader(_Parts(came_with), buffer_size=_READ_BYTES)


class _Parts(io.RawIOBase):
    """A kept file as something that is read."""

    def __init__(self, came_with: LedgerImport) -> None:
        self._came_with = came_with
        self._position = 0
        self._number, self._content = -1, b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("a kept file is read from its beginning")
        self._position = offset + (self._position if whence == io.SEEK_CUR else 0)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        number, skip = divmod(self._position, PART_BYTES)
        if number != self._number:
            part = self._came_with.parts.filter(number=number).first()
            self._number, self._content = number, part.content if part else b""
        piece = self._content[skip : skip + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def let_go(came_with: LedgerImport) -> None:
    """Delete a file; the import, and why it was refused, stay."""
    came_with.parts.all().delete()


def expire_refused_books(*, now: dt.datetime | None = None) -> int:
    """Let go of files that were refused 30 days ago; returns how many."""
    now = now or timezone.now()
    old = LedgerImport.objects.filter(parts__number=0, created_at__lt=now - KEPT_FOR).free(now)
    expired = 0
    for each in old.order_by("pk")[:_MOST_AT_ONCE]:
        if each.take():
            let_go(each)
            each.write(taken_until=None)
            expired += 1
    return expired
