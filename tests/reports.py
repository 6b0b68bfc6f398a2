"""Adyen's report files for tests: rows under the real header."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable

from connectors.sandbox.adyen_reports import ACCOUNTING_COLUMNS, SETTLEMENT_COLUMNS
from tests.factories import T0

MERCHANT = "SandboxMerchant"


def accounting_row(refund: str, word: str = "Refunded", *, at: float = 0, merchant: str = MERCHANT) -> dict[str, str]:
    """A booking, `at` seconds after T0."""
    return {
        "Merchant Account": merchant,
        "Psp Reference": "9913140798220028",
        "Booking Date": f"{T0 + dt.timedelta(seconds=at):%Y-%m-%d %H:%M:%S}",
        "TimeZone": "UTC",
        "Record Type": word,
        "Modification Psp Reference": refund,
    }


def accounting(rows: Iterable[dict[str, str]]) -> bytes:
    return _written(ACCOUNTING_COLUMNS, rows)


def settlement(rows: Iterable[dict[str, str]]) -> bytes:
    return _written(SETTLEMENT_COLUMNS, rows)


def _written(columns: Iterable[str], rows: Iterable[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
