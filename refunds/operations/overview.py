"""What the operations page shows: figures, workers, endpoints, and what waits for somebody or for its time."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import Count, Prefetch, QuerySet
from django.utils import timezone

from connectors.models import ConnectorAccount, WebhookEndpoint
from refunds.facts import FUTURE_TOLERANCE, Standing
from refunds.models import Observation, Refund
from refunds.operations import figures
from refunds.operations.alerts import open_alerts
from refunds.operations.figures import Capped
from refunds.operations.health import health, with_backlogs
from refunds.operations.liveness import Liveness, signs_of_life
from refunds.operations.parked import ParkedReason, reasons, with_endpoints
from refunds.operations.reports import ReportLine, unfinished_reports
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
    dismissed: Capped
    held: Capped
    unrecognized: Capped
    workers: list[Liveness]
    endpoints: list[tuple[WebhookEndpoint, Capped]]
    reasons: list[ParkedReason]
    more_reasons: int
    held_facts: list[HeldFact]
    words: list[tuple[str, str, int]]
    reports: list[ReportLine]


def overview(accounts: QuerySet[ConnectorAccount]) -> Overview:
    """Of the whole house; of accounts, those that may be seen."""
    now = timezone.now()
    longest = figures.longest_due(now)
    parked = reasons()
    return Overview(
        at=now,
        troubles=troubles(with_backlogs(health(accounts)), open_alerts(accounts)),
        waiting=figures.waiting(),
        longest_due=now - longest if longest else None,
        applied_last_hour=figures.applied_last_hour(),
        parked=figures.parked(),
        dismissed=figures.dismissed(),
        held=figures.held(),
        unrecognized=figures.unrecognized(),
        workers=signs_of_life(),
        endpoints=_endpoints(accounts),
        reasons=with_endpoints(parked[:ROWS_SHOWN]),
        more_reasons=len(parked[ROWS_SHOWN:]),
        held_facts=_held_facts(accounts),
        words=_words(accounts),
        reports=unfinished_reports(accounts, most=ROWS_SHOWN),
    )


def _endpoints(accounts: QuerySet[ConnectorAccount]) -> list[tuple[WebhookEndpoint, Capped]]:
    """Each with what waits there."""
    visible = WebhookEndpoint.objects.filter(accounts__in=accounts).distinct()
    found = list(visible.with_last_valid_at().prefetch_related(Prefetch("accounts", accounts)))
    waiting = figures.waiting_at(found)
    return [(endpoint, waiting.get(endpoint.pk, Capped(0))) for endpoint in found]


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
