"""Pure: the cells that all of Adyen's report files share: references, times, texts and money.

Sources, below docs.adyen.com: /reporting/payment-accounting-report, /reporting/settlement-detail-report.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from connectors.contract import Money, OddCell, ReferenceState, Row, Scope
from connectors.money import AmountTooLarge, MoneyError, exponent, from_major
from connectors.processors.adyen.notifications import CURRENCY_EXPONENTS, STAGES

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

_PSP_REFERENCE = re.compile(r"[A-Za-z0-9]{1,64}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")


def about_refund(row: Row, word: str, *, refund: str) -> dict[str, Any]:
    """What a row says of a refund besides when and how much; `refund` is the column of the refund's own reference."""
    arn = row["ARN"] if re.fullmatch(r"[0-9]{23}", row["ARN"]) else ""
    return {
        "connector_refund_id": reference(row, refund),
        "connector_transaction_id": reference(row, "Psp Reference"),
        "native_status": word,
        "stage": STAGES.get(word),
        "scope": Scope(merchant_account(row)),
        "merchant_refund_id": row.text("Modification Merchant Reference"),
        "merchant_order_id": row.text("Merchant Order Reference"),
        "acquirer_reference_number": arn,
        "reference_state": ReferenceState.AVAILABLE if arn else None,
        "payment_method": row.text("Payment Method", longest=60),
        "error_code": _FAILURES.get(word, ""),
    }


def is_unknown_refund_word(word: str) -> bool:
    """A word of this kind that is in no table says something of a refund: it is kept as a word nobody knows."""
    return word.startswith("Refund") and word not in STAGES


def merchant_account(row: Row) -> str:
    found = row.text("Merchant Account")
    if not found:
        raise OddCell("Merchant Account", "the row does not say whose it is")
    return found


def reference(row: Row, column: str) -> str:
    found = row[column]
    if not _PSP_REFERENCE.fullmatch(found):
        why = "is missing" if not found else "is no reference of Adyen's; a spreadsheet writes long ones as 4.5E+15"
        raise OddCell(column, f"the reference {why}")
    return found


def booked_at(row: Row) -> dt.datetime:
    """When a row was booked. The booking date is an optional column of the settlement detail report; without it, only
    the date on which the modification was made is there."""
    if not row["Booking Date"]:
        return time(row, "Creation Date", "TimeZone")
    return time(row, "Booking Date", "Booking Date TimeZone" if row["Booking Date TimeZone"] else "TimeZone")


def time(row: Row, column: str, zone_column: str) -> dt.datetime:
    zone = ZONES.get(row[zone_column])
    if zone is None:
        said = row[zone_column]
        given = said if re.fullmatch(r"[A-Z]{1,5}", said) else "what stands here" if said else "nothing"
        raise OddCell(
            zone_column, f"{given} names no one time zone we know; set the report's time zone to UTC or CET at Adyen"
        )
    text = row[column]
    if not _TIME.fullmatch(text):
        raise OddCell(column, f"{'this is' if text else 'nothing stands here; there should be'} "
                              f"{'no' if text else 'a'} time such as 2026-03-14 09:30:00")  # fmt: skip
    try:
        return dt.datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise OddCell(column, "there is no such time") from None


def sided(row: Row, debit: str, credit: str, currency_column: str) -> tuple[Money, bool]:
    """The amount of a pair of columns, and whether it came in: what leaves the merchant is a debit, what comes a
    credit, told by which of the two is filled (/reporting/settlement-detail-report)."""
    went, came = row[debit], row[credit]
    if came.strip("0."):
        if went.strip("0."):
            raise OddCell(debit, f"the row has an amount here and in {credit} too")
        return money(row, credit, currency_column), True
    return money(row, debit if went else credit, currency_column), False


def money(row: Row, column: str, currency_column: str) -> Money:
    """Never negative; nothing is zero."""
    try:
        amount = _read_money(row[column] or "0", row[currency_column])
    except AmountTooLarge as error:
        raise OddCell(column, "this amount is larger than any we can keep") from error
    except MoneyError as error:
        raise OddCell(*_what_is_odd(row[currency_column], column, currency_column)) from error
    if amount.minor_amount < 0:
        raise OddCell(column, "the amount is negative")
    return amount


@lru_cache(maxsize=8192)
def _read_money(text: str, currency: str) -> Money:
    return from_major(text, currency, CURRENCY_EXPONENTS)


def _what_is_odd(currency: str, column: str, currency_column: str) -> tuple[str, str]:
    try:
        digits = exponent(currency, CURRENCY_EXPONENTS)
    except MoneyError:
        return currency_column, "this is no ISO 4217 currency code such as EUR"
    return column, f"this is no amount such as 12.34 with at most {digits} decimals of the currency"
