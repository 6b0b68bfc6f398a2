"""Stripe's payout reconciliation report (itemized): every line of every payout, in major units, as a file."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from connectors.sandbox import currencies
from connectors.sandbox.config import STRIPE
from connectors.sandbox.model import Payment, Transaction

if TYPE_CHECKING:
    from connectors.sandbox.world import World

COLUMNS = (
    "automatic_payout_id", "automatic_payout_effective_at_utc", "automatic_payout_effective_at",
    "balance_transaction_id", "created_utc", "created", "available_on_utc", "available_on", "currency", "gross", "fee",
    "net", "reporting_category", "source_id", "description", "customer_facing_amount", "customer_facing_currency",
    "customer_email", "customer_name", "charge_id", "payment_intent_id", "payment_method_type", "card_brand",
    "refund_metadata[merchant_refund_id]", "payment_metadata[merchant_order_id]",
)  # fmt: skip

_SIGNS = {"refund": -1, "refund_failure": 1}


def payout_reconciliation(world: World, payout_ids: Iterable[str] = ()) -> str:
    """The report over these payouts, or over all there were; those not paid out yet are in none."""
    wanted = set(payout_ids) or set(world.payouts)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    lines = [line for line in world.transactions.values() if line.payout_id in wanted]
    lines.sort(key=lambda line: (world.payouts[line.payout_id].number, line.number))
    writer.writerows(_row(world, line) for line in lines for _ in range(2 if line.repeated else 1))
    return text.getvalue()


def _row(world: World, line: Transaction) -> dict[str, str]:
    payout = world.payouts[line.payout_id]
    times = {
        "automatic_payout_effective_at": payout.created_at,
        "created": line.created_at,
        "available_on": line.available_at,
    }
    amounts = {"gross": line.amount_minor, "fee": line.fee_minor, "net": line.amount_minor - line.fee_minor}
    return {
        "automatic_payout_id": line.payout_id,
        "balance_transaction_id": line.transaction_id,
        **{name: _text(at) for name, at in times.items()},
        **{f"{name}_utc": _text(at) for name, at in times.items()},
        "currency": line.currency.lower(),
        **{name: currencies.major(STRIPE, amount, line.currency) for name, amount in amounts.items()},
        "reporting_category": line.reporting_category,
        "source_id": line.source,
        **_about_payment(world, line),
    }


def _about_payment(world: World, line: Transaction) -> dict[str, str]:
    """What the customer sees: the amount in the payment's own currency."""
    refund = world.refunds.get(line.source)
    payment = world.payments.get(refund.payment_id if refund else line.source)
    if payment is None:
        return {}
    amount = payment.amount_minor
    if refund:
        amount = _SIGNS[line.reporting_category] * (refund.amount_minor - line.customer_less)
    shown = _common(payment) | {
        "customer_facing_amount": currencies.major(STRIPE, amount, payment.currency),
        "customer_facing_currency": payment.currency.lower(),
    }
    return shown | ({"refund_metadata[merchant_refund_id]": refund.merchant_refund_id} if refund else {})


def _common(payment: Payment) -> dict[str, str]:
    return {
        "customer_email": payment.customer.email,
        "customer_name": payment.customer.name,
        "charge_id": payment.payment_id,
        "payment_intent_id": payment.intent_id,
        "payment_method_type": payment.method,
        "card_brand": payment.brand if payment.method == "card" else "",
        "payment_metadata[merchant_order_id]": payment.order_id,
    }


def _text(at: dt.datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S")
