"""What the operations page shows: figures, workers, endpoints, and what waits for somebody or for its time."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import Count, OuterRef, Prefetch, QuerySet, Subquery
from django.utils import timezone

from connectors.models import ConnectorAccount, WebhookDelivery, WebhookEndpoint
from refunds.facts import FUTURE_TOLERANCE, Standing
from refunds.models import Observation, Refund
from refunds.operations import figures
from refunds.operations.figures import Capped
from refunds.operations.health import health, open_alerts
from refunds.operations.liveness import Liveness, signs_of_life
from refunds.operations.parked import ParkedReason, reasons
from refunds.operations.troubles import Trouble, troubles

ROWS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class HeldFact:
    """A fact dated in the future, and when it begins to count."""

    observation: Observation

    @property
    def due_at(self) -> dt.datetime:
        return self.observation.as_of - FUTURE_TOLERANCE


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on the page, read at one moment."""

    at: dt.datetime
    troubles: list[Trouble]
    waiting: Capped
    longest_due: dt.datetime | None
    applied_last_hour: Capped
    parked: Capped
    held: Capped
    unrecognized: Capped
    workers: list[Liveness]
    endpoints: list[WebhookEndpoint]
    reasons: list[ParkedReason]
    held_facts: list[HeldFact]
    words: list[tuple[str, str, int]]


def overview(accounts: QuerySet[ConnectorAccount]) -> Overview:
    """Of the whole house; of accounts, those that may be seen."""
    now = timezone.now()
    longest = figures.longest_due(now)
    return Overview(
        at=now,
        troubles=troubles(health(accounts), open_alerts(accounts)),
        waiting=figures.waiting(),
        longest_due=now - longest if longest else None,
        applied_last_hour=figures.applied_last_hour(),
        parked=figures.parked(),
        held=figures.held(),
        unrecognized=figures.unrecognized(),
        workers=signs_of_life(),
        endpoints=_endpoints(accounts),
        reasons=reasons()[:ROWS_SHOWN],
        held_facts=_held_facts(accounts),
        words=_words(accounts),
    )


def _endpoints(accounts: QuerySet[ConnectorAccount]) -> list[WebhookEndpoint]:
    last = WebhookDelivery.objects.filter(endpoint=OuterRef("pk")).order_by("-id").values("received_at")[:1]
    visible = WebhookEndpoint.objects.filter(accounts__in=accounts).distinct()
    return list(visible.annotate(last_valid_at=Subquery(last)).prefetch_related(Prefetch("accounts", accounts)))


def _held_facts(accounts: QuerySet[ConnectorAccount]) -> list[HeldFact]:
    held = Observation.objects.filter(standing=Standing.HELD, refund__account__in=accounts).order_by("as_of")
    return [HeldFact(observation) for observation in held.select_related("refund__account")[:ROWS_SHOWN]]


def _words(accounts: QuerySet[ConnectorAccount]) -> list[tuple[str, str, int]]:
    """(account, word, refunds) of the newest refunds whose processor's word is not known."""
    newest = Refund.objects.unrecognized().filter(account__in=accounts).newest_first()[: figures.COUNTED_TO]
    counted = (
        Refund.objects.filter(pk__in=newest.values("pk"))
        .values_list("account__name", "unrecognized_word")
        .annotate(number=Count("pk"))
        .order_by("-number")
    )
    return list(counted[:ROWS_SHOWN])
