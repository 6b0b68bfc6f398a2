"""Get: ask the processor about one refund now, or answer with the best evidence we hold and say so."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from connectors.contract import (
    Answer,
    ConnectorError,
    Fact,
    RefundNotFound,
    RefundReference,
    Unavailable,
    UnknownStatus,
)
from connectors.models import ConnectorAccount
from refunds.facts import Source, Standing
from refunds.models import AccountPolling, Refund
from refunds.services.asking import PERSON_SECONDS, ask_for_person
from refunds.services.items import Item, item_of_answer
from refunds.services.recording import record
from refunds.services.unrecorded import settle

ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a question came to.

    `answer` is "answered" or the code of the ConnectorError; `live` says whether the processor itself answered just
    now; `refund` is None where neither it nor we know the refund; `message` is a sentence for people.
    """

    refund: Refund | None
    live: bool
    answer: str
    message: str
    retry_after_seconds: float | None = None


def sync_refund(refund: Refund, *, within_seconds: float = PERSON_SECONDS) -> SyncResult:
    """Ask about a refund we know. A failed question changes no state; it is remembered as `last_answer`."""
    return _sync(refund.account, refund.reference, refund, within_seconds)


def get_refund(
    account: ConnectorAccount, connector_refund_id: str, *, live: bool, connector_transaction_id: str = ""
) -> SyncResult:
    """Find a refund by the processor's id, asking the processor where `live`; also one we have never seen."""
    known = Refund.objects.filter(account=account, connector_refund_id=connector_refund_id).first()
    if live:
        reference = known.reference if known else RefundReference(connector_refund_id, connector_transaction_id)
        return _sync(account, reference, known)
    if known is None:
        return SyncResult(None, False, RefundNotFound.code, "We hold no evidence of this refund.")
    return SyncResult(known, False, "stored", "From what we hold; the processor was not asked.")


def _sync(
    account: ConnectorAccount, reference: RefundReference, known: Refund | None, within_seconds: float = PERSON_SECONDS
) -> SyncResult:
    if not account.connector_class.supports("get_refund"):
        label = account.connector_class.label
        found = "this is the best evidence we hold" if known else "and it has told us nothing of this one"
        return SyncResult(known, False, "not_supported", f"{label} has no call that retrieves a refund; {found}.")
    AccountPolling.of(account).take_permits(1, per_second=account.requests_per_second, person=True)
    result = ask_for_person(
        account, lambda connector: connector.get_refund(reference), flow="get", within_seconds=within_seconds
    )
    if isinstance(result, ConnectorError):
        return _not_answered(known, result)
    return _answered(account, known, result)


def _answered(account: ConnectorAccount, known: Refund | None, answer: Answer[Fact]) -> SyncResult:
    item = item_of_answer(answer.value, answer, account_id=account.pk, source=Source.GET)
    with transaction.atomic(durable=True):
        recorded = record([item])
        settle(account, [item.connector_refund_id])
    refund_id = recorded.refund_ids[account.pk, item.connector_refund_id]
    code = ANSWERED if answer.value.stage is not None else UnknownStatus.code
    Refund.objects.filter(pk=refund_id).update(last_answer=code, last_answer_at=answer.received_at)
    refund = Refund.objects.select_related("account").get(pk=refund_id)
    return SyncResult(refund, True, code, _said(refund, item))


def _said(refund: Refund, item: Item) -> str:
    """What the answer came to, in a sentence."""
    label, word = refund.account.connector_class.label, item.observed.native_status
    if item.observed.standing is Standing.UNRECOGNIZED:
        return f"{label} answered {word!r}, a word we do not know; the state was kept."
    if item.observed.standing is Standing.HELD:
        return f"{label} answered {word!r} and dates it ahead of our clock; it is asked again when that time has come."
    if refund.native_status != word and refund.as_of is not None:
        return (
            f"{label} answered {word!r} just now, but the {refund.source} as of {refund.as_of:%H:%M:%S} UTC says "
            "otherwise and is newer; it is asked again shortly."
        )
    return f"{label} answered just now."


def _not_answered(known: Refund | None, error: ConnectorError) -> SyncResult:
    if known is not None:
        known.last_answer, known.last_answer_at = error.code, timezone.now()
        known.save(update_fields=["last_answer", "last_answer_at"])
    wait = error.retry_after_seconds if isinstance(error, Unavailable) else None
    return SyncResult(known, False, error.code, f"{error}.", wait)
