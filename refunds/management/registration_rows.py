"""Reading refunds to register from CSV: by header name, one row at a time, every fault named with line and column.

connector_refund_id                                  the processor's id; required
currency                                             ISO 4217, such as EUR; required
minor_amount | major_amount                          one of them: 1234, or 12.34 with a point; required
connector_transaction_id                             the processor's id of the refunded payment
merchant_refund_id, merchant_order_id                our own ids
payment_minor_amount | payment_major_amount          what was paid, in payment_currency or else in currency
payment_currency
reason, payment_method, card_brand, card_last4
customer_name, customer_email, customer_language     kept encrypted
requested_at                                         2026-03-14T10:00:00Z, with its offset
status                                               what our side believes: PENDING, SUCCEEDED or FAILED
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.contract import Money, Status
from connectors.money import MAXIMUM_MINOR_AMOUNT, MoneyError, exponent, from_major
from refunds.models import Refund
from refunds.services import Registration
from refunds.sheets import Fault, Sheet, what_is_odd

REQUIRED = ("connector_refund_id", "currency")
_AMOUNTS = ("minor_amount", "major_amount")
_PAYMENT = ("payment_minor_amount", "payment_major_amount", "payment_currency")
_TEXTS = (
    "connector_transaction_id", "merchant_refund_id", "merchant_order_id", "reason", "payment_method", "card_brand",
)  # fmt: skip
_CUSTOMER = {"customer_name": "name", "customer_email": "email", "customer_language": "language"}
COLUMNS = (*REQUIRED, *_AMOUNTS, *_PAYMENT, *_TEXTS, *_CUSTOMER, "card_last4", "requested_at", "status")
_LONGEST = 255


class BadFile(ValueError):
    """The file as a whole cannot be read; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its registration, or what is wrong with it."""

    line: int
    registration: Registration | None
    faults: tuple[Fault, ...] = ()


class RegistrationFile:
    """The rows of an open file (text, surrogates standing for bytes that are not UTF-8)."""

    def __init__(self, lines: Iterable[str], *, exponents: Mapping[str, int]) -> None:
        self._sheet, self._exponents = Sheet(lines), exponents
        _check_heading(self._sheet.headings)

    @property
    def ignored(self) -> list[str]:
        """Columns that mean nothing here; said, because one of them may be misspelt."""
        return [name for name in self._sheet.headings if name not in COLUMNS]

    def __iter__(self) -> Iterator[Row]:
        for line, cells in self._sheet:
            yield Row(line, None, (cells,)) if isinstance(cells, Fault) else self._row(line, cells)

    def _row(self, line: int, cells: list[str]) -> Row:
        reading = _Reading(line, dict(zip(self._sheet.headings, cells, strict=True)), self._exponents)
        registration = reading.registration()
        return Row(line, None if reading.faults else registration, tuple(reading.faults))


def _check_heading(columns: list[str]) -> None:
    if missing := [name for name in REQUIRED if name not in columns]:
        raise BadFile(f"the first line must name the columns; missing: {', '.join(missing)}")
    if len(set(columns)) != len(columns):
        raise BadFile("two columns have the same name")
    if len([name for name in _AMOUNTS if name in columns]) != 1:
        raise BadFile("name the amount's column minor_amount (1234) or major_amount (12.34): one of them")
    if {"payment_minor_amount", "payment_major_amount"} <= set(columns):
        raise BadFile("name the payment's column payment_minor_amount or payment_major_amount: one of them")


class _Reading:
    """One row on its way to a registration, gathering what is wrong with it."""

    def __init__(self, line: int, cells: Mapping[str, str], exponents: Mapping[str, int]) -> None:
        self._line, self._cells, self._exponents = line, cells, exponents
        self.faults: list[Fault] = []

    def registration(self) -> Registration | None:
        texts: dict[str, Any] = {name: self._text(name, longest=_longest(name)) for name in _TEXTS}
        customer = {key: value for name, key in _CUSTOMER.items() if (value := self._text(name, longest=_LONGEST))}
        refund_id = self._text("connector_refund_id", longest=_LONGEST)
        if not refund_id:
            self._fault("connector_refund_id", "is empty")
        amount = self._amount("", self._cells["currency"], "currency")
        if amount is None and not self.faults:
            self._fault("minor_amount" if "minor_amount" in self._cells else "major_amount", "is empty")
        others: dict[str, Any] = {
            "payment_amount": self._payment(),
            "card_last4": self._read("card_last4", _last4, default=""),
            "requested_at": self._read("requested_at", _moment, default=None),
            "status": self._read("status", _status, default=""),
        }
        if amount is None:
            return None
        return Registration(connector_refund_id=refund_id, amount=amount, customer=customer, **texts, **others)

    def _payment(self) -> Money | None:
        column = "payment_currency" if self._cells.get("payment_currency") else "currency"
        return self._amount("payment_", self._cells[column], column)

    def _amount(self, prefix: str, currency: str, currency_column: str) -> Money | None:
        """The amount under `<prefix>minor_amount` or `<prefix>major_amount`; None where the cell is empty or wrong."""
        column = f"{prefix}minor_amount" if f"{prefix}minor_amount" in self._cells else f"{prefix}major_amount"
        text = self._cells.get(column, "")
        if not text:
            return None
        try:
            exponent(currency, self._exponents)
        except MoneyError as error:
            self._fault(currency_column, str(error))
            return None
        read = _minor if column.endswith("minor_amount") else self._major
        amount: Money | None = self._read(column, lambda cell: read(cell, currency), default=None)
        return amount

    def _major(self, text: str, currency: str) -> Money:
        if not re.fullmatch(r"[0-9]{1,20}(\.[0-9]{1,10})?", text):
            raise ValueError(f"{text!r} is not an amount such as 12.34, with a point and more than 0")
        return _positive(from_major(text, currency, self._exponents))

    def _text(self, column: str, *, longest: int) -> str:
        text = self._cells.get(column, "")
        if odd := what_is_odd(text, longest=longest):
            self._fault(column, odd)
        return text

    def _read(self, column: str, read: Callable[[str], Any], *, default: Any) -> Any:
        text = self._cells.get(column, "")
        if not text:
            return default
        try:
            return read(text)
        except (ValueError, MoneyError) as error:
            self._fault(column, str(error))
            return default

    def _fault(self, column: str, reason: str) -> None:
        self.faults.append(Fault(self._line, column, reason))


def _longest(name: str) -> int:
    return getattr(Refund._meta.get_field(name), "max_length", None) or _LONGEST


def _minor(text: str, currency: str) -> Money:
    if not re.fullmatch(r"[0-9]{1,19}", text):
        raise ValueError(f"{text!r} is not a whole number in the currency's smallest unit, such as 1234 for 12.34 EUR")
    return _positive(Money(int(text), currency))


def _positive(money: Money) -> Money:
    if not 0 < money.minor_amount <= MAXIMUM_MINOR_AMOUNT:
        raise ValueError("must be more than 0 and not absurdly large")
    return money


def _last4(text: str) -> str:
    if not re.fullmatch(r"[0-9]{4}", text):
        raise ValueError("must be the card's last four digits")
    return text


def _status(text: str) -> str:
    if text not in set(Status):
        raise ValueError(f"{text!r} is none of {', '.join(Status)}")
    return text


def _moment(text: str) -> dt.datetime:
    try:
        read = dt.datetime.fromisoformat(text)
    except ValueError:
        read = None
    if read is None or read.tzinfo is None:
        raise ValueError(f"{text!r} is not a moment with its offset, such as 2026-03-14T10:00:00Z")
    return read.astimezone(dt.UTC)
