"""Pure: rows of text as CSV lines (RFC 4180), the same that PostgreSQL's COPY writes but for the line's end."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

Cells = Sequence[str | None]
END = b"\r\n"
_LINES_A_CHUNK = 500


class _Line:
    """What csv.writer writes to: it hands the line back."""

    def write(self, line: str) -> str:
        return line


# Only what is in the line's end is quoted for its sake, so the end is written and cut off again.
_writer = csv.writer(_Line(), lineterminator=END.decode())


def csv_line(cells: Cells) -> bytes:
    """One line, without its end."""
    line: Any = _writer.writerow(cells)
    written: bytes = line.encode()
    return written[: -len(END)]


def csv_lines(rows: Iterable[Cells]) -> Iterator[bytes]:
    """Some hundred lines at a time, so that a file of any size needs little memory."""
    chunk: list[bytes] = []
    for cells in rows:
        chunk.append(csv_line(cells))
        if len(chunk) == _LINES_A_CHUNK:
            yield END.join([*chunk, b""])
            chunk.clear()
    if chunk:
        yield END.join([*chunk, b""])
