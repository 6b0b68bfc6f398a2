"""Pure: CSV files that people hand in, row by row; what is wrong with one is said with line and column."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_NO_LINE_END = (
    "the file ends here without a line end, so it may have been cut off within this row. Hand in the whole file; if it "
    "really ends so, add a line end"
)
_UNSTORABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one row. `line` counts from 1, the headings; without a column it is the whole row's."""

    line: int
    column: str
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.column or 'the row'}: {self.reason}"


class Sheet:
    """The rows of an open file (text, surrogates standing for bytes that are not UTF-8), with their line numbers."""

    def __init__(self, lines: Iterable[str]) -> None:
        rest = iter(lines)
        heading = next(rest, "").removeprefix("\ufeff")
        delimiter = max(",;\t", key=heading.count)
        self.headings = [name.strip() for name in next(csv.reader([heading], delimiter=delimiter), [])]
        self._reader = csv.reader(self._watched(rest), delimiter=delimiter, strict=True)
        self._ended = True
        self.broke_off: Fault | None = None
        """Where the file ends in the middle, or makes no sense from there on; known once it was read so far."""

    def _watched(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            self._ended = line.endswith(("\n", "\r"))
            yield line

    def __iter__(self) -> Iterator[tuple[int, list[str] | Fault]]:
        """Each row's cells, stripped, or what is wrong with it as a whole; rows that are empty are passed over."""
        while True:
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                self.broke_off = Fault(self._line, "", f"{error}; nothing after it was read")
                yield self._line, self.broke_off
                return
            if not self._ended:
                # Cut off inside its last cell, a row would say something else than was written: 1234.5 of 1234.56.
                self.broke_off = Fault(self._line, "", _NO_LINE_END)
                yield self._line, self.broke_off
                return
            if any(cell.strip() for cell in cells):
                yield self._line, self._whole(cells)

    def _whole(self, cells: list[str]) -> list[str] | Fault:
        if len(cells) != len(self.headings):
            return Fault(self._line, "", f"{len(cells)} cells under {len(self.headings)} headings")
        return [cell.strip() for cell in cells]

    @property
    def _line(self) -> int:
        return self._reader.line_num + 1


def storable(text: str) -> str:
    """The text with a mark for whatever no database stores as text."""
    return _UNSTORABLE.sub("\ufffd", text)


def what_is_odd(text: str, *, longest: int) -> str:
    """Why a cell cannot be stored as it is; empty where it can."""
    if len(text) > longest:
        return f"is longer than {longest} characters"
    if _UNSTORABLE.search(text):
        return "holds control characters, or bytes that are not UTF-8"
    return ""
