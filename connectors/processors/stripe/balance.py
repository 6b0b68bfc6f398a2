"""Pure: Stripe's balance transactions, read for what became of refunds' money.

Sources, below docs.stripe.com: /api/balance_transactions, /reports/balance-transaction-types,
/reports/reporting-categories. The objects do not say which payout they were part of; the payout reconciliation report
does.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from connectors.contract import (
    MalformedAnswer,
    Money,
    Movement,
    SettlementLine,
    read_object,
    read_text,
    read_unix_time,
)
from connectors.money import MoneyError, is_currency, minor_amount
from connectors.processors.stripe.objects import id_of, refund_fact
from connectors.processors.stripe.reports import MOVEMENTS

# /reports/balance-transaction-types: under which types refunds and failed refunds are booked. Listing by type leaves
# out the charges, of which there are many times more; the category then says which of them are refunds.
TYPES = ("refund", "payment_refund", "refund_failure", "payment_failure_refund", "payment_reversal", "adjustment")


def refund_lines(wire: object) -> list[SettlementLine]:
    """The line of a balance transaction about a refund; none for those about other things."""
    line = _line(read_object(wire))
    return [] if line is None else [line]


def _line(wire: Mapping[str, Any]) -> SettlementLine | None:
    if wire.get("object", "balance_transaction") != "balance_transaction":
        raise MalformedAnswer("not a balance transaction")
    movement = MOVEMENTS.get(read_text(wire.get("reporting_category"), longest=120))
    if movement not in (Movement.REFUND, Movement.RETURN):
        return None
    gross, fee, net = (_money(wire, name) for name in ("amount", "fee", "net"))
    line_id, booked_at = read_text(wire.get("id"), longest=240), read_unix_time(wire.get("created"))
    if not line_id or booked_at is None:
        raise MalformedAnswer("a balance transaction without an id or a time")
    if gross.minor_amount - fee.minor_amount != net.minor_amount:
        raise MalformedAnswer("the net is not the amount less the fee")
    rate = _rate(wire.get("exchange_rate"))
    return SettlementLine(
        line_id=line_id,
        movement=movement,
        net=net,
        booked_at=booked_at,
        gross=gross,
        fee=fee,
        credit=gross.minor_amount > 0,
        exchange_rate=rate,
        **_about_refund(wire.get("source"), gross, converted=rate is not None),
    )


def _about_refund(source: object, gross: Money, *, converted: bool) -> dict[str, Any]:
    """What the refund says of itself, where it came whole (expand[]=data.source); else its id must do."""
    if isinstance(source, dict):
        fact = refund_fact(source)
        return {
            "connector_refund_id": fact.connector_refund_id,
            "amount": fact.amount,
            "connector_transaction_id": fact.connector_transaction_id,
            "merchant_refund_id": fact.merchant_refund_id,
            "merchant_order_id": fact.merchant_order_id,
            "acquirer_reference_number": fact.acquirer_reference_number,
        }
    refund_id = id_of(source)
    if not refund_id:
        raise MalformedAnswer("a balance transaction that does not say which refund it is about")
    if converted:
        raise MalformedAnswer("a converted refund that does not say what it was in its own currency")
    return {"connector_refund_id": refund_id, "amount": Money(abs(gross.minor_amount), gross.currency)}


def _money(wire: Mapping[str, Any], name: str) -> Money:
    currency = read_text(wire.get("currency")).upper()
    if not is_currency(currency):
        raise MalformedAnswer("the balance transaction's currency is not an ISO 4217 code")
    try:
        return Money(minor_amount(wire.get(name)), currency)
    except MoneyError as error:
        raise MalformedAnswer(f"the balance transaction's {name} {error}") from error


def _rate(value: object) -> Decimal | None:
    """A JSON number; the same currency, 1, is no conversion."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 < value < 10**10:
        raise MalformedAnswer("the exchange rate is no positive number")
    return None if value == 1 else round(Decimal(value), 10)
