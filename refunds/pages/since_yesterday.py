"""What changed since yesterday began, where the viewer is: a capped number for each kind of news, and the list of
exactly these refunds.

Read from the outbox, which has a row for each change of what is shown, by an index of status and time.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils import timezone

from connectors.contract import Status
from refunds.models import OutboxEvent, RefundQuerySet
from refunds.pages.list_form import RETURNED
from refunds.pages.queues import COUNTED_TO, Queue, capped_count, capped_text
from refunds.pages.saved_views import list_address


@dataclass(frozen=True, slots=True)
class News:
    """`look` names the colour; `number` is one more than COUNTED_TO where there is more."""

    look: str
    words: str
    number: int
    address: str

    def __str__(self) -> str:
        return capped_text(self.number)


def news(refunds: RefundQuerySet, since: dt.datetime) -> list[News]:
    """What became of refunds since that moment; a refund counts once in each line."""
    moment = since.isoformat().replace("+00:00", "Z")
    outbox = OutboxEvent.objects.filter(refund__in=refunds) if refunds.query.where else OutboxEvent.objects.all()
    lines = [
        News(status.lower(), words, _refunds_in(outbox.became(status, since=since)), _list(status, moment))
        for status, words in _BECAME.items()
    ]
    returned = _refunds_in(outbox.returned(since=since))
    lines.append(News("returned", "Returned after success", returned, _list(RETURNED, moment)))
    stuck = capped_count(refunds.stuck_since(since, timezone.now()))
    lines.append(News("stuck", "Newly stuck", stuck, list_address(queue=Queue.STUCK, stuck_since=moment)))
    return lines


_BECAME = {
    Status.SUCCEEDED: "Succeeded",
    Status.FAILED: "Failed",
    Status.PENDING: "New, or pending again",
}


def _list(became: str, moment: str) -> str:
    return list_address(changed_to=became, changed_since=moment)


def _refunds_in(events: QuerySet[OutboxEvent]) -> int:
    """How many refunds these are about; at most so many events are read, in the order of their index."""
    ids = list(events.values_list("refund_id", flat=True)[: COUNTED_TO + 1])
    return len(ids) if len(ids) > COUNTED_TO else len(set(ids))
