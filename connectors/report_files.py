"""Pure: report files as streams. Lines with their place in the file, and rows read by the names of their columns.

A file may have millions of rows, so nothing here holds more than a few lines of it; and the place that was reached is
known after each row, so that reading can go on from there in another process.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from connectors.errors import MalformedAnswer, MalformedReport
from connectors.reading import read_text
from connectors.vocabulary import RowError

LONGEST_LINE_BYTES = 256 * 1024
_AS_IT_WAS_MADE = "Import the file exactly as the processor made it, not one that a spreadsheet has saved."
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_NO_LINE_END = (
    "the file ends here without a line end, so it may have been cut off within this row. Import the whole file; if "
    "the processor really ends its files so, add a line end and import it again"
)


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file was read: so many bytes, which were so many lines."""

    offset: int = 0
    line: int = 0


START = Place()


class ReportLines:
    """The lines of a file as text, read in blocks. `read(offset)` gives the file's bytes from there on.

    Where reading goes on from an earlier `place`, the header comes first all the same: the columns are known by it.
    """

    def __init__(self, read: Callable[[int], Iterable[bytes]], *, resume_at: Place = START) -> None:
        self._read = read
        self._resume_at = resume_at
        self.place = START
        self.last_was_ended = True
        self._from(START)

    @classmethod
    def of(cls, content: bytes, *, resume_at: Place = START) -> ReportLines:
        """The lines of a file that is in memory."""
        return cls(lambda offset: [content[offset:]], resume_at=resume_at)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._resumes_now():
            self._from(self._resume_at)
        raw = self._next_line()
        if not raw:
            raise StopIteration
        self.last_was_ended = raw.endswith(b"\n")
        before, self.place = self.place, Place(self.place.offset + len(raw), self.place.line + 1)
        return self._decode(raw, before)

    @property
    def next_line(self) -> int:
        """The number of the line that comes next."""
        return (self._resume_at.line if self._resumes_now() else self.place.line) + 1

    @property
    def at_end(self) -> bool:
        """Whether nothing follows the lines that were taken."""
        return not self._more()

    def _resumes_now(self) -> bool:
        return self.place.line == 1 and self._resume_at.line > 1

    def _from(self, place: Place) -> None:
        self._blocks = iter(self._read(place.offset))
        self._block, self._position = b"", 0
        self.place = place

    def _more(self) -> bool:
        """Whether there is anything left; the next block is taken where this one is used up."""
        while self._position >= len(self._block):
            block = next(self._blocks, None)
            if block is None:
                return False
            self._block, self._position = block, 0
        return True

    def _next_line(self) -> bytes:
        line = b""
        while self._more():
            end = self._block.find(b"\n", self._position) + 1
            stop = end or len(self._block)
            line += self._block[self._position : stop]
            self._position = stop
            if end:
                break
            if len(line) > LONGEST_LINE_BYTES:
                raise MalformedReport(f"no line ends here. {_AS_IT_WAS_MADE}", line=self.place.line + 1)
        return line

    def _decode(self, raw: bytes, at: Place) -> str:
        try:
            return raw.decode("utf-8-sig" if at.offset == 0 else "utf-8")
        except UnicodeDecodeError as error:
            message = f"byte {error.start + 1} of the line is not UTF-8. {_AS_IT_WAS_MADE}"
            raise MalformedReport(message, line=at.line + 1) from error


class OddCell(Exception):
    """Something in a cell that makes its row unreadable.

    The reason never repeats what stands in the cell: in a row that has slipped, that may be anybody's name or address.
    """

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column


class Row:
    """One row. `row["Psp Reference"]` is the trimmed text of that column, empty where the file has no such column."""

    __slots__ = ("_cells", "_columns", "line")

    def __init__(self, line: int, columns: dict[str, int], cells: Sequence[str]) -> None:
        self.line = line
        self._columns = columns
        self._cells = cells

    @property
    def is_blank(self) -> bool:
        return not any(self._cells)

    def __getitem__(self, column: str) -> str:
        index = self._columns.get(column)
        return "" if index is None else self._cells[index].strip()

    def text(self, column: str, *, longest: int = 255) -> str:
        """The same, where a database can keep it; else OddCell."""
        try:
            return read_text(self[column], longest=longest)
        except MalformedAnswer as error:
            raise OddCell(column, str(error)) from error


class ReportTable:
    """The rows under a header, comma-separated and quoted as in RFC 4180, columns in any order.

    A last row without a line end is not believed, however many cells it has: cut off inside its last one, it would say
    something else than the processor wrote.
    """

    def __init__(self, lines: ReportLines) -> None:
        self._lines = lines
        self._reader = csv.reader(lines, strict=True)
        self.columns = self._header()
        self._index = {name: index for index, name in enumerate(self.columns)}

    def _header(self) -> tuple[str, ...]:
        try:
            cells = next(self._reader, None)
        except csv.Error as error:
            raise MalformedReport(f"the header cannot be read ({error}). {_AS_IT_WAS_MADE}", line=1) from error
        if cells is None:
            raise MalformedReport("the file is empty. Download it again.", line=1)
        if self._lines.place.line > 1:
            raise MalformedReport(f"the header goes over several lines. {_AS_IT_WAS_MADE}", line=1)
        if not self._lines.last_was_ended:
            raise MalformedReport("the file ends in the middle of its header. Download it again.", line=1)
        names = tuple(name.strip() for name in cells)
        if len(names) == 1 and (wrong := next((mark for mark in _SEPARATORS if mark in names[0]), "")):
            raise MalformedReport(
                f"the columns are separated by {_SEPARATORS[wrong]}, not by commas. {_AS_IT_WAS_MADE}", line=1
            )
        twice = next((name for name in names if name and names.count(name) > 1), "")
        if twice:
            raise MalformedReport("this column is there twice. Configure the report anew.", line=1, column=twice)
        return names

    def require(self, columns: Iterable[str]) -> None:
        """MalformedReport where one of the columns is missing."""
        for name in columns:
            if name not in self._index:
                message = "this column is missing. Add it to the report at the processor, and make the report anew."
                raise MalformedReport(message, line=1, column=name)

    def __iter__(self) -> Iterator[Row | RowError]:
        while (found := self._next()) is not None:
            if isinstance(found, RowError) or not found.is_blank:
                yield found

    def _next(self) -> Row | RowError | None:
        first = self._lines.next_line
        try:
            cells = next(self._reader, None)
        except csv.Error as error:
            return self._unreadable(first, error)
        if cells is None:
            return None
        if cells and len(cells) < len(self.columns) and self._lines.at_end:
            raise self._cut_off(first)
        if not self._lines.last_was_ended:
            return RowError(line=first, column="", reason=_NO_LINE_END)
        if len(cells) == len(self.columns):
            return Row(first, self._index, cells)
        if not cells:
            return Row(first, self._index, [""] * len(self.columns))
        reason = f"the row has {len(cells)} columns, the header {len(self.columns)}"
        return RowError(line=first, column="", reason=reason)

    def _unreadable(self, first: int, error: csv.Error) -> RowError:
        if self._lines.at_end:
            raise self._cut_off(first) from error
        if self._lines.place.line > first:
            message = f"a quotation mark opens here and never closes. {_AS_IT_WAS_MADE}"
            raise MalformedReport(message, line=first) from error
        return RowError(line=first, column="", reason=f"the row is not sound CSV ({error})")

    def _cut_off(self, line: int) -> MalformedReport:
        return MalformedReport(
            "the file ends in the middle of a row. Download it again, and import it whole.", line=line
        )
