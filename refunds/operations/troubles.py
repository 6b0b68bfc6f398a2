"""What is wrong, a line each: what happened, to whom, what to do, and which section of the runbook says more."""

from __future__ import annotations

import datetime as dt
import enum
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.conf import settings
from django.utils import timezone

from refunds.operations import figures
from refunds.operations.alerts import AlertLine
from refunds.operations.health import Health
from refunds.operations.liveness import Standstill, signs_of_life, standstill
from refunds.operations.readiness import readiness

BACKLOG_AFTER = dt.timedelta(minutes=2)
MISSED_RATE_ODD = 0.05
MISSED_RATE_NEEDS = 20
"""A rate over fewer changes says nothing."""
CLOCK_IS_OFF_SECONDS = 60
ACCOUNTS_NAMED = 3
RESTARTED_LATELY = dt.timedelta(hours=1)
REFUSED_LATELY = dt.timedelta(days=1)


class Level(enum.StrEnum):
    """How bad: `danger` stops something, `warning` will if nobody looks, `info` is worth knowing."""

    DANGER = "danger"
    WARNING = "warning"
    INFO = "info"


_WORST_FIRST = list(Level)


@dataclass(frozen=True, slots=True)
class Trouble:
    """`section` is the heading in docs/operations.md that says more; `account` is whom it is about, the account or
    what else has a name. Where it stands for several alerts, `alerts` says how many and `address` where they are."""

    level: Level
    section: str
    what: str
    todo: str
    account: str = ""
    since: dt.datetime | None = None
    times: int = 1
    alerts: int = 1
    address: str = ""

    @property
    def runbook(self) -> str:
        """Where the section can be read; empty where nobody has said where the runbook is."""
        return f"{settings.RUNBOOK_URL}#{self.section}" if settings.RUNBOOK_URL else ""


def troubles(healths: Iterable[Health], alerts: Iterable[AlertLine]) -> list[Trouble]:
    """All there is, the worst first. What has an alert is told by its alert and not once more."""
    now = timezone.now()
    healths = list(healths)
    found = [*_of_the_house(now, healths), *_of_alerts(alerts)]
    for health in healths:
        found += _of_the_account(health, now)
    found += _of_refused(healths, now)
    return sorted(found, key=lambda trouble: _WORST_FIRST.index(trouble.level))


def of_standstill(still: Standstill) -> Trouble:
    since = f"since {still.since:%-d %b %Y %H:%M} UTC" if still.since else "yet"
    todo = "Start a worker, or restart the one that hangs: systemctl restart refunddash-worker@1, or docker compose "
    return Trouble(Level.DANGER, "standstill", f"{still.what} {since}.", f"{todo}restart worker.", since=still.since)


def _of_the_house(now: dt.datetime, healths: list[Health]) -> Iterator[Trouble]:
    still = standstill()
    if still:
        yield of_standstill(still)
    for check in readiness().checks:
        if not check.ok and check.name not in ("worker", "ticker"):
            yield Trouble(Level.DANGER, check.name, f"Not ready: {check.name}. {check.what}", check.todo)
    yield from _of_workers(now, still)
    longest = figures.longest_due(now)
    if longest > BACKLOG_AFTER:
        yield Trouble(
            Level.WARNING,
            "backlog",
            f"Deliveries wait: {figures.waiting()}, the first for {int(longest.total_seconds() // 60)} min.",
            "Do the workers run? If they do, start another one; the order of the deliveries does not matter.",
            _where_most_waits(healths),
            since=now - longest,
        )


def _where_most_waits(healths: list[Health]) -> str:
    """The accounts with a backlog, the longest first, at most three by name."""
    behind = sorted((h for h in healths if h.backlog), key=lambda h: -h.backlog.number)
    named = ", ".join(f"{h.account.name} ({h.backlog})" for h in behind[:ACCOUNTS_NAMED])
    return f"{named} and {len(behind) - ACCOUNTS_NAMED} more" if len(behind) > ACCOUNTS_NAMED else named


def _of_workers(now: dt.datetime, still: Standstill | None) -> Iterator[Trouble]:
    for life in signs_of_life():
        beat = life.beat
        if life.is_ticker:
            continue
        if life.silent and still is None:
            yield Trouble(
                Level.WARNING,
                "worker_silent",
                f"Worker {beat.name} has done nothing lately; the others work.",
                "Restart it if it should run. If it was taken away, this line goes by itself within a day.",
                since=beat.beat_at,
            )
        if beat.restart_reason and beat.started_at and beat.started_at > now - RESTARTED_LATELY:
            yield Trouble(
                Level.WARNING,
                "worker_restarts",
                f"Worker {beat.name} was started anew: it {beat.restart_reason}.",
                "Once is mended already. If it goes on, read its log just before each restart.",
                since=beat.started_at,
                times=beat.restarts,
            )


_DANGEROUS_ALERTS = frozenset(
    {"credentials_rejected", "signatures_fail", "returned_after_success", "repeated", "account_not_polled"}
)


def _of_alerts(alerts: Iterable[AlertLine]) -> Iterator[Trouble]:
    for line in alerts:
        kind = line.example.kind
        yield Trouble(
            Level.DANGER if kind in _DANGEROUS_ALERTS else Level.WARNING,
            kind,
            f"{line.name}.",
            line.example.message,
            line.about,
            since=line.since,
            times=line.times,
            alerts=line.number,
            address=line.address,
        )


def _of_the_account(health: Health, now: dt.datetime) -> Iterator[Trouble]:
    name, polling = health.account.name, health.polling
    if health.condition == "paused" and polling and polling.paused_until:
        yield Trouble(
            Level.WARNING,
            "paused",
            f"Questions are paused until {polling.paused_until:%H:%M} UTC: {polling.pause_reason}.",
            f"It resumes by itself. The last error was: {polling.last_error or 'none'}.",
            name,
            polling.last_error_at,
        )
    if health.condition == "silent":
        yield Trouble(
            Level.WARNING,
            "silent",
            "Nothing was heard for a day." if health.last_heard_at else "Nothing was ever heard.",
            f"Is the webhook set up at the processor? Does its key work? Ask: manage.py account check {name}",
            name,
            health.last_heard_at,
        )
    if health.condition == "unannounced":
        yield _of_webhooks_that_stopped(health)
    if overdue := figures.overdue_polls(health.account, now):
        yield Trouble(
            Level.WARNING,
            "overdue",
            f"Refunds that should have been asked about 15 minutes ago or more: {overdue}.",
            "Is the account paused, or its requests per second too few for its refunds?",
            name,
        )
    told, rate = health.transitions, health.transitions.missed_rate
    if health.endpoints and rate is not None and rate > MISSED_RATE_ODD and told.told >= MISSED_RATE_NEEDS:
        yield Trouble(
            Level.WARNING,
            "missed_webhooks",
            f"{rate:.0%} of {told.told:,} changes of the last 7 days came by asking, before any webhook.",
            "Compare the event types chosen at the processor with its page in docs/processors, and look for failures.",
            name,
        )


def _of_refused(healths: list[Health], now: dt.datetime) -> Iterator[Trouble]:
    """Endpoints at which signatures failed lately, though good ones came as well: where none did, there is an alert."""
    whose: dict[int, list[str]] = defaultdict(list)
    endpoints = {endpoint.pk: endpoint for health in healths for endpoint in health.endpoints}
    for health in healths:
        for endpoint in health.endpoints:
            whose[endpoint.pk].append(health.account.name)
    for endpoint in endpoints.values():
        at, good_at = endpoint.last_rejected_at, getattr(endpoint, "last_valid_at", None)
        if at is None or good_at is None or at > good_at:
            continue
        if endpoint.enabled and at > now - REFUSED_LATELY:
            yield Trouble(
                Level.WARNING,
                "refused",
                f"Deliveries with a bad or old signature were refused: {endpoint.rejected_count:,} so far.",
                "The log says why (signature_rejected). Does an old secret still sign, or somebody else post there? "
                "Compare the endpoint's secret with the processor's.",
                ", ".join(sorted(whose[endpoint.pk])),
                since=at,
            )


def _of_webhooks_that_stopped(health: Health) -> Trouble:
    if not health.takes_webhooks:
        what = "None of its webhook endpoints is enabled: whatever the processor sends is answered 404."
        todo = "Enable one in the admin, or take them away from the account if it is to have no webhooks."
    else:
        last = health.last_webhook_at
        since = f"since {last:%-d %b %Y %H:%M} UTC" if last else "yet"
        why = "although refunds were made after that and are a day old"
        if not health.webhooks_are_missed:
            why = "much longer than it usually takes, and nothing else would tell us of its refunds"
        what = f"No webhook has come {since}, {why}."
        todo = (
            "Look at the processor's list of failed deliveries, and whether it posts to the address that the endpoint "
            f"has: manage.py endpoint list. What was missed: manage.py backfill {health.account.name}, or its reports."
        )
    return Trouble(Level.DANGER, "unannounced", what, todo, health.account.name, health.last_webhook_at)
