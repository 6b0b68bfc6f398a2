"""The queues that matter: refunds somebody should look at, and how many there are."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone

from connectors.contract import Status
from refunds.cases.filtering import Wanted, cases_like, worked_on
from refunds.models import RefundQuerySet
from refunds.pages.viewer import Viewer
from refunds.permissions import Action, may

COUNTED_TO = 10_000


class Order(enum.StrEnum):
    """What a list begins with."""

    NEWEST = "newest"
    OLDEST = "oldest"
    DUE = "due"


class Queue(enum.StrEnum):
    STUCK = "stuck"
    RETURNED = "returned"
    FAILED = "failed"
    UNREQUESTED = "unrequested"
    UNRECOGNIZED = "unrecognized"
    MINE = "mine"
    DUE = "due"

    @property
    def label(self) -> str:
        return _LABELS[self]

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]

    @property
    def order(self) -> Order:
        """What comes first: in some queues what has waited longest, in others what is new."""
        return _ORDERS.get(self, Order.NEWEST)

    def of(self, refunds: RefundQuerySet, viewer: Viewer) -> RefundQuerySet:
        """The refunds of this queue among these."""
        match self:
            case Queue.STUCK:
                return refunds.stuck(timezone.now())
            case Queue.RETURNED:
                return refunds.returned()
            case Queue.FAILED:
                return refunds.filter(status=Status.FAILED)
            case Queue.UNREQUESTED:
                return refunds.unrequested()
            case Queue.UNRECOGNIZED:
                return refunds.unrecognized()
            case Queue.MINE | Queue.DUE:
                return worked_on(refunds, _wanted(self, viewer))


_LABELS = {
    Queue.STUCK: "Stuck",
    Queue.RETURNED: "Returned after success",
    Queue.FAILED: "Failed",
    Queue.UNREQUESTED: "Unrequested",
    Queue.UNRECOGNIZED: "Unrecognized",
    Queue.MINE: "Mine",
    Queue.DUE: "Follow-up due",
}
_MEANINGS = {
    Queue.STUCK: "Pending for longer than usual",
    Queue.RETURNED: "Customer was told it worked",
    Queue.FAILED: "Did not reach the customer",
    Queue.UNREQUESTED: "Nobody here registered them",
    Queue.UNRECOGNIZED: "A word we do not know",
    Queue.MINE: "Assigned to you",
    Queue.DUE: "To be looked at again by today",
}
_ORDERS = {
    Queue.STUCK: Order.OLDEST,
    Queue.UNRECOGNIZED: Order.OLDEST,
    Queue.MINE: Order.OLDEST,
    Queue.DUE: Order.DUE,
}
CASE_QUEUES = frozenset({Queue.MINE, Queue.DUE})
"""Queues of what people do; for those who may see that."""


def queues_for(user: User) -> list[Queue]:
    """The queues somebody may see."""
    sees_cases = may(user, Action.SEE_CASES)
    return [queue for queue in Queue if sees_cases or queue not in CASE_QUEUES]


@dataclass(frozen=True, slots=True)
class Count:
    """How many refunds a queue holds; counted only so far, because nobody works off more."""

    queue: Queue
    number: int

    def __str__(self) -> str:
        return capped_text(self.number)


def counts(refunds: RefundQuerySet, viewer: Viewer) -> list[Count]:
    """Every queue's count, each one capped by a LIMIT in the database."""
    return [Count(queue, _count(queue, refunds, viewer)) for queue in queues_for(viewer.user)]


def _count(queue: Queue, refunds: RefundQuerySet, viewer: Viewer) -> int:
    if queue in CASE_QUEUES and not refunds.query.where:
        # Whoever may see every refund need not look up those of the cases.
        return capped_count(cases_like(_wanted(queue, viewer)))
    return capped_count(queue.of(refunds, viewer))


def _wanted(queue: Queue, viewer: Viewer) -> Wanted:
    return Wanted(assignee=viewer.user) if queue is Queue.MINE else Wanted(due_on=viewer.today)


def capped_count(rows: QuerySet[Any]) -> int:
    """How many rows there are, one more than COUNTED_TO where there are more."""
    return rows.order_by()[: COUNTED_TO + 1].count()


def capped_text(number: int) -> str:
    return f"{COUNTED_TO:,}+" if number > COUNTED_TO else f"{number:,}"
