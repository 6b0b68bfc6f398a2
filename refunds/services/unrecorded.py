"""Refunds that cannot be recorded: remembered, told, and asked about again until they can be.

A row of ours that a trigger protects, or a bug that one refund brings out: it stops nothing else, and is not lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import structlog
from django.db import DatabaseError, transaction
from django.db.models.functions import Coalesce
from django.utils import timezone

from connectors.contract import RefundReference
from connectors.models import ConnectorAccount
from refunds import polling
from refunds.facts import Source
from refunds.models import Alert, AlertKind, Refund, Sighting

log = structlog.get_logger(__name__)

NOT_RECORDED = "not_recorded"
"""The `last_answer` of a refund whose answer could not be recorded."""


def remember(account: ConnectorAccount, reference: RefundReference, error: Exception, *, source: Source) -> None:
    """What was just said of this refund could not be recorded: tell somebody, and ask again until it can be."""
    refund = reference.connector_refund_id
    log.error("refund_not_recorded", account=account.name, refund=refund, source=source.value, exc_info=error)
    reason = f"{type(error).__name__}: {error}".replace("\0", " ")[:300]
    with transaction.atomic(durable=True):
        _keep(account, reference, reason)
        number = Sighting.objects.filter(account=account).exclude(not_recorded="").count()
        Alert.open(
            AlertKind.REFUND_NOT_RECORDED,
            subject=account.name,
            account_id=account.pk,
            message=f"{number} refunds of {account.name} cannot be recorded, the latest {refund} ({source.value}): "
            f"{reason}. Everything else goes on. Mend what it stumbles over: {_what_then(account)}",
        )
    # What refuses its observations may refuse this too.
    with suppress(DatabaseError), transaction.atomic(durable=True):
        known = Refund.objects.filter(account=account, connector_refund_id=refund)
        known.update(last_answer=NOT_RECORDED, last_answer_at=timezone.now())


def settle(account: ConnectorAccount, refunds: Iterable[str]) -> None:
    """What the processor answered just now of these refunds is recorded; within the caller's transaction."""
    unrecorded = Sighting.objects.filter(account=account).exclude(not_recorded="")
    settled, _ = unrecorded.filter(connector_refund_id__in=list(refunds)).delete()
    if settled and not unrecorded.exists():
        Alert.close(AlertKind.REFUND_NOT_RECORDED, subject=account.name)


def _keep(account: ConnectorAccount, reference: RefundReference, reason: str) -> None:
    now = timezone.now()
    soon = now + polling.PENDING_DELAYS[0] if account.connector_class.supports("get_refund") else None
    fresh = Sighting(
        account=account,
        connector_refund_id=reference.connector_refund_id,
        connector_transaction_id=reference.connector_transaction_id[:255],
        seen_at=now,
    )
    Sighting.objects.bulk_create([fresh], ignore_conflicts=True)
    kept = Sighting.objects.filter(account=account, connector_refund_id=reference.connector_refund_id)
    kept.update(not_recorded=reason, next_poll_at=Coalesce("next_poll_at", soon))


def _what_then(account: ConnectorAccount) -> str:
    if account.connector_class.supports("get_refund"):
        return "the refund is asked about again by itself, and the alert closes when all of them are recorded."
    return "then close the alert."
