"""Registration: our own side says which refunds it asked for. A claim, not evidence."""

from __future__ import annotations

import datetime as dt
import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from connectors.contract import Money, Stage, Status
from connectors.models import ConnectorAccount
from refunds import facts, polling, sql
from refunds.facts import CLAIM_KEY, OWN_NAME_KEY
from refunds.models import OutboxEvent, Refund, Sighting
from refunds.services import rows
from refunds.services.inserts import create_unseen
from refunds.services.settling import show_settlement

OWN_NAMES = ("merchant_refund_id", "merchant_order_id")
OTHER_CLAIMS = ("connector_transaction_id", "reason", "payment_method")
_CLAIMED_STAGES = {Status.SUCCEEDED: Stage.SUCCEEDED, Status.FAILED: Stage.FAILED}
_WRITTEN = {
    "id": "bigint",
    "connector_transaction_id": "text",
    "merchant_refund_id": "text",
    "merchant_order_id": "text",
    "reason": "text",
    "payment_method": "text",
    "card_brand": "text",
    "card_last4": "text",
    "claimed_minor_amount": "bigint",
    "claimed_currency": "text",
    "claimed_status": "text",
    "payment_minor_amount": "bigint",
    "payment_currency": "text",
    "sealed_customer": "bytea",
    "customer_email_hash": "text",
    "customer_language": "text",
    "metadata": "jsonb",
    "requested_at": "timestamptz",
    "registered_at": "timestamptz",
    "created_at": "timestamptz",
    "attribute_keys": "jsonb",
    "stage": "smallint",
    "status": "text",
    "next_poll_at": "timestamptz",
    "updated_at": "timestamptz",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What the initiating service says of one refund. Amounts in the processor's minor units."""

    connector_refund_id: str
    amount: Money
    connector_transaction_id: str = ""
    merchant_refund_id: str = ""
    merchant_order_id: str = ""
    payment_amount: Money | None = None
    reason: str = ""
    payment_method: str = ""
    card_brand: str = ""
    card_last4: str = ""
    customer: Mapping[str, str] = field(default_factory=dict)
    requested_at: dt.datetime | None = None
    status: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Outcome(enum.StrEnum):
    CREATED = "created"
    KNOWN = "known"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of one registration; `message` says what conflicts."""

    outcome: Outcome
    refund: Refund
    message: str = ""


def register_refunds(account: ConnectorAccount, registrations: Sequence[Registration]) -> list[Registered]:
    """Register refunds of one account; a result for each, in their order. Saying the same twice changes nothing.

    A refund that a processor told us of before is taken up by its registration; only an earlier *registration* with
    another amount or currency is a conflict. A difference from the processor's amount is kept, to be reconciled.
    """
    ids = sorted({registration.connector_refund_id for registration in registrations})
    with transaction.atomic(durable=True):
        if create_unseen([(account.pk, refund_id) for refund_id in ids], now=timezone.now()):
            show_settlement([(account.pk, refund_id) for refund_id in ids])
        found = Refund.objects.filter(account=account, connector_refund_id__in=ids)
        by_id = {r.connector_refund_id: r for r in found.order_by("id").select_for_update(no_key=True)}
        claimed: list[Refund] = []
        results = [_register(by_id[r.connector_refund_id], r, account, claimed) for r in registrations]
        sql.update_by_id("refunds_refund", _WRITTEN, [_written(refund) for refund in claimed])
        OutboxEvent.objects.bulk_create([_announced(r) for r in claimed if r.winning_key == CLAIM_KEY])
        Sighting.objects.filter(account=account, connector_refund_id__in=ids, not_recorded="").delete()
    return results


def _written(refund: Refund) -> list[Any]:
    return [
        json.dumps(getattr(refund, name)) if kind == "jsonb" else getattr(refund, name)
        for name, kind in _WRITTEN.items()
    ]


def _announced(refund: Refund) -> OutboxEvent:
    return OutboxEvent(
        refund=refund, winning_key=CLAIM_KEY, stage=refund.stage, status=refund.status, as_of=timezone.now()
    )


def _register(
    refund: Refund, registration: Registration, account: ConnectorAccount, claimed: list[Refund]
) -> Registered:
    refund.account = account
    if refund.registered_at is None:
        _claim(refund, registration, account)
        claimed.append(refund)
        return Registered(Outcome.CREATED, refund)
    before = (refund.claimed_minor_amount, refund.claimed_currency)
    now = (registration.amount.minor_amount, registration.amount.currency)
    if before != now:
        message = f"was registered with {before[0]} {before[1]} (minor units) before, now with {now[0]} {now[1]}"
        return Registered(Outcome.CONFLICT, refund, message)
    return Registered(Outcome.KNOWN, refund)


def _claim(refund: Refund, registration: Registration, account: ConnectorAccount) -> None:
    now = timezone.now()
    keys = rows.unpack_keys(refund.attribute_keys)
    for name in OWN_NAMES:
        _claim_attribute(refund, keys, name, getattr(registration, name), key=OWN_NAME_KEY)
    for name in OTHER_CLAIMS:
        _claim_attribute(refund, keys, name, getattr(registration, name), key=CLAIM_KEY)
    _claim_attribute(refund, keys, "created_at", registration.requested_at, key=CLAIM_KEY)
    refund.attribute_keys = rows.pack_keys(keys)
    refund.claimed_minor_amount = registration.amount.minor_amount
    refund.claimed_currency = registration.amount.currency
    refund.claimed_status = registration.status
    if registration.payment_amount is not None:
        refund.payment_minor_amount = registration.payment_amount.minor_amount
        refund.payment_currency = registration.payment_amount.currency
    refund.card_brand, refund.card_last4 = registration.card_brand, registration.card_last4
    refund.customer = dict(registration.customer)
    refund.metadata = dict(registration.metadata)
    refund.requested_at = registration.requested_at
    refund.registered_at = refund.updated_at = now
    if refund.winning_key == CLAIM_KEY:
        _show_claim(refund, registration, account, now)


def _claim_attribute(refund: Refund, keys: dict[str, str], name: str, value: Any, *, key: str) -> None:
    if value and key >= keys.get(name, ""):
        setattr(refund, name, value)
        keys[name] = key


def _show_claim(refund: Refund, registration: Registration, account: ConnectorAccount, now: dt.datetime) -> None:
    """Nobody but our own side has said anything yet: show that, and ask the processor soon."""
    stage = claimed_stage(registration.status)
    refund.stage = stage.value
    refund.status = facts.project(stage, accepted_is_success=account.accepted_is_success).value
    wait = polling.next_poll(Status.PENDING, connector=account.connector_class, age=dt.timedelta(0), polls_done=0)
    refund.next_poll_at = None if wait is None else now + (dt.timedelta(0) if registration.status else wait)


def claimed_stage(status: str) -> Stage:
    """The stage that is shown while nobody but our own side, which said `status` or nothing, has spoken."""
    return _CLAIMED_STAGES.get(Status(status), Stage.REQUESTED) if status else Stage.REQUESTED
