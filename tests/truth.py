"""Our refunds held against the sandbox's truth, for every test that lets the whole house run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from connectors.sandbox.truth import TruthRecord
from refunds.models import Refund


def shown(refund: Refund) -> dict[str, Any]:
    return {
        "stage": refund.stage_word,
        "status": refund.status,
        "amount": (refund.processor_minor_amount, refund.processor_currency),
        "payment": True,
        "returned": refund.returned_after_success,
        "registered": refund.registered,
    }


def true(record: TruthRecord, refund: Refund) -> dict[str, Any]:
    return {
        "stage": record.stage,
        "status": record.status,
        "amount": (record.amount_minor, record.currency),
        "payment": record.payment_id in (refund.connector_transaction_id, refund.other_transaction_id),
        "returned": record.returned_after_success,
        "registered": record.registered,
    }


def differences(records: Iterable[TruthRecord]) -> list[str]:
    """Every refund whose shown state is not the true one, told apart."""
    ours = {refund.connector_refund_id: refund for refund in Refund.objects.all()}
    found = []
    for record in records:
        refund = ours.pop(record.refund_id, None)
        if refund is None:
            found.append(f"{record.refund_id} ({record.life}): missing")
        elif shown(refund) != true(record, refund):
            found.append(f"{record.refund_id} ({record.life}): shown {shown(refund)}, true {true(record, refund)}")
    return found + [f"{refund_id}: invented" for refund_id in ours]
