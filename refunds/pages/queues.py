"""The queues that matter: refunds somebody should look at, and how many there are."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from django.utils import timezone

from connectors.contract import Status
from refunds import polling
from refunds.models import RefundQuerySet

COUNTED_TO = 10_000


class Queue(enum.StrEnum):
    STUCK = "stuck"
    RETURNED = "returned"
    FAILED = "failed"
    UNREQUESTED = "unrequested"
    UNRECOGNIZED = "unrecognized"

    @property
    def label(self) -> str:
        return _LABELS[self]

    @property
    def meaning(self) -> str:
        return _MEANINGS[self]

    def of(self, refunds: RefundQuerySet) -> RefundQuerySet:
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


_LABELS = {
    Queue.STUCK: "Stuck",
    Queue.RETURNED: "Returned after success",
    Queue.FAILED: "Failed",
    Queue.UNREQUESTED: "Unrequested",
    Queue.UNRECOGNIZED: "Unrecognized",
}
_MEANINGS = {
    Queue.STUCK: f"Still pending after {polling.STUCK_AFTER.days} days",
    Queue.RETURNED: "Customer was told it worked",
    Queue.FAILED: "Did not reach the customer",
    Queue.UNREQUESTED: "Nobody here registered them",
    Queue.UNRECOGNIZED: "A word we do not know",
}


@dataclass(frozen=True, slots=True)
class Count:
    """How many refunds a queue holds; counted only so far, because nobody works off more."""

    queue: Queue
    number: int

    def __str__(self) -> str:
        return f"{COUNTED_TO:,}+" if self.number > COUNTED_TO else f"{self.number:,}"


def counts(refunds: RefundQuerySet) -> list[Count]:
    """Every queue's count, each one capped by a LIMIT in the database."""
    return [Count(queue, queue.of(refunds).order_by()[: COUNTED_TO + 1].count()) for queue in Queue]
