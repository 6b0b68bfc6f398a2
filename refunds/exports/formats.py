"""The formats: each takes the same rows of text, and writes them its own way.

CSV goes into the store as it comes. A workbook and a Parquet file end with a table of contents, so they are written to
a temporary file first.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from tempfile import TemporaryFile
from typing import IO, Any, ClassVar

from refunds.exports.csvfile import END, Cells, csv_line
from refunds.exports.models import Format
from refunds.exports.presenting import Cell
from refunds.exports.snapshot import Opening
from refunds.exports.storing import PIECE_BYTES, Store


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is said of a file besides its rows. `note` stands in the file: which export, when, in which zone, and since
    when its rows are new."""

    title: str
    note: str
    about: Sequence[tuple[str, str]]


class Writer(ABC):
    """Writes one file into a store. `lines`: whether it is given lines of CSV; else cells."""

    lines: ClassVar[bool] = False
    guards: ClassVar[bool] = True
    """Whether its cells must not run in a spreadsheet."""
    packs: ClassVar[bool] = False
    content_type: ClassVar[str]

    def __init__(self, store: Store, opening: Opening, sheet: Sheet) -> None:
        self.store, self.opening, self.sheet = store, opening, sheet

    @abstractmethod
    def write(self, rows: Sequence[Any]) -> None: ...

    def close(self) -> None:  # noqa: B027  (a format that has nothing to end need not say so)
        """After the last row."""


class CsvWriter(Writer):
    """The note is the heading of a last column, which is empty: a line of its own would be no row of the table."""

    lines = True
    packs = True
    content_type = "text/csv; charset=utf-8; header=present"

    def __init__(self, store: Store, opening: Opening, sheet: Sheet) -> None:
        super().__init__(store, opening, sheet)
        store.write(csv_line([*opening.headings, sheet.note]) + END)

    def write(self, rows: Sequence[bytes]) -> None:
        self.store.write(_EMPTY_CELL.join([*rows, b""]))


_EMPTY_CELL = b"," + END


class _FileWriter(Writer):
    def __init__(self, store: Store, opening: Opening, sheet: Sheet) -> None:
        super().__init__(store, opening, sheet)
        self.file: IO[bytes] = TemporaryFile()  # noqa: SIM115  (closed when it has been stored)

    def close(self) -> None:
        self.file.seek(0)
        while piece := self.file.read(PIECE_BYTES):
            self.store.write(piece)
        self.file.close()


class XlsxWriter(_FileWriter):
    """Text is typed text and numbers are numbers, but for those a spreadsheet would round: they stay text. A sheet that
    is full is followed by another; the last one says what the file is."""

    content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    MOST_ROWS: ClassVar[int] = 1_048_576
    """Of a sheet, with its headings."""
    MOST_DIGITS: ClassVar[int] = 15
    """What a spreadsheet keeps of a number."""

    def __init__(self, store: Store, opening: Opening, sheet: Sheet) -> None:
        from xlsxwriter import Workbook

        super().__init__(store, opening, sheet)
        self._book = Workbook(self.file, {"constant_memory": True, "in_memory": False})
        self._book.set_properties({"title": sheet.title, "comments": sheet.note, "created": _naive(opening.moment)})
        self._bold = self._book.add_format({"bold": True})
        self._sheets = self._row = 0
        self._begin_sheet()

    def _begin_sheet(self) -> None:
        self._sheets += 1
        self._sheet = self._book.add_worksheet(f"{self.sheet.title[:20]} {self._sheets}")
        self._sheet.freeze_panes(1, 0)
        for place, heading in enumerate(self.opening.headings):
            self._sheet.write_string(0, place, heading, self._bold)
        self._row = 1

    def write(self, rows: Sequence[Cells]) -> None:
        for cells in rows:
            if self._row == self.MOST_ROWS:
                self._begin_sheet()
            self._write_row(cells)
            self._row += 1

    def _write_row(self, cells: Cells) -> None:
        row, sheet = self._row, self._sheet
        for place, (text, kind) in enumerate(zip(cells, self.opening.kinds, strict=True)):
            if text is None:
                continue
            if kind is not Cell.TEXT and len(text) <= self.MOST_DIGITS:
                sheet.write_number(row, place, float(text))
            else:
                sheet.write_string(row, place, text)

    def close(self) -> None:
        about = self._book.add_worksheet("About this file")
        for row, (label, value) in enumerate([*self.sheet.about, ("Rows", self.sheet.note)]):
            about.write_string(row, 0, label, self._bold)
            about.write_string(row, 1, value)
        self._book.close()
        super().close()


class ParquetWriter(_FileWriter):
    """Whole numbers are int64, amounts decimal, everything else text, moments with their offset. Text is as it is:
    nothing here runs it."""

    guards = False
    content_type = "application/vnd.apache.parquet"

    ROWS_A_GROUP: ClassVar[int] = 50_000
    DECIMALS: ClassVar[int] = 10

    def __init__(self, store: Store, opening: Opening, sheet: Sheet) -> None:
        import pyarrow
        from pyarrow import parquet

        super().__init__(store, opening, sheet)
        types = {
            Cell.TEXT: pyarrow.string(),
            Cell.INTEGER: pyarrow.int64(),
            Cell.DECIMAL: pyarrow.decimal128(38, self.DECIMALS),
        }
        fields = [(heading, types[kind]) for heading, kind in zip(opening.headings, opening.kinds, strict=True)]
        self._schema = pyarrow.schema(fields, metadata=dict([*sheet.about, ("note", sheet.note)]))
        self._arrow = pyarrow
        self._writer = parquet.ParquetWriter(self.file, self._schema, compression="zstd")
        self._waiting: list[Cells] = []

    def write(self, rows: Sequence[Cells]) -> None:
        self._waiting += rows
        if len(self._waiting) >= self.ROWS_A_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        columns = [
            self._arrow.array([None if text is None else _READ[kind](text) for text in cells], type_)
            for cells, kind, type_ in zip(
                zip(*self._waiting, strict=True), self.opening.kinds, self._schema.types, strict=True
            )
        ]
        self._writer.write_batch(self._arrow.record_batch(columns, schema=self._schema))
        self._waiting.clear()

    def close(self) -> None:
        if self._waiting:
            self._write_group()
        self._writer.close()
        super().close()


_READ: dict[Cell, Callable[[str], Any]] = {Cell.TEXT: str, Cell.INTEGER: int, Cell.DECIMAL: Decimal}


def _naive(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC).replace(tzinfo=None)


WRITERS: dict[str, type[Writer]] = {
    Format.CSV: CsvWriter,
    Format.XLSX: XlsxWriter,
    Format.PARQUET: ParquetWriter,
}


def why_not(form: str) -> str:
    """Why a format cannot be written here; empty where it can."""
    if form == Format.PARQUET and importlib.util.find_spec("pyarrow") is None:
        return (
            "Parquet files need pyarrow, which is not installed here. Install it (pip install pyarrow), or choose CSV"
        )
    return ""
