"""Figures for Prometheus, read from the database at the scrape, so that whichever process answers says the same.

Only acknowledgements are counted in the process that gave them; its number is a label.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Iterator

from django.db.models import Count
from django.utils import timezone
from prometheus_client import CollectorRegistry, Counter, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from connectors.models import ConnectorAccount
from refunds.models import Alert, AlertKind, Road
from refunds.operations import figures
from refunds.operations.health import Health, health, with_backlogs
from refunds.operations.liveness import signs_of_life
from refunds.operations.readiness import readiness

PREFIX = "refunddash_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HouseCollector(Collector):
    """Everything that the database knows, at the moment of the scrape."""

    def collect(self) -> Iterable[Metric]:
        checks = readiness().checks
        yield _gauge("ready", "Whether each check of /readyz passes.", ["check"], [([c.name], c.ok) for c in checks])
        if checks[0].ok:
            yield from _of_the_house(timezone.now())

    def describe(self) -> Iterable[Metric]:
        """Nothing: to register must not ask the database."""
        return []


def _of_the_house(now: dt.datetime) -> Iterator[Metric]:
    yield from _of_the_queues(now)
    yield from _of_the_workers(now)
    yield from _of_alerts()
    yield from _of_the_accounts(now)


def _of_the_queues(now: dt.datetime) -> Iterator[Metric]:
    capped = f"(counted up to {figures.COUNTED_TO})"
    for name, what, count in (
        ("deliveries_waiting", "Deliveries acknowledged and not applied yet", figures.waiting()),
        ("deliveries_parked", "Deliveries set aside with a reason", figures.parked()),
        ("facts_held", "Facts dated in the future", figures.held()),
        ("refunds_unrecognized", "Refunds with a word this release does not know", figures.unrecognized()),
        ("outbox_waiting", "Changes nobody has been told of yet", figures.outbox_waiting()),
    ):
        yield _gauge(name, f"{what} {capped}.", [], [([], count.number)])
    longest = figures.longest_due(now).total_seconds()
    what = "How long the delivery that should have been applied first has been due."
    yield _gauge("delivery_longest_due_seconds", what, [], [([], longest)])


def _of_the_workers(now: dt.datetime) -> Iterator[Metric]:
    lives = signs_of_life()
    ages = [([life.beat.name], (now - life.beat.beat_at).total_seconds()) for life in lives]
    yield _gauge("heartbeat_age_seconds", "Since the ticker or a worker last did something.", ["name"], ages)
    restarts = [([life.beat.name], float(life.beat.restarts)) for life in lives if not life.is_ticker]
    yield _counter("worker_restarts", "How often a supervisor had to start its worker anew.", ["name"], restarts)


def _of_alerts() -> Iterator[Metric]:
    counted = Alert.objects.filter(closed_at__isnull=True).values_list("kind").annotate(Count("pk")).order_by()
    found = dict.fromkeys(map(str, AlertKind), 0) | dict(counted)
    yield _gauge("alerts_open", "Open alerts.", ["kind"], [([kind], number) for kind, number in found.items()])


def _of_the_accounts(now: dt.datetime) -> Iterator[Metric]:
    # No order, and no page of them: a house has tens of accounts, not thousands.
    healths = with_backlogs(health(ConnectorAccount.objects.filter(enabled=True)))
    yield from _of_conditions(healths, now)
    yield from _of_roads(healths, now)
    yield from _of_endpoints(healths)
    overdue = [([h.account.name], figures.overdue_polls(h.account, now).number) for h in healths]
    what = f"Refunds that should have been asked about 15 minutes ago (counted up to {figures.COUNTED_TO})."
    yield _gauge("polls_overdue", what, ["account"], overdue)
    what = "Changes of what is shown within 7 days, by who told us first."
    by_source = [
        ([h.account.name, source.value], number) for h in healths for source, number in h.transitions.by_source.items()
    ]
    yield _gauge("transitions_7d", what, ["account", "source"], by_source)
    rates = [([h.account.name], h.transitions.missed_rate) for h in healths if h.endpoints]
    what = "Share of those changes that was found by asking, before any webhook told it."
    yield _gauge("missed_webhook_ratio", what, ["account"], rates)


def _of_conditions(healths: list[Health], now: dt.datetime) -> Iterator[Metric]:
    for name, what, values in (
        ("account_paused", "Whether questions are paused (breaker open, or told to wait).",
         [h.polling is not None and h.polling.paused(now) for h in healths]),
        ("account_not_polled", "Whether the turns of its polling end in an error of ours.",
         [h.polling is not None and h.polling.failing_since is not None for h in healths]),
        ("account_credentials_rejected", "Whether the processor refuses our key.",
         [h.account.credentials_rejected_at is not None for h in healths]),
        ("account_clock_skew_seconds", "Our clock less the processor's.",
         [h.account.clock_skew_seconds for h in healths]),
        ("account_last_webhook_age_seconds", "Since the last valid one; to the day at a shared endpoint.",
         [_age(h.last_webhook_at, now) for h in healths]),
        ("account_webhooks_stopped", "1: missed, much later than usual, or no endpoint is open.",
         [h.webhooks_stopped for h in healths]),
        ("account_last_answer_age_seconds", "Since the processor last answered a question.",
         [_age(h.polling.last_answer_at if h.polling else None, now) for h in healths]),
    ):  # fmt: skip
        yield _gauge(name, what, ["account"], [([h.account.name], v) for h, v in zip(healths, values, strict=True)])


def _of_roads(healths: list[Health], now: dt.datetime) -> Iterator[Metric]:
    samples = []
    for h in healths:
        since = {failing.road: failing.since for failing in h.failing_roads}
        samples += [([h.account.name, road.value], _age(since.get(road), now) or 0.0) for road in Road]
    what = "For how long a road to news of refunds has not come through; 0 where it does, or is not there."
    yield _gauge("account_road_failing_seconds", what, ["account", "road"], samples)


def _of_endpoints(healths: list[Health]) -> Iterator[Metric]:
    endpoints = {endpoint.pk: endpoint for h in healths for endpoint in h.endpoints}
    what = "Refused for their signature, wrong or too old; those of the last second are counted with the next one."
    rejected = [([str(pk)], float(endpoint.rejected_count)) for pk, endpoint in endpoints.items()]
    yield _counter("signatures_rejected", what, ["endpoint"], rejected)
    waiting = {pk: count.number for h in healths for pk, count in h.waiting.items()}
    what = f"Its deliveries acknowledged and not applied yet (counted up to {figures.COUNTED_TO})."
    yield _gauge("endpoint_deliveries_waiting", what, ["endpoint"], [([str(pk)], n) for pk, n in waiting.items()])


def _age(moment: dt.datetime | None, now: dt.datetime) -> float | None:
    return (now - moment).total_seconds() if moment else None


_Samples = Iterable[tuple[list[str], float | bool | None]]


def _gauge(name: str, what: str, labels: list[str], samples: _Samples) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, what, labels=labels)
    for values, value in samples:
        if value is not None:
            family.add_metric(values, float(value))
    return family


def _counter(name: str, what: str, labels: list[str], samples: Iterable[tuple[list[str], float]]) -> Metric:
    family = CounterMetricFamily(PREFIX + name, what, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


disable_created_metrics()  # type: ignore[no-untyped-call]
registry = CollectorRegistry(auto_describe=False)
registry.register(HouseCollector())
_acknowledgements = Counter(
    f"{PREFIX}webhook_answers",
    "Webhooks answered by this process, by HTTP status.",
    ["status", "process"],
    registry=registry,
)


def count_answer(status: int) -> None:
    """A webhook was answered so."""
    _acknowledgements.labels(status, os.getpid()).inc()


def exposition() -> bytes:
    """All of it as Prometheus reads it."""
    return generate_latest(registry)
