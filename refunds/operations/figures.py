"""Figures of the house, each an index look-up or a count that stops early, so that they cost the same at any size."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Max, Min, QuerySet, Sum
from django.utils import timezone

from connectors.models import ConnectorAccount, DeliveryState, WebhookDelivery, WebhookEndpoint
from refunds.facts import Source, Standing
from refunds.models import Observation, OutboxEvent, Refund, TransitionTally

COUNTED_TO = 10_000
POLL_OVERDUE_AFTER = dt.timedelta(minutes=15)
"""A question that should have been asked so long ago is overdue; the ticker starts polls every minute."""
TRANSITIONS_OF_DAYS = 7

_LATE = frozenset({Source.GET, Source.LIST, Source.FEED})


@dataclass(frozen=True, slots=True)
class Capped:
    """A count that stopped at COUNTED_TO: more than that nobody works off by hand."""

    number: int

    def __str__(self) -> str:
        return f"{COUNTED_TO:,}+" if self.number > COUNTED_TO else f"{self.number:,}"

    def __bool__(self) -> bool:
        return self.number > 0


def capped(rows: QuerySet[Any]) -> Capped:
    return Capped(rows.order_by()[: COUNTED_TO + 1].count())


def waiting() -> Capped:
    """Deliveries that were acknowledged and not applied yet."""
    return capped(WebhookDelivery.objects.filter(state=DeliveryState.WAITING))


def waiting_at(endpoints: Iterable[WebhookEndpoint]) -> Mapping[int, Capped]:
    """The same of each endpoint, in one query."""
    asked = WebhookEndpoint.objects.filter(pk__in=[endpoint.pk for endpoint in endpoints])
    counted = asked.with_waiting(up_to=COUNTED_TO + 1)
    return {found.pk: Capped(min(getattr(found, "waiting", 0), COUNTED_TO + 1)) for found in counted}


def longest_due(now: dt.datetime) -> dt.timedelta:
    """How long the delivery that should have been applied first has been due; zero where none is."""
    due = WebhookDelivery.objects.filter(state=DeliveryState.WAITING, next_attempt_at__lte=now)
    first = due.order_by("next_attempt_at", "id").values_list("next_attempt_at", flat=True).first()
    return now - first if first else dt.timedelta()


def parked() -> Capped:
    return capped(WebhookDelivery.objects.filter(state=DeliveryState.PARKED))


def dismissed() -> Capped:
    return capped(WebhookDelivery.objects.filter(state=DeliveryState.DISMISSED))


def held() -> Capped:
    return capped(Observation.objects.filter(standing=Standing.HELD))


def unrecognized() -> Capped:
    return capped(Refund.objects.unrecognized())


def outbox_waiting() -> Capped:
    return capped(OutboxEvent.objects.filter(handled_at__isnull=True))


def overdue_polls(account: ConnectorAccount, now: dt.datetime) -> Capped:
    """Questions of one account that should have been asked long ago."""
    return capped(Refund.objects.filter(account=account).due(now - POLL_OVERDUE_AFTER).order_by())


@dataclass(slots=True)
class Transitions:
    """Changes of what is shown of an account's refunds, by who told us first."""

    by_source: Counter[Source] = field(default_factory=Counter)

    @property
    def missed(self) -> int:
        """Those that a question, a listing or the event feed told us before any webhook did."""
        return sum(self.by_source[source] for source in _LATE)

    @property
    def told(self) -> int:
        """Those that a webhook could have told us first: all but what reports and our own side say."""
        return self.missed + self.by_source[Source.WEBHOOK]

    @property
    def missed_rate(self) -> float | None:
        """The missed-webhook rate; None where nothing has changed."""
        return self.missed / self.told if self.told else None


def transitions(now: dt.datetime) -> Mapping[int, Transitions]:
    """Each account's transitions of today and the days before it, from the tallies."""
    since = (now - dt.timedelta(days=TRANSITIONS_OF_DAYS - 1)).date()
    found: dict[int, Transitions] = defaultdict(Transitions)
    sums = TransitionTally.objects.filter(day__gte=since).values_list("account_id", "source").annotate(Sum("count"))
    for account_id, source, count in sums:
        found[account_id].by_source[Source(source)] += count
    return found


@dataclass(frozen=True, slots=True)
class WebhookNews:
    """The days, in UTC, of which webhooks were the first to tell us something new of an account's refunds."""

    first: dt.date
    last: dt.date
    days: int

    @property
    def until(self) -> dt.datetime:
        """The end of the last one: no earlier moment is known."""
        return dt.datetime.combine(self.last + dt.timedelta(days=1), dt.time(), tzinfo=dt.UTC)

    @property
    def quiet_at_most(self) -> dt.timedelta | None:
        """For how long there may be none: four times as long as it usually takes, three days at least. None where they
        came on too few days to know what is usual."""
        if self.days < _DAYS_TO_KNOW:
            return None
        return max(_QUIET_AT_LEAST, 4 * (self.last - self.first + dt.timedelta(days=1)) / self.days)


_DAYS_TO_KNOW = 10
_QUIET_AT_LEAST = dt.timedelta(days=3)


def webhook_news(account_ids: Iterable[int]) -> Mapping[int, WebhookNews]:
    """By account, of the days that tallies are kept for; an account of which webhooks told nothing is not there."""
    told = TransitionTally.objects.filter(source=Source.WEBHOOK, account__in=list(account_ids)).order_by()
    found = told.values_list("account_id").annotate(Min("day"), Max("day"), Count("day", distinct=True))
    return {account_id: WebhookNews(first, last, days) for account_id, first, last, days in found}


def applied_last_hour() -> Capped:
    """Deliveries that came within the last hour and are applied."""
    moment = timezone.now() - dt.timedelta(hours=1)
    return capped(WebhookDelivery.objects.filter(received_at__gte=moment, state=DeliveryState.APPLIED))
