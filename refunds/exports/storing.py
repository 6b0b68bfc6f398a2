"""A file on its way into the database: hashed, cut into pieces, packed, sealed; and on its way out again."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator

from refunds.exports.fingerprints import Fingerprints
from refunds.exports.models import Export, ExportPart, Role

PIECE_BYTES = 1024 * 1024
_MARKS_A_PIECE = 16_384
"""They cannot be packed, and a piece is in memory several times while it is sent."""
_PACKED = 1
"""The fastest level of zlib: a tenth of the size of CSV already."""


class Store:
    """Takes a file as it is written. Only the maker of the export may use it, and only while the lease is theirs."""

    def __init__(self, export: Export, *, pack: bool) -> None:
        self._export, self._level = export, _PACKED if pack else 0
        self._pieces: list[bytes] = []
        self._waiting = self._number = 0
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    def write(self, content: bytes) -> None:
        self._digest.update(content)
        self.size_bytes += len(content)
        self._pieces.append(content)
        self._waiting += len(content)
        if self._waiting >= PIECE_BYTES:
            self._keep()

    def close(self) -> str:
        """Keep what is left; the file's SHA-256."""
        if self._pieces:
            self._keep()
        return self._digest.hexdigest()

    def _keep(self) -> None:
        _keep_part(self._export, Role.FILE, self._number, b"".join(self._pieces), level=self._level)
        self._pieces.clear()
        self._waiting, self._number = 0, self._number + 1


class FingerprintStore:
    """Takes the fingerprints of the rows as they come, so that none stays in memory."""

    def __init__(self, export: Export) -> None:
        self._export, self._waiting, self._number = export, array("q"), 0

    def write(self, numbers: Iterable[int]) -> None:
        self._waiting.extend(numbers)
        if len(self._waiting) >= _MARKS_A_PIECE:
            self._keep()

    def close(self) -> None:
        """Keep what is left, if only that there was nothing."""
        self._keep()

    def _keep(self) -> None:
        _keep_part(self._export, Role.FINGERPRINTS, self._number, self._waiting.tobytes(), level=0)
        self._waiting, self._number = array("q"), self._number + 1


def _keep_part(export: Export, role: Role, number: int, content: bytes, *, level: int) -> None:
    part = ExportPart(export=export, role=role, number=number)
    part.put(content, level=level)
    part.save(force_insert=True)


def fingerprints(export: Export) -> Fingerprints:
    return Fingerprints.load(_contents(export, Role.FINGERPRINTS))


def content(export: Export) -> Iterator[bytes]:
    """The file, a piece at a time."""
    return _contents(export, Role.FILE)


def _contents(export: Export, role: Role) -> Iterator[bytes]:
    number = 0
    while (part := export.parts.filter(role=role, number=number).first()) is not None:
        yield part.content
        number += 1


def forget(exports: Iterable[Export], *roles: Role) -> None:
    ExportPart.objects.filter(export__in=list(exports), role__in=roles).delete()
