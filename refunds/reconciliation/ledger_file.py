"""Reading ledger entries from CSV: by heading, one row at a time, every fault named with line and column.

reference             accounting's own id of the entry, unique within the account; required
amount                in major units with a point: 12.34; what left us is positive; required
currency              ISO 4217, such as EUR; required
booked_at             a day, or a moment with its offset; required
kind                  refund (if left out) or bank
connector_refund_id, connector_transaction_id, merchant_refund_id, merchant_order_id, acquirer_reference_number
                      what the refund can be found by; at least one of them for a refund
payout_id             what a bank entry is the payout of
"""

from __future__ import annotations

import csv
import datetime as dt
import re
import zoneinfo
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from connectors.contract import Money
from connectors.money import MoneyError, exponent, from_major
from connectors.report_files import LONGEST_LINE_BYTES
from refunds.reconciliation.models import EntryKind, LedgerEntry
from refunds.sheets import Fault, Sheet, storable, what_is_odd

if TYPE_CHECKING:
    from refunds.reconciliation.books import Entry
    from refunds.reconciliation.models import LedgerImport

REQUIRED = ("reference", "amount", "currency", "booked_at")
FOUND_BY = (
    "connector_refund_id", "connector_transaction_id", "merchant_refund_id", "merchant_order_id",
    "acquirer_reference_number",
)  # fmt: skip
COLUMNS = (*REQUIRED, "kind", *FOUND_BY, "payout_id")
_AMOUNT = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,10})?")
_MOST_SHOWN = 150
"""Characters of the headings that a message repeats, so that what to do still has room."""


class BadLedgerFile(ValueError):
    """The file as a whole cannot be read; the message says where, why, and what to do."""

    kept: LedgerImport | None = None
    """Where it waits for another try; None where it is too large to be kept."""

    def __init__(self, message: str) -> None:
        super().__init__(storable(message))


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its entry, or what is wrong with it."""

    line: int
    entry: Entry | None
    faults: tuple[Fault, ...] = ()


class LedgerFile:
    """The rows of an open file. `columns` maps our columns to the file's headings, where they differ."""

    def __init__(
        self, file: IO[bytes], *, columns: Mapping[str, str], exponents: Mapping[str, int], time_zone: str
    ) -> None:
        self._file, self._sheet = file, _sheet_of(file)
        self._ours = _places(self._sheet.headings, columns)
        self._exponents, self._zone = exponents, zoneinfo.ZoneInfo(time_zone)

    def look_through(self) -> None:
        """BadLedgerFile where the file breaks off, before anything of it is kept; else at its first row again."""
        for _ in self._sheet:
            pass
        if broken := self._sheet.broke_off:
            raise BadLedgerFile(
                f"line {broken.line}: {broken.reason}. Nothing of it was imported; hand it in anew once it is whole."
            )
        self._file.seek(0)
        self._sheet = _sheet_of(self._file)

    def __iter__(self) -> Iterator[Row]:
        for line, cells in self._sheet:
            yield Row(line, None, (cells,)) if isinstance(cells, Fault) else self._row(line, cells)

    def _row(self, line: int, cells: list[str]) -> Row:
        texts = {name: cells[place] for name, place in self._ours.items()}
        reading = _Reading(line, texts, self._exponents, self._zone)
        return Row(line, reading.entry(), tuple(reading.faults))


def _sheet_of(file: IO[bytes]) -> Sheet:
    try:
        return Sheet(_lines(file))
    except csv.Error as error:
        raise BadLedgerFile(f"line 1: the headings are not sound CSV ({error}). Save the file as CSV anew.") from error


def _lines(file: IO[bytes]) -> Iterator[str]:
    """Bytes that are not UTF-8 spoil their row, not the file."""
    number = 0
    while line := file.readline(LONGEST_LINE_BYTES + 1):
        number += 1
        if len(line) > LONGEST_LINE_BYTES:
            raise BadLedgerFile(f"line {number}: no line ends here, so this is no CSV file. Save it as CSV anew.")
        yield line.decode("utf-8", "surrogateescape")


def _places(headings: list[str], columns: Mapping[str, str]) -> dict[str, int]:
    """At which place each of our columns stands in the file."""
    if not headings:
        raise BadLedgerFile("line 1: there are no headings. Hand in the whole file, the names of its columns first.")
    if any("\0" in name for name in headings):
        raise BadLedgerFile(
            "line 1: this is no text in UTF-8, but a spreadsheet's own format, perhaps, or UTF-16. Save it as CSV in "
            "UTF-8, and hand that in."
        )
    if twice := [name for name, times in Counter(headings).items() if times > 1]:
        raise BadLedgerFile(f"line 1: two columns have the same heading: {_shown(twice)}. Give each its own.")
    places = {name: headings.index(columns.get(name, name)) for name in COLUMNS if columns.get(name, name) in headings}
    if misnamed := [columns[name] for name in columns if name in COLUMNS and name not in places]:
        raise BadLedgerFile(
            f"line 1: there is no column {_shown(misnamed)}; there are: {_shown(headings)}. Correct which heading each "
            "of our columns stands under."
        )
    if missing := [name for name in REQUIRED if name not in places]:
        raise BadLedgerFile(
            f"line 1: the headings do not say where {', '.join(missing)} stand; there are: {_shown(headings)}. Say "
            "under which headings they stand, or hand in another file."
        )
    return places


def _shown(headings: Iterable[str]) -> str:
    text = ", ".join(headings)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


class _Reading:
    """One row on its way to an entry, gathering what is wrong with it."""

    def __init__(
        self, line: int, cells: Mapping[str, str], exponents: Mapping[str, int], zone: zoneinfo.ZoneInfo
    ) -> None:
        self._line, self._cells, self._exponents, self._zone = line, cells, exponents, zone
        self.faults: list[Fault] = []

    def entry(self) -> Entry | None:
        from refunds.reconciliation.books import Entry

        found_by = {name: self._text(name) for name in FOUND_BY}
        reference, payout_id = self._text("reference"), self._text("payout_id")
        kind, amount, booked_at = self._kind(), self._amount(), self._booked_at()
        if not reference:
            self._fault("reference", "is empty")
        if kind is EntryKind.REFUND and not any(found_by.values()):
            self._fault("", f"a refund needs one of {', '.join(FOUND_BY)}, or nothing could be matched with it")
        if self.faults or amount is None or booked_at is None or kind is None:
            return None
        return Entry(
            reference=reference, kind=kind, amount=amount, booked_at=booked_at, payout_id=payout_id, **found_by
        )

    def _text(self, column: str) -> str:
        text = self._cells.get(column, "")
        longest = getattr(LedgerEntry._meta.get_field(column), "max_length", None) or 255
        if odd := what_is_odd(text, longest=longest):
            self._fault(column, odd)
        return text

    def _kind(self) -> EntryKind | None:
        text = self._cells.get("kind", "").lower() or EntryKind.REFUND.label
        kind = next((kind for kind in EntryKind if kind.label == text), None)
        if kind is None:
            self._fault("kind", f"{text!r} is none of refund, bank")
        return kind

    def _amount(self) -> Money | None:
        text, currency = self._cells["amount"], self._cells["currency"]
        try:
            exponent(currency, self._exponents)
        except MoneyError as error:
            self._fault("currency", str(error))
            return None
        if not _AMOUNT.fullmatch(text):
            self._fault("amount", f"{text!r} is not an amount such as 12.34, with a point and no blanks or commas")
            return None
        try:
            amount = from_major(text, currency, self._exponents)
        except MoneyError as error:
            self._fault("amount", str(error))
            return None
        if not amount.minor_amount:
            self._fault("amount", "is 0")
        return amount

    def _booked_at(self) -> dt.datetime | None:
        text = self._cells["booked_at"]
        try:
            # A bare day begins where the account's books are kept.
            if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
                return dt.datetime.fromisoformat(text).replace(tzinfo=self._zone).astimezone(dt.UTC)
            moment = dt.datetime.fromisoformat(text)
        except (ValueError, OverflowError):
            moment = None
        if moment is None or moment.tzinfo is None:
            reason = f"{text!r} is neither a day such as 2026-03-14 nor a moment with its offset"
            self._fault("booked_at", reason)
            return None
        return moment.astimezone(dt.UTC)

    def _fault(self, column: str, reason: str) -> None:
        self.faults.append(Fault(self._line, column, reason))
