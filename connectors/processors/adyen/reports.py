"""Pure: Adyen's report files, read for what they say of refunds' stages and of the money that was booked.

Sources, below docs.adyen.com: /reporting/payment-accounting-report (what was booked when, daily) and
/reporting/settlement-detail-report (what moved money, for each payout). Columns can be added, dropped and moved in the
Customer Area, so they are read by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from connectors.contract import (
    Fact,
    MalformedReport,
    OddCell,
    OtherRow,
    ReportItem,
    ReportLines,
    ReportTable,
    Row,
    RowError,
    Scope,
)
from connectors.processors.adyen import rows, settlement

_ACCOUNTED = frozenset({"SentForRefund", "Refunded", "RefundedExternally", "RefundFailed", "RefundedReversed"})

# /reporting/automatically-get-reports: the names the files come under.
_NAMES = re.compile(r"(payments?_accounting|settlement_details?)_report.*\.csv", re.IGNORECASE)
_BATCH_NAME = re.compile(r"settlement_details?_report_batch_([0-9]{1,18})(?![0-9]).*\.csv", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of report: which columns it cannot do without, which of them tells the rows apart, how one is read."""

    name: str
    required: tuple[str, ...]
    type_column: str
    read: Callable[[Row, str], ReportItem]


def is_readable(name: str) -> bool:
    """Whether a file of this name is one of the reports that are read here."""
    return _NAMES.search(name) is not None


def batch_of(name: str) -> str:
    """The batch number in the name of a settlement detail report, empty for other names."""
    found = _BATCH_NAME.search(name)
    return str(int(found[1])) if found else ""


def read(lines: ReportLines) -> Iterator[ReportItem]:
    """What each row says; the kind of report is told by its columns."""
    table = ReportTable(lines)
    kind = _kind_of(table)
    for row in table:
        yield row if isinstance(row, RowError) else _item(kind, row)


def _kind_of(table: ReportTable) -> _Kind:
    there = set(table.columns)
    kind = max(_KINDS, key=lambda kind: (kind.type_column in there, len(there & set(kind.required))))
    if len(there & set(kind.required)) * 2 < len(kind.required):
        names = " or ".join(kind.name for kind in _KINDS)
        raise MalformedReport(f"by its columns this is no {names} report of Adyen. Choose one of them.", line=1)
    table.require(kind.required)
    return kind


def _item(kind: _Kind, row: Row) -> ReportItem:
    try:
        return kind.read(row, row.text(kind.type_column, longest=120))
    except OddCell as error:
        return RowError(line=row.line, column=error.column, reason=str(error))


def _accounted(row: Row, word: str) -> ReportItem:
    """/reporting/payment-accounting-report. Its amounts are left alone: a row may hold what is payable, after fees."""
    if word not in _ACCOUNTED and not rows.is_unknown_refund_word(word):
        return OtherRow(Scope(row["Merchant Account"]))
    said = rows.about_refund(row, word, refund="Modification Psp Reference")
    return Fact(**said, occurred_at=rows.time(row, "Booking Date", "TimeZone"))


_KINDS = (
    _Kind(
        "payment accounting",
        (
            "Merchant Account",
            "Psp Reference",
            "Booking Date",
            "TimeZone",
            "Record Type",
            "Modification Psp Reference",
        ),
        "Record Type",
        _accounted,
    ),
    _Kind("settlement detail", settlement.REQUIRED, "Type", settlement.read),
)
