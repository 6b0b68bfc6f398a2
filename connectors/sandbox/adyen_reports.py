"""Adyen's report files: the payment accounting report (statuses) and the settlement details report (money)."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from connectors.sandbox import adyen_effects, currencies, identifiers
from connectors.sandbox.clock import whole_second
from connectors.sandbox.config import ADYEN, AdyenAccount
from connectors.sandbox.model import Booking, Payment, Refund, ReportFile

if TYPE_CHECKING:
    from connectors.sandbox.world import World

_RESERVED = tuple(f"Reserved{number}" for number in range(4, 11))

ACCOUNTING_COLUMNS = (
    "Company Account", "Merchant Account", "Psp Reference", "Merchant Reference", "Payment Method",
    "Payment Method Variant", "Booking Date", "TimeZone", "Record Type", "Modification Psp Reference", "Main Currency",
    "Main Amount", "Payment Currency", "Received (PC)", "Exchange Rate", "Authorised (PC)", "Captured (PC)",
    "Settlement Currency", "Payable (SC)", "Commission (SC)", "Markup (SC)", "Scheme Fees (SC)", "Interchange (SC)",
    "Processing Fee Currency", "Processing Fee (FC)", "Modification Merchant Reference", "Original Amount",
    "Merchant Order Reference", "Shopper Reference", "Reserved3", *_RESERVED,
)  # fmt: skip

SETTLEMENT_COLUMNS = (
    "Company Account", "Merchant Account", "Psp Reference", "Merchant Reference", "Payment Method", "Creation Date",
    "TimeZone", "Type", "Modification Reference", "Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)",
    "Exchange Rate", "Net Currency", "Net Debit (NC)", "Net Credit (NC)", "Commission (NC)", "Markup (NC)",
    "Scheme Fees (NC)", "Interchange (NC)", "Payment Method Variant", "Modification Merchant Reference",
    "Batch Number", *_RESERVED,
)  # fmt: skip

_MONEY_LEAVES = ("Refunded", "SentForRefund")
_FEE_MINOR = 10

Row = dict[str, str]


def write_reports(world: World, account: AdyenAccount) -> list[str]:
    """Write both reports over everything they have not reported yet; a header-only file is a quiet day."""
    return [write_accounting(world, account), publish(world, close_batch(world, account))]


def publish(world: World, file: ReportFile) -> str:
    """Let a report be downloaded, and announce it; its name."""
    world.reports[file.name] = file
    adyen_effects.emit(world, None, "REPORT_AVAILABLE", file.written_at, detail=file.name)
    return file.name


def _file(name: str, columns: Iterable[str], rows: Iterable[Row], now: dt.datetime) -> ReportFile:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return ReportFile(ADYEN, name, now, text.getvalue())


def _common(account: AdyenAccount, payment: Payment) -> Row:
    method, variant = identifiers.adyen_method(payment.brand or payment.method)
    return {
        "Company Account": account.company_account,
        "Merchant Account": account.merchant_account,
        "Psp Reference": payment.payment_id,
        "Merchant Reference": payment.order_id,
        "Payment Method": method,
        "Payment Method Variant": variant,
    }


def _local(account: AdyenAccount, at: dt.datetime) -> tuple[str, str]:
    """Date and zone abbreviation, as the account's reports write them."""
    local = at.astimezone(ZoneInfo(account.zone))
    return local.strftime("%Y-%m-%d %H:%M:%S"), local.tzname() or ""


def _adyen_refunds(world: World) -> Iterator[tuple[Refund, Payment]]:
    for refund in world.refunds.values():
        if refund.processor == ADYEN:
            yield refund, world.payments[refund.payment_id]


# Payment accounting: what was booked when.


def write_accounting(world: World, account: AdyenAccount) -> str:
    """The payment accounting report over everything it has not reported yet, published; its name."""
    now = whole_second(world.now())
    name = _accounting_name(world, account, now)
    unreported = [
        (booking, refund, payment)
        for refund, payment in _adyen_refunds(world)
        for booking in refund.bookings
        if not booking.accounting_report
    ]
    unreported.sort(key=lambda entry: (entry[0].at, entry[1].number))
    rows = [_accounting_row(account, *entry) for entry in unreported]
    for booking, _, _ in unreported:
        booking.accounting_report = name
    return publish(world, _file(name, ACCOUNTING_COLUMNS, rows, now))


def _accounting_name(world: World, account: AdyenAccount, now: dt.datetime) -> str:
    """One a day has the day's name; any further one is numbered."""
    day = now.astimezone(ZoneInfo(account.zone)).strftime("%Y_%m_%d")
    base = f"payments_accounting_report_{day}"
    name, count = f"{base}.csv", 1
    while name in world.reports:
        count += 1
        name = f"{base}_{count}.csv"
    return name


def _accounting_row(account: AdyenAccount, booking: Booking, refund: Refund, payment: Payment) -> Row:
    date, zone = _local(account, booking.at)
    sign = -1 if booking.record_type in _MONEY_LEAVES else 1
    settled = currencies.settle(ADYEN, sign * refund.amount_minor, refund.currency)
    return {
        **_common(account, payment),
        "Booking Date": date,
        "TimeZone": zone,
        "Record Type": booking.record_type,
        "Modification Psp Reference": refund.refund_id,
        "Main Currency": refund.currency,
        "Main Amount": currencies.major(ADYEN, sign * refund.amount_minor, refund.currency),
        "Payment Currency": refund.currency,
        "Settlement Currency": settled.currency,
        "Modification Merchant Reference": refund.merchant_refund_id,
        "Merchant Order Reference": payment.order_id,
    }


# Settlement details: what money moved in a payout batch.


def close_batch(world: World, account: AdyenAccount, *, payout_off_by: int = 0) -> ReportFile:
    """The settlement detail report of the next batch, not published yet. `payout_off_by` is how many minor units its
    first payout is more than what the lines add up to."""
    now = whole_second(world.now())
    world.batches += 1
    rows = [*_settled_rows(world, account), *_refund_rows(world, account)]
    if rows:
        rows += _closing_rows(rows, account, world.batches, now, payout_off_by)
    for row in rows:
        row["Batch Number"] = str(world.batches)
    return _file(f"settlement_detail_report_batch_{world.batches}.csv", SETTLEMENT_COLUMNS, rows, now)


def payouts_of(file: ReportFile) -> list[tuple[str, str, int]]:
    """Batch, currency and minor units of each payout in a settlement detail report."""
    return [
        (row["Batch Number"], row["Net Currency"], _minor(row["Net Debit (NC)"]))
        for row in csv.DictReader(io.StringIO(file.content))
        if row["Type"] == "MerchantPayout"
    ]


def _settled_rows(world: World, account: AdyenAccount) -> Iterator[Row]:
    for payment in world.payments.values():
        if payment.processor == ADYEN and payment.captured and not payment.batch:
            payment.batch = world.batches
            capture = identifiers.psp_reference(identifiers.seeded(world.seed, "capture", payment.number))
            row = _settlement_row(account, payment, payment.created_at, "Settled", capture, payment.amount_minor)
            row["Interchange (NC)"] = currencies.major(ADYEN, _FEE_MINOR, row["Net Currency"])
            settled = currencies.settle(ADYEN, payment.amount_minor, payment.currency)
            net = max(settled.minor_amount - _FEE_MINOR, 0)
            row["Net Credit (NC)"] = currencies.major(ADYEN, net, settled.currency)
            yield row


def _refund_rows(world: World, account: AdyenAccount) -> Iterator[Row]:
    for refund, payment in _adyen_refunds(world):
        for booking in refund.bookings:
            if booking.record_type not in ("Refunded", "RefundedReversed") or booking.batch:
                continue
            booking.batch = world.batches
            amount = refund.amount_minor * (-1 if booking.record_type == "Refunded" else 1)
            row = _settlement_row(account, payment, booking.at, booking.record_type, refund.refund_id, amount)
            row["Modification Merchant Reference"] = refund.merchant_refund_id
            yield row


def _settlement_row(
    account: AdyenAccount, payment: Payment, at: dt.datetime, kind: str, reference: str, signed_minor: int
) -> Row:
    """A row of either direction: money that leaves the merchant is a debit, money that comes a credit."""
    date, zone = _local(account, at)
    side = "Credit" if signed_minor > 0 else "Debit"
    settled = currencies.settle(ADYEN, abs(signed_minor), payment.currency)
    return {
        **_common(account, payment),
        "Creation Date": date,
        "TimeZone": zone,
        "Type": kind,
        "Modification Reference": reference,
        "Gross Currency": payment.currency,
        f"Gross {side} (GC)": currencies.major(ADYEN, abs(signed_minor), payment.currency),
        "Exchange Rate": "1" if settled.rate is None else str(settled.rate),
        "Net Currency": settled.currency,
        f"Net {side} (NC)": currencies.major(ADYEN, settled.minor_amount, settled.currency),
    }


def _closing_rows(
    rows: list[Row], account: AdyenAccount, batch: int, now: dt.datetime, payout_off_by: int
) -> list[Row]:
    """A fee and a payout per currency, so that the batch comes to zero."""
    date, zone = _local(account, now)
    totals: dict[str, int] = {}
    for row in rows:
        net = _minor(row.get("Net Credit (NC)", "")) - _minor(row.get("Net Debit (NC)", ""))
        totals[row["Net Currency"]] = totals.get(row["Net Currency"], 0) + net
    common = {"Company Account": account.company_account, "Merchant Account": account.merchant_account}
    closing = []
    for number, (currency, total) in enumerate(sorted(totals.items())):
        base = {**common, "Creation Date": date, "TimeZone": zone, "Net Currency": currency}
        fee = currencies.major(ADYEN, _FEE_MINOR, currency)
        title = f"Transaction Fees {now:%B %Y}"
        closing.append({**base, "Type": "Fee", "Modification Reference": title, "Net Debit (NC)": fee})
        paid = total - _FEE_MINOR
        if paid > 0:
            paid, payout_off_by = paid + payout_off_by, 0
        side = "Debit" if paid > 0 else "Credit"
        text = f"TX{batch:07d}{number:03d}XT batch {batch}, {account.merchant_account}"
        payout = {**base, "Type": "MerchantPayout" if paid > 0 else "Balancetransfer", "Modification Reference": text}
        closing.append({**payout, f"Net {side} (NC)": currencies.major(ADYEN, abs(paid), currency)})
    return closing


def _minor(text: str) -> int:
    """The settlement currencies all have two decimals."""
    return int(text.replace(".", "")) if text else 0
