"""Pure: Adyen's report files, read for what they say of refunds' stages.

Sources, below docs.adyen.com: /reporting/payment-accounting-report (what was booked when, daily) and
/reporting/settlement-detail-report (what moved money, for each payout). Columns can be added, dropped and moved in the
Customer Area, so they are read by name.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from connectors.contract import (
    Fact,
    MalformedAnswer,
    MalformedReport,
    Money,
    OtherRow,
    ReferenceState,
    ReportItem,
    ReportLines,
    ReportTable,
    RowError,
    Scope,
    Stage,
    read_text,
)
from connectors.money import MoneyError, from_major
from connectors.processors.adyen.notifications import CURRENCY_EXPONENTS, STAGES
from connectors.report_files import Row

_ACCOUNTED = frozenset({"SentForRefund", "Refunded", "RefundedExternally", "RefundFailed", "RefundedReversed"})
_SETTLED = frozenset({"Refunded", "RefundedExternally", "RefundedReversed"})
# The event that says the same, for the plain words about why it failed.
_FAILURES: Mapping[str, str] = {"RefundFailed": "REFUND_FAILED", "RefundedReversed": "REFUNDED_REVERSED"}

# Reports name the zone of a time by its abbreviation. CST and IST are left out on purpose: each is the name of several
# zones that are up to 14 hours apart, and a wrong time could hide a later failure.
_ZONE_HOURS: Mapping[str, float] = {
    "UTC": 0, "GMT": 0, "WET": 0, "BST": 1, "WEST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3, "MSK": 3, "TRT": 3,
    "SAST": 2, "GST": 4, "SGT": 8, "HKT": 8, "MYT": 8, "PHT": 8, "AWST": 8, "JST": 9, "KST": 9, "ACST": 9.5,
    "ACDT": 10.5, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13, "BRT": -3, "BRST": -2, "ART": -3, "EST": -5,
    "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10,
}  # fmt: skip
ZONES: Mapping[str, dt.timezone] = {name: dt.timezone(dt.timedelta(hours=h)) for name, h in _ZONE_HOURS.items()}

# /reporting/automatically-get-reports: the names the files come under.
_NAMES = re.compile(r"(payments?_accounting|settlement_details?)_report.*\.csv", re.IGNORECASE)
_PSP_REFERENCE = re.compile(r"[A-Za-z0-9]{1,64}")


class _Unreadable(Exception):
    """Something in a row that makes it unreadable."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(reason)
        self.column = column


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of report: which columns it cannot do without, which rows count, and how one of them is read."""

    name: str
    required: tuple[str, ...]
    type_column: str
    types: frozenset[str]
    read: Callable[[Row, str], Fact]


def is_readable(name: str) -> bool:
    """Whether a file of this name is one of the reports that are read here."""
    return _NAMES.search(name) is not None


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
    word = row[kind.type_column]
    if word not in kind.types:
        return OtherRow(Scope(row["Merchant Account"]))
    try:
        return kind.read(row, word)
    except _Unreadable as error:
        return RowError(line=row.line, column=error.column, reason=str(error))


def _accounted(row: Row, word: str) -> Fact:
    """/reporting/payment-accounting-report. Its amounts are left alone: a row may hold what is payable, after fees."""
    return _fact(row, word, refund="Modification Psp Reference", at=_time(row, "Booking Date", "TimeZone"))


def _settled(row: Row, word: str) -> Fact:
    """/reporting/settlement-detail-report. The booking date is an optional column; without it only the date on which
    the refund was made is there."""
    if row["Booking Date"]:
        zone = "Booking Date TimeZone" if row["Booking Date TimeZone"] else "TimeZone"
        at = _time(row, "Booking Date", zone)
    else:
        at = _time(row, "Creation Date", "TimeZone")
    return _fact(row, word, refund="Modification Reference", at=at, amount=_gross(row, word))


def _fact(row: Row, word: str, *, refund: str, at: dt.datetime, amount: Money | None = None) -> Fact:
    arn = row["ARN"] if re.fullmatch(r"[0-9]{23}", row["ARN"]) else ""
    merchant_account = _text(row, "Merchant Account")
    if not merchant_account:
        raise _Unreadable("Merchant Account", "the row does not say whose it is")
    return Fact(
        connector_refund_id=_reference(row, refund),
        connector_transaction_id=_reference(row, "Psp Reference"),
        native_status=word,
        stage=STAGES[word],
        occurred_at=at,
        scope=Scope(merchant_account),
        amount=amount,
        merchant_refund_id=_text(row, "Modification Merchant Reference"),
        merchant_order_id=_text(row, "Merchant Order Reference"),
        acquirer_reference_number=arn,
        reference_state=ReferenceState.AVAILABLE if arn else None,
        payment_method=_text(row, "Payment Method", longest=60),
        error_code=_FAILURES.get(word, ""),
    )


def _reference(row: Row, column: str) -> str:
    found = row[column]
    if not _PSP_REFERENCE.fullmatch(found):
        why = "is missing" if not found else "is no reference of Adyen's; a spreadsheet writes long ones as 4.5E+15"
        raise _Unreadable(column, f"the reference {why}")
    return found


def _text(row: Row, column: str, *, longest: int = 255) -> str:
    try:
        return read_text(row[column], longest=longest)
    except MalformedAnswer as error:
        raise _Unreadable(column, str(error)) from error


def _time(row: Row, column: str, zone_column: str) -> dt.datetime:
    zone = ZONES.get(row[zone_column])
    if zone is None:
        given = row[zone_column][:20] or "nothing"
        raise _Unreadable(
            zone_column, f"{given} names no one time zone we know; set the report's time zone to UTC or CET at Adyen"
        )
    text = row[column]
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", text):
        raise _Unreadable(column, f"{text[:30] or 'nothing'} is no time such as 2026-03-14 09:30:00")
    try:
        return dt.datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise _Unreadable(column, f"there is no time {text}") from None


def _gross(row: Row, word: str) -> Money:
    """What left the merchant is a debit, what came back a credit (the sign is told by which column is filled)."""
    column, other = "Gross Debit (GC)", "Gross Credit (GC)"
    if STAGES[word] is Stage.RETURNED:
        column, other = other, column
    if not row[column] or row[other].strip("0."):
        raise _Unreadable(column, f"a {word} row has its amount here, and none in {other}")
    try:
        amount = from_major(row[column], row["Gross Currency"], CURRENCY_EXPONENTS)
    except MoneyError as error:
        raise _Unreadable(column, str(error)) from error
    if amount.minor_amount < 0:
        raise _Unreadable(column, "the amount is negative")
    return amount


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
        _ACCOUNTED,
        _accounted,
    ),
    _Kind(
        "settlement detail",
        (
            "Merchant Account",
            "Psp Reference",
            "Creation Date",
            "TimeZone",
            "Type",
            "Modification Reference",
            "Gross Currency",
            "Gross Debit (GC)",
            "Gross Credit (GC)",
            "Batch Number",
        ),
        "Type",
        _SETTLED,
        _settled,
    ),
)
