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
    return written(ACCOUNTING_COLUMNS, rows)


def settlement(rows: Iterable[dict[str, str]]) -> bytes:
    return written(SETTLEMENT_COLUMNS, rows)


def written(columns: Iterable[str], rows: Iterable[dict[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def settled_row(refund: str, word: str = "Refunded", *, at: float = 0, **changes: str) -> dict[str, str]:
    """A settlement row of batch 7 about a refund of 10.00 EUR, `at` seconds after T0."""
    came_back = word == "RefundedReversed"
    return {
        "Merchant Account": MERCHANT,
        "Psp Reference": "9913140798220028",
        "Creation Date": f"{T0 + dt.timedelta(seconds=at):%Y-%m-%d %H:%M:%S}",
        "TimeZone": "UTC",
        "Type": word,
        "Modification Reference": refund,
        "Gross Currency": "EUR",
        f"Gross {'Credit' if came_back else 'Debit'} (GC)": "10.00",
        "Net Currency": "EUR",
        f"Net {'Credit' if came_back else 'Debit'} (NC)": "10.00",
        "Batch Number": "7",
        **{name.replace("_", " "): value for name, value in changes.items()},
    }


def other_row(word: str, net: str, *, batch: str = "7", currency: str = "EUR", at: float = 0) -> dict[str, str]:
    """A settlement row about something else; a negative net is a debit."""
    side = "Debit" if net.startswith("-") else "Credit"
    return {
        "Merchant Account": MERCHANT,
        "Creation Date": f"{T0 + dt.timedelta(seconds=at):%Y-%m-%d %H:%M:%S}",
        "TimeZone": "UTC",
        "Type": word,
        "Modification Reference": f"{word} of batch {batch}",
        "Net Currency": currency,
        f"Net {side} (NC)": net.removeprefix("-"),
        "Batch Number": batch,
    }


RECONCILIATION_COLUMNS = (
    "automatic_payout_id", "automatic_payout_effective_at_utc", "balance_transaction_id", "created_utc", "currency",
    "gross", "fee", "net", "reporting_category", "source_id", "customer_facing_amount", "customer_facing_currency",
    "charge_id", "payment_intent_id", "customer_email",
)  # fmt: skip


def transaction(number: int, refund: str, category: str = "refund", *, at: float = 0, **changes: str) -> dict[str, str]:
    """A row of a payout reconciliation report: 10.00 EUR of the payout po_1, `at` seconds after T0."""
    amount = "10.00" if category in ("charge", "refund_failure") else "-10.00"
    return {
        "automatic_payout_id": "po_1",
        "automatic_payout_effective_at_utc": "2026-03-17 00:00:00",
        "balance_transaction_id": f"txn_{number}",
        "created_utc": f"{T0 + dt.timedelta(seconds=at):%Y-%m-%d %H:%M:%S}",
        "currency": "eur",
        "gross": amount,
        "fee": "0.00",
        "net": amount,
        "reporting_category": category,
        "source_id": refund,
        "customer_facing_amount": amount,
        "customer_facing_currency": "eur",
        "customer_email": "ada@example.com",
        **changes,
    }


def reconciliation(rows: Iterable[dict[str, str]], columns: Iterable[str] = RECONCILIATION_COLUMNS) -> bytes:
    return written(columns, rows)
