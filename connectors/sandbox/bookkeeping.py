"""What accounting hands in: the entries of its books and its bank statement, as CSV."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable
from dataclasses import dataclass

from connectors.sandbox import currencies
from connectors.sandbox.model import Payment, Refund

COLUMNS = (
    "reference", "kind", "amount", "currency", "booked_at", "connector_refund_id", "connector_transaction_id",
    "merchant_order_id", "payout_id",
)  # fmt: skip
BANK_HOUR = 9
"""When the bank books what reached it, in UTC."""
_SATURDAY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BookEntry:
    """One entry. `amount` is written in major units, just as accounting has it."""

    reference: str
    amount: str
    currency: str
    booked_at: dt.datetime
    kind: str = "refund"
    connector_refund_id: str = ""
    connector_transaction_id: str = ""
    merchant_order_id: str = ""
    payout_id: str = ""


def entry_of(refund: Refund, payment: Payment) -> BookEntry:
    """How accounting books a refund it knows everything of."""
    return BookEntry(
        reference=f"GL-{refund.number:06d}",
        amount=currencies.major(refund.processor, refund.amount_minor, refund.currency),
        currency=refund.currency,
        booked_at=refund.created_at,
        connector_refund_id=refund.refund_id,
        connector_transaction_id=payment.payment_id,
        merchant_order_id=payment.order_id,
    )


def bank_entry(processor: str, payout_id: str, minor_amount: int, currency: str, *, paid_at: dt.datetime) -> BookEntry:
    """What the bank books of a payout: on the next bank day."""
    return BookEntry(
        reference=f"BANK-{payout_id}-{currency}",
        kind="bank",
        amount=currencies.major(processor, minor_amount, currency),
        currency=currency,
        booked_at=bank_day_after(paid_at),
        payout_id=payout_id,
    )


def bank_day_after(moment: dt.datetime) -> dt.datetime:
    day = moment + dt.timedelta(days=1)
    while day.weekday() >= _SATURDAY:
        day += dt.timedelta(days=1)
    return day.replace(hour=BANK_HOUR, minute=0, second=0, microsecond=0)


def written(entries: Iterable[BookEntry]) -> str:
    """The file, oldest entry first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in sorted(entries, key=lambda entry: (entry.booked_at, entry.reference)):
        cells = {name: getattr(entry, name) for name in COLUMNS} | {"booked_at": entry.booked_at.isoformat()}
        writer.writerow([cells[name] for name in COLUMNS])
    return text.getvalue()
