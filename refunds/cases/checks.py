"""Check now where nobody waits: refunds become due, and the poller asks within each account's permits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count
from django.dispatch import Signal
from django.utils import timezone

from connectors import registry
from refunds.cases.changing import MOST_AT_ONCE
from refunds.cases.errors import Unfit
from refunds.cases.models import BulkCheck
from refunds.models import Refund

checks_asked_for = Signal()
"""Sent when refunds became due; without it the ticker finds them within a minute."""


def check_many(refund_ids: Collection[int], *, by: User) -> BulkCheck:
    """Have these refunds asked about. Raises Unfit where they are too many."""
    if len(refund_ids) > MOST_AT_ONCE:
        raise Unfit(f"At most {MOST_AT_ONCE:,} refunds can be checked at once.")
    now = timezone.now()
    with transaction.atomic(durable=True):
        ids = _make_due(refund_ids, now)
        check = BulkCheck.objects.create(by=by, at=now, refund_ids=ids, not_asked=len(refund_ids) - len(ids))
    checks_asked_for.send_robust(sender=None)
    return check


def check_soon(refund_id: int) -> bool:
    """Have one refund asked about as soon as its processor answers again; False where it cannot be asked at all."""
    with transaction.atomic(durable=True):
        is_due = bool(_make_due([refund_id], timezone.now()))
    checks_asked_for.send_robust(sender=None)
    return is_due


def _make_due(refund_ids: Collection[int], now: dt.datetime) -> list[int]:
    """Those of them whose processor can be asked."""
    able = [name for name, connector in registry.connectors().items() if connector.supports("get_refund")]
    askable = Refund.objects.filter(pk__in=refund_ids, account__connector__in=able, account__enabled=True)
    ids = list(askable.select_for_update(no_key=True, of=("self",)).order_by("pk").values_list("pk", flat=True))
    Refund.objects.filter(pk__in=ids).update(next_poll_at=now)
    return ids


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a check is. `answers`: what came back (a code) and how often."""

    number: int
    answers: dict[str, int]

    @property
    def done(self) -> int:
        return sum(self.answers.values())

    @property
    def answered(self) -> int:
        return self.answers.get("answered", 0)

    @property
    def waiting(self) -> int:
        return self.number - self.done

    @property
    def is_over(self) -> bool:
        return self.waiting == 0

    @property
    def percent(self) -> int:
        return 100 * self.done // self.number if self.number else 100


def progress_of(check: BulkCheck) -> Progress:
    """From the refunds' own rows: who was asked since says what came of it."""
    since = Refund.objects.filter(pk__in=check.refund_ids, last_answer_at__gte=check.at)
    counted = since.order_by().values_list("last_answer").annotate(Count("pk"))
    return Progress(len(check.refund_ids), dict(counted))
