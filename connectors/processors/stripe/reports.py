"""Pure: Stripe's payout reconciliation report, itemized: one row a balance transaction, with the payout it was part of.

Source: docs.stripe.com/reports/report-types/payout-reconciliation (payout_reconciliation.itemized.5). Columns are
chosen when the report is made, so they are read by name; amounts are decimals in major units, where the API has minor
ones. The columns about customers are never looked at.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from connectors.contract import (
    MalformedReport,
    Money,
    Movement,
    OddCell,
    ReportItem,
    ReportLines,
    ReportTable,
    Row,
    RowError,
    SettlementLine,
)
from connectors.money import AmountTooLarge, MoneyError, exponent, from_major
from connectors.processors.stripe.objects import MERCHANT_ORDER_KEYS, MERCHANT_REFUND_KEYS

NAME = "payout reconciliation (itemized)"
# /reports/report-types: by the interval, and by one payout; the number is the version of its columns.
_TYPES = re.compile(r"payout_reconciliation\.(by_id\.)?itemized\.[0-9]")
REQUIRED = (
    "automatic_payout_id",
    "balance_transaction_id",
    "created_utc",
    "currency",
    "gross",
    "fee",
    "net",
    "reporting_category",
    "source_id",
)

# /reports/reporting-categories. A partial capture's remainder comes with the type of a refund, but in a category of its
# own (partial_capture_reversal): it is none.
MOVEMENTS: Mapping[str, Movement] = {
    "refund": Movement.REFUND,
    "refund_failure": Movement.RETURN,
    "payout": Movement.PAYOUT,
}
# /currencies: ISK and UGX are sent with two decimals although they have none; MGA with none.
CURRENCY_EXPONENTS: Mapping[str, int] = {"ISK": 2, "UGX": 2, "MGA": 0}

_CURRENCY = re.compile(r"[A-Za-z]{3}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,240}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")


def is_readable(name: str) -> bool:
    """Whether a report run's type, with which its name begins, is one that is read here."""
    return _TYPES.match(name) is not None


def read(lines: ReportLines) -> Iterator[ReportItem]:
    """What each row says."""
    for row in _table(lines):
        yield row if isinstance(row, RowError) else _item(row)


def look_through(lines: ReportLines) -> Iterator[object]:
    """The rows; MalformedReport where a payout has two currencies: which of its rows are not its own cannot be told."""
    currencies: dict[str, str] = {}
    for row in _table(lines):
        yield row
        if isinstance(row, RowError) or not _CURRENCY.fullmatch(row["currency"]):
            continue
        payout, currency = row["automatic_payout_id"], row["currency"].upper()
        # Nothing grows without end in a file that is not what it seems.
        if payout and len(currencies) < _MOST:
            currencies.setdefault(payout, currency)
        if currencies.get(payout, currency) != currency:
            message = "the rows before have this row's payout in another currency, and a payout has one. Make it anew."
            raise MalformedReport(message, line=row.line, column="currency")


_MOST = 50_000
"""Payouts whose currencies are compared: far more than one report has."""


def _table(lines: ReportLines) -> ReportTable:
    table = ReportTable(lines)
    if len(set(table.columns) & set(REQUIRED)) * 2 < len(REQUIRED):
        raise MalformedReport(f"by its columns this is no {NAME} report of Stripe. Choose one.", line=1)
    table.require(REQUIRED)
    return table


def _item(row: Row) -> ReportItem:
    try:
        return _line(row)
    except OddCell as error:
        return RowError(line=row.line, column=error.column, reason=str(error))


def _line(row: Row) -> SettlementLine:
    movement = MOVEMENTS.get(row["reporting_category"], Movement.OTHER)
    net = _money(row, "net", "currency")
    common: dict[str, Any] = {
        "line_id": _id(row, "balance_transaction_id"),
        "movement": movement,
        "net": net,
        "booked_at": _time(row, "created_utc"),
        "payout_id": _id(row, "automatic_payout_id") if row["automatic_payout_id"] else "",
    }
    if movement is Movement.PAYOUT:
        paid_at = row["automatic_payout_effective_at_utc"]
        common["payout_id"] = common["payout_id"] or _id(row, "source_id")
        common["payout_at"] = _time(row, "automatic_payout_effective_at_utc") if paid_at else common["booked_at"]
    if movement not in (Movement.REFUND, Movement.RETURN):
        return SettlementLine(**common)
    return SettlementLine(**common, **_about_refund(row, net))


def _about_refund(row: Row, net: Money) -> dict[str, Any]:
    gross, fee = _money(row, "gross", "currency"), _money(row, "fee", "currency")
    if gross.minor_amount - fee.minor_amount != net.minor_amount:
        raise OddCell("net", "this is not gross less fee")
    own = gross
    if row["customer_facing_amount"] and row["customer_facing_currency"]:
        own = _money(row, "customer_facing_amount", "customer_facing_currency")
    return {
        "gross": gross,
        "fee": fee,
        "amount": Money(abs(own.minor_amount), own.currency),
        "credit": gross.minor_amount > 0,
        "connector_refund_id": _id(row, "source_id"),
        "connector_transaction_id": row.text("payment_intent_id") or row.text("charge_id"),
        "merchant_refund_id": _first(row, "refund_metadata", MERCHANT_REFUND_KEYS),
        "merchant_order_id": _first(row, "refund_metadata", MERCHANT_ORDER_KEYS)
        or _first(row, "payment_metadata", MERCHANT_ORDER_KEYS),
    }


def _first(row: Row, kind: str, keys: tuple[str, ...]) -> str:
    """The first of the merchant's own ids that has a column and is filled (refund_metadata[order_id])."""
    return next((text for key in keys if (text := row.text(f"{kind}[{key}]"))), "")


def _id(row: Row, column: str) -> str:
    found = row[column]
    if not _ID.fullmatch(found):
        raise OddCell(column, "this is no id of Stripe's" if found else "the id is missing")
    return found


def _time(row: Row, column: str) -> dt.datetime:
    text = row[column]
    try:
        if _TIME.fullmatch(text):
            return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
    except ValueError:
        pass
    raise OddCell(column, "this is no time such as 2026-03-14 09:30:00" if text else "the time is missing")


def _money(row: Row, column: str, currency_column: str) -> Money:
    """Currencies come in either case."""
    try:
        return _read_money(row[column], row[currency_column].upper())
    except AmountTooLarge as error:
        raise OddCell(column, "this amount is larger than any we can keep") from error
    except MoneyError as error:
        raise OddCell(*_what_is_odd(row[currency_column].upper(), column, currency_column)) from error


@lru_cache(maxsize=8192)
def _read_money(text: str, currency: str) -> Money:
    return from_major(text, currency, CURRENCY_EXPONENTS)


def _what_is_odd(currency: str, column: str, currency_column: str) -> tuple[str, str]:
    try:
        digits = exponent(currency, CURRENCY_EXPONENTS)
    except MoneyError:
        return currency_column, "this is no ISO 4217 currency code such as EUR"
    return column, f"this is no amount such as -12.34 with at most {digits} decimals of the currency"
