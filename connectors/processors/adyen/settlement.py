"""Pure: the rows of Adyen's settlement detail report, one file a payout batch.

Source: docs.adyen.com/reporting/settlement-detail-report. A refund is known by its Modification Reference; the Psp
Reference beside it is the payment's, and one payment may have many refunds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from connectors.contract import Fact, Money, Movement, OddCell, OtherRow, ReportItem, Row, Scope, SettlementLine
from connectors.processors.adyen import rows

REQUIRED = (
    "Merchant Account",
    "Psp Reference",
    "Creation Date",
    "TimeZone",
    "Type",
    "Modification Reference",
    "Gross Currency",
    "Gross Debit (GC)",
    "Gross Credit (GC)",
    "Net Currency",
    "Net Debit (NC)",
    "Net Credit (NC)",
    "Batch Number",
)

_MOVEMENTS: Mapping[str, Movement] = {
    "Refunded": Movement.REFUND,
    "RefundedExternally": Movement.REFUND,
    "RefundedReversed": Movement.RETURN,
    "MerchantPayout": Movement.PAYOUT,
}
_FEES = ("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)")

# What makes a row what it is. None of these columns can be dropped from the report, so a file with other columns gives
# the same id; a refund that is paid, comes back and is paid again differs by its date.
_IDENTITY = (
    "Type", "Modification Reference", "Psp Reference", "Creation Date", "Gross Currency",
    "Gross Debit (GC)", "Gross Credit (GC)", "Net Currency", "Net Debit (NC)", "Net Credit (NC)",
)  # fmt: skip


def read(row: Row, word: str) -> ReportItem:
    movement = _MOVEMENTS.get(word, Movement.OTHER)
    fact = _unknown_word(row, word)
    if movement is Movement.OTHER and not row["Net Currency"]:
        # It moved nothing: there is nothing to count.
        return fact or OtherRow(Scope(row["Merchant Account"]))
    if movement in (Movement.REFUND, Movement.RETURN):
        return _about_refund(row, word, movement)
    return SettlementLine(
        line_id=_line_id(row),
        id_is_made_up=True,
        movement=movement,
        net=_net(row),
        booked_at=rows.booked_at(row),
        scope=Scope(rows.merchant_account(row)),
        payout_id=_batch(row),
        payout_at=rows.booked_at(row) if movement is Movement.PAYOUT else None,
        fact=fact,
    )


def _unknown_word(row: Row, word: str) -> Fact | None:
    """Whether it moved money out or in cannot be told, so no amount goes with it."""
    if not rows.is_unknown_refund_word(word):
        return None
    return Fact(**rows.about_refund(row, word, refund="Modification Reference"), occurred_at=rows.booked_at(row))


def _about_refund(row: Row, word: str, movement: Movement) -> SettlementLine:
    if not (row["Gross Debit (GC)"] or row["Gross Credit (GC)"]):
        raise OddCell("Gross Debit (GC)", f"a {word} row has its amount here or in Gross Credit (GC)")
    amount, came_in = rows.sided(row, "Gross Debit (GC)", "Gross Credit (GC)", "Gross Currency")
    said, booked_at, net = rows.about_refund(row, word, refund="Modification Reference"), rows.booked_at(row), _net(row)
    fee = sum(rows.money(row, column, "Net Currency").minor_amount for column in _FEES)
    return SettlementLine(
        line_id=_line_id(row),
        id_is_made_up=True,
        movement=movement,
        net=net,
        booked_at=booked_at,
        scope=said["scope"],
        payout_id=_batch(row),
        gross=Money(net.minor_amount + fee, net.currency),
        fee=Money(fee, net.currency),
        amount=amount,
        credit=came_in,
        exchange_rate=_rate(row),
        connector_refund_id=said["connector_refund_id"],
        connector_transaction_id=said["connector_transaction_id"],
        merchant_refund_id=said["merchant_refund_id"],
        merchant_order_id=said["merchant_order_id"],
        acquirer_reference_number=said["acquirer_reference_number"],
        fact=Fact(**said, occurred_at=booked_at, amount=amount),
    )


def _net(row: Row) -> Money:
    net, came_in = rows.sided(row, "Net Debit (NC)", "Net Credit (NC)", "Net Currency")
    return net if came_in else Money(-net.minor_amount, net.currency)


def _batch(row: Row) -> str:
    found = row["Batch Number"]
    if not (found.isascii() and found.isdigit() and len(found) <= 18):
        raise OddCell("Batch Number", "the batch number is missing, or no number")
    return str(int(found))


def _line_id(row: Row) -> str:
    """Adyen's rows have no id of their own: the batch, and a digest of what makes the row what it is."""
    said = "\x1f".join([row[column] for column in _IDENTITY])
    return f"{_batch(row)}:{hashlib.blake2b(said.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


def _rate(row: Row) -> Decimal | None:
    """What one unit of the payment's currency became; empty, or 1, where nothing was converted."""
    if not row["Exchange Rate"] or row["Gross Currency"] == row["Net Currency"]:
        return None
    try:
        rate = Decimal(row["Exchange Rate"])
    except InvalidOperation:
        raise OddCell("Exchange Rate", "this is no rate such as 1.0842") from None
    if not (rate.is_finite() and 0 < rate < 10**10):
        raise OddCell("Exchange Rate", "this is no rate such as 1.0842")
    return round(rate, 10)
