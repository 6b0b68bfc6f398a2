"""Whom an ambiguous line or entry could mean: the same keys as the ladder's, asked one row at a time by index."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from django.db.models import Q, QuerySet

from connectors.contract import Status
from refunds.models import Refund
from refunds.reconciliation.codes import Code
from refunds.reconciliation.deciding.pairs import Pair, verdicts_of
from refunds.reconciliation.ladder import ARN_WITHIN, ORDER_AFTER, ORDER_BEFORE, Pass
from refunds.reconciliation.models import Break, LedgerEntry, PairDecision, SettledLine

MOST = 20
"""Candidates shown of one; more of them are no help to anybody."""
Seeker = SettledLine | LedgerEntry


@dataclass(frozen=True, slots=True)
class Candidate:
    """One refund it could be. `said` is what somebody has decided of it before."""

    pair: Pair
    refund: Refund
    by: Pass
    said: PairDecision | None

    @property
    def is_free(self) -> bool:
        return self.said is None


def candidates_of(found: Break) -> list[Candidate]:
    """Of an ambiguous break (B42), by the first key that names any; empty for every other."""
    if found.code != Code.AMBIGUOUS:
        return []
    seeker = _seeker(found)
    if seeker is None:
        return []
    for rung, refunds in _rungs(seeker):
        alike = list(islice((refund for refund in refunds if _currency(refund) == seeker.currency), MOST))
        if alike:
            pairs = [_pair(found, refund) for refund in alike]
            said = verdicts_of(pairs)
            return [
                Candidate(pair, refund, rung, said.get(pair.name)) for pair, refund in zip(pairs, alike, strict=True)
            ]
    return []


def _seeker(found: Break) -> Seeker | None:
    if found.line_id is not None:
        return SettledLine.objects.filter(pk=found.line_id).first()
    return LedgerEntry.objects.filter(pk=found.entry_id).first() if found.entry_id is not None else None


def _pair(found: Break, refund: Refund) -> Pair:
    if found.line_id is not None:
        return Pair(account_id=found.account_id, refund_id=refund.pk, line_id=found.line_id)
    return Pair(account_id=found.account_id, refund_id=refund.pk, entry_id=found.entry_id)


def _rungs(seeker: Seeker) -> Iterator[tuple[Pass, list[Refund]]]:
    theirs = Refund.objects.filter(account_id=seeker.account_id).select_related("account").order_by("id")
    if seeker.merchant_refund_id:
        yield Pass.BY_OWN_REFERENCE, list(theirs.filter(merchant_refund_id=seeker.merchant_refund_id)[: MOST * 5])
    if seeker.acquirer_reference_number:
        by_arn = theirs.filter(acquirer_reference_number=seeker.acquirer_reference_number)
        yield Pass.BY_ARN, _near(by_arn, seeker.booked_at, ARN_WITHIN, ARN_WITHIN)
    if payment := seeker.connector_transaction_id:
        by_payment = theirs.filter(Q(connector_transaction_id=payment) | Q(other_transaction_id=payment))
        yield Pass.BY_PAYMENT, _of_amount(list(by_payment[: MOST * 5]), seeker)
    if seeker.merchant_order_id:
        before, after = ORDER_BEFORE, ORDER_AFTER
        if isinstance(seeker, SettledLine):
            before, after = after, before
        by_order = theirs.filter(merchant_order_id=seeker.merchant_order_id)
        yield Pass.BY_ORDER, _of_amount(_near(by_order, seeker.booked_at, before, after), seeker)


def _near(refunds: QuerySet[Refund], at: dt.datetime, before: dt.timedelta, after: dt.timedelta) -> list[Refund]:
    """Made at most so long before, or after, the moment something was booked at."""
    return [refund for refund in refunds[: MOST * 5] if at - before <= refund.created_at <= at + after]


def _of_amount(refunds: list[Refund], seeker: Seeker) -> list[Refund]:
    return [refund for refund in refunds if _amount(refund) == seeker.minor_amount and refund.status != Status.FAILED]


def _amount(refund: Refund) -> int | None:
    if refund.processor_minor_amount is not None:
        return refund.processor_minor_amount
    return refund.claimed_minor_amount


def _currency(refund: Refund) -> str:
    return refund.processor_currency or refund.claimed_currency
