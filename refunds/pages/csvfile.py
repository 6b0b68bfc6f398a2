"""Pure: CSV lines that a spreadsheet reads as what they are: text stays text, even where it looks like a formula."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

_STARTS_A_FORMULA = frozenset("=+-@\t\r\n")
_ROWS_A_CHUNK = 500


def safe_cell(value: Any) -> Any:
    """Text that a spreadsheet might run gets a leading apostrophe. Blanks and wide forms of a sign do not hide it."""
    if not isinstance(value, str) or not value:
        return value
    plain = unicodedata.normalize("NFKC", value)
    first = plain.lstrip(" \u200b\ufeff")[:1]
    return f"'{value}" if plain[:1] in _STARTS_A_FORMULA or first in _STARTS_A_FORMULA else value


class _Lines:
    """What csv.writer writes to: it hands each line back."""

    def write(self, line: str) -> str:
        return line


def csv_lines(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """The rows as CSV (RFC 4180), some hundred lines at a time, so that a file of any size needs little memory."""
    writer = csv.writer(_Lines())
    chunk: list[str] = []
    for row in rows:
        chunk.append(writer.writerow([safe_cell(value) for value in row]))
        if len(chunk) == _ROWS_A_CHUNK:
            yield "".join(chunk)
            chunk.clear()
    yield "".join(chunk)
