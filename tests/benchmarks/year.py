"""Whether a year of applied deliveries slows anything, against an almost empty inbox; and what purging comes to.

Two schemas of one database, each with every table: one inbox holds a year, the other next to nothing. The same work is
done in both by turns, on the same connections, and the ratio of the two is printed. What is slowed fails the run. Then
the year is purged down to REFUNDDASH_KEEP_DELIVERIES_DAYS, and days go by in which as many come as are purged.

Keys are as scattered as a processor's ids, so an insert into the year touches a page of the unique index that no other
insert of this minute did: some tens of per cent, where many are kept in one statement.

It has been seen to fail: without the index on received_at (a purge's step takes three times as long); as the admin was,
where a search by key and the list of hints only read the whole inbox (seven to nine times as long at 100,000
deliveries); and where the last days' purges are left out (the files grow).
"""

from __future__ import annotations

import datetime as dt
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import StringIO
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, connections
from django.template.response import TemplateResponse
from django.test import RequestFactory
from django.utils import timezone

from connectors import inbox
from connectors.contract import Delivery
from connectors.models import ConnectorAccount, WebhookDelivery
from refunds import services
from refunds.operations import figures, metrics, readiness
from refunds.operations.overview import overview
from refunds.services import purging
from tests.benchmarks import prepared

SIZES = {"smoke": (100_000, 5, 200), "full": (2_000_000, 11, 500)}
"""Deliveries of the year, rounds, and deliveries a round."""
LIMIT = 1.3
"""Slowed is what takes so much longer in three rounds of four: a machine that others use too is not that steady."""
EMPTY, YEAR = "public", "year"
CLAIMED_AT_ONCE = 100
TIMES_LOOKED = 10
STEADY_DAYS = 20
GROWN_AT_MOST = 1.15
"""In those days; by a fifth where nothing were purged or no room used again. Fresh indexes are packed, and loosen."""
DAYS = 365
TABLE = "connectors_webhookdelivery"

Work = Callable[[], float]
"""Does it once and says how many seconds that took."""


def run(size: str) -> None:
    count, rounds, each = SIZES[size]
    _prepare(count, old=(rounds + 1) * purging.PURGE_BATCH)
    ratios = _rounds(rounds, each)
    slowed = [name for name, ratio in ratios.items() if ratio > LIMIT]
    assert not slowed, f"more than {LIMIT} times as long over a year of deliveries: {', '.join(slowed)}"
    with _in(YEAR):
        _purge_the_year(count)
        _go_on(count // DAYS)


# The two inboxes.


def _prepare(count: int, *, old: int) -> None:
    """In both an account, its endpoint and what the rounds purge; in one of them the year."""
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {YEAR}")
    for schema in (EMPTY, YEAR):
        with _in(schema):
            call_command("migrate", verbosity=0, stdout=StringIO())
            prepared.endpoint()
            _deliver(old, newest_days_ago=DAYS + 1, days=1)
            if schema == YEAR:
                _deliver(count, newest_days_ago=0, days=DAYS)
            _sql(f"VACUUM ANALYZE {TABLE}")
    _sql("CHECKPOINT")
    with _in(YEAR):
        print(f"year, an inbox of {count:,} applied deliveries ({_gigabytes()}) against an almost empty one")


@contextmanager
def _in(schema: str) -> Iterator[None]:
    """Both connections see the tables of this schema and no others."""
    for alias in ("default", settings.INBOX_DATABASE):
        connections[alias].ensure_connection()
        with connections[alias].cursor() as cursor:
            cursor.execute(f"SET search_path TO {schema}")
    readiness.forget()
    yield


def _deliver(count: int, *, newest_days_ago: float, days: float) -> None:
    """So many applied deliveries, evenly over so many days, their keys as scattered as a processor's ids are."""
    body = prepared.event(0, refunds=1, run="%s").decode().replace("%s", "' || n || '")
    _sql(
        f"INSERT INTO {TABLE} (endpoint_id, received_at, body, headers_json, dedupe_key, state, attempts,"
        " next_attempt_at, finished_at, outcome)"
        f" SELECT %s, at, convert_to('{body}', 'UTF8'), %s, 'evt_' || md5(random()::text || n), 1, 1, at, at, '1 fact'"
        " FROM (SELECT n, now() - make_interval(secs => (%s + %s * (1 - n::float / %s)) * 86400) AS at"
        " FROM generate_series(1, %s) n) numbers",
        [prepared.endpoint().pk, '{"stripe-signature": "' + "0" * 80 + '"}', newest_days_ago, days, count, count],
    )


def _sql(statement: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall()) if cursor.description else []


def _gigabytes() -> str:
    """Of the inbox's table with its indexes."""
    return f"{_sql('SELECT pg_total_relation_size(%s::regclass)', [TABLE])[0][0] / 1e9:.2f} GB"


# What is done by turns.


def _rounds(rounds: int, each: int) -> dict[str, float]:
    """Print how much longer each work took over the year, by the median of its rounds; return the quarter's."""
    works: dict[str, Work] = {
        "acknowledge (keep one by one)": partial(_keep, each, together=1),
        "acknowledge (keep 50 together)": partial(_keep, each * 5, together=50),
        "claim": _claim,
        "apply": _apply,
        "operations page": partial(_look, lambda: overview(ConnectorAccount.objects.all())),
        "figures for Prometheus": partial(_look, _scrape),
        "the receiver's look at the backlog": partial(_look, inbox.backlog_at_most),
        "parked and waiting, counted": partial(_look, lambda: (figures.parked(), figures.waiting())),
        "admin, the newest": partial(_look, partial(_admin, "")),
        "admin, those that wait": partial(_look, partial(_admin, "?state__exact=0")),
        "admin, those that are hints only": partial(_look, partial(_admin, "?hint_only__exact=1")),
        "admin, one found by its key": partial(_look, partial(_admin, "?q=evt_not_there")),
        "purge, one step": _purge_step,
    }
    seconds: dict[tuple[str, str], list[float]] = {(name, schema): [] for name in works for schema in (EMPTY, YEAR)}
    # The first round only warms up. In each work both have their turn before the next work begins.
    for number in range(-1, rounds):
        for name, work in works.items():
            for schema in (EMPTY, YEAR) if number % 2 else (YEAR, EMPTY):
                with _in(schema):
                    took = work()
                if number >= 0:
                    seconds[name, schema].append(took)
    return {name: _print_ratio(name, seconds[name, YEAR], seconds[name, EMPTY]) for name in works}


def _print_ratio(name: str, year: list[float], empty: list[float]) -> float:
    ratios = sorted(a / b for a, b in zip(year, empty, strict=True))
    ratio = statistics.median(ratios)
    quarter = ratios[len(ratios) // 4]
    half = f"half of the rounds {quarter:.2f} to {ratios[-1 - len(ratios) // 4]:.2f}"
    mine, bare = statistics.median(year) * 1000, statistics.median(empty) * 1000
    print(f"year, {name}: {ratio:.2f} times as long ({half}; {mine:.1f} ms to {bare:.1f} ms)")
    return quarter


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _keep(count: int, *, together: int) -> float:
    connector, now, endpoint_id = services.reading._unbound("stripe"), timezone.now(), prepared.endpoint().pk
    bodies = [prepared.event(n, refunds=count // 2, run=uuid.uuid4().hex) for n in range(count)]
    rows = [inbox.row_of(endpoint_id, Delivery(body, {}, now), connector, hint_only=False) for body in bodies]
    groups = [rows[start : start + together] for start in range(0, count, together)]

    def keep_all() -> None:
        for group in groups:
            inbox.keep(group)

    return _timed(keep_all)


def _claim() -> float:
    """Everything that waits, claimed batch by batch; then it is as if it had never been."""
    claims: list[inbox.Claim] = []

    def claim_all() -> None:
        while (claim := inbox.claim(limit=CLAIMED_AT_ONCE))[1]:
            claims.append(claim)

    took = _timed(claim_all)
    assert claims, "nothing waited"
    for lease, claimed in claims:
        inbox.give_back(lease, [delivery.pk for delivery in claimed])
    return took


def _apply() -> float:
    def apply_all() -> None:
        while services.apply_deliveries():
            pass

    took = _timed(apply_all)
    assert not figures.waiting()
    return took


def _look(what: Callable[[], object]) -> float:
    """The quickest of some looks, which what else goes on here disturbs least."""
    return min(_timed(what) for _ in range(TIMES_LOOKED))


def _scrape() -> None:
    readiness.forget()
    metrics.exposition()


def _admin(query: str) -> None:
    """The list of deliveries as somebody who may see everything is shown it."""
    request = RequestFactory().get(f"/admin/connectors/webhookdelivery/{query}")
    request.user = User(pk=1, username="bench", is_superuser=True, is_staff=True)
    answer = admin.site.get_model_admin(WebhookDelivery).changelist_view(request)
    assert isinstance(answer, TemplateResponse)
    assert answer.render().status_code == 200


def _purge_step() -> float:
    """Of what lies before the year, in both inboxes alike."""
    before = timezone.now() - dt.timedelta(days=DAYS + 0.5)
    purged: list[int] = []
    took = _timed(lambda: purged.append(inbox.purge(received_before=before, limit=purging.PURGE_BATCH)))
    assert purged == [purging.PURGE_BATCH], f"{purged} purged"
    return took


# Purging down, and what comes after.


def _purge_the_year(count: int) -> None:
    """What was never purged goes by the ticker's own turns, without a VACUUM between them."""
    days, before, turns = settings.KEEP_DELIVERIES_DAYS, _gigabytes(), []
    while True:
        took = time.perf_counter()
        purged = services.purge_deliveries(seconds=0.5)
        if not purged:
            break
        turns.append(purged / (time.perf_counter() - took))
    left = WebhookDelivery.objects.count()
    vacuum = _timed(partial(_sql, f"VACUUM ANALYZE {TABLE}"))
    print(
        f"year, purged to {days} days: {left:,} deliveries left; {turns[0]:,.0f}/s in the first turn, "
        f"{turns[-1]:,.0f}/s in the last of {len(turns)}, {min(turns):,.0f}/s in the slowest "
        f"(a VACUUM then took {vacuum:.1f} s; {before}, then {_gigabytes()})"
    )
    assert left < count * (days + 2) / DAYS * 1.5 + 100_000


def _go_on(a_day: int) -> None:
    """Days at 90 days kept: as many come as go, and the room of those that went is used again."""
    # What the year has left free would hold these days without any purging.
    _sql(f"VACUUM FULL {TABLE}")
    size, seconds = _sql("SELECT pg_total_relation_size(%s::regclass)", [TABLE])[0][0], []
    left = WebhookDelivery.objects.count()
    for _ in range(STEADY_DAYS):
        # Instead of making every row a day older, the oldest day's worth goes.
        _deliver(a_day, newest_days_ago=0, days=0.01)
        first_to_stay = WebhookDelivery.objects.order_by("received_at").values_list("received_at", flat=True)[a_day]
        seconds.append(_timed(partial(_purge_older_than, first_to_stay)))
        _sql(f"VACUUM {TABLE}")
    grown = _sql("SELECT pg_total_relation_size(%s::regclass)", [TABLE])[0][0] / size
    print(
        f"year, {STEADY_DAYS} days of {a_day:,} deliveries with {left:,} kept: a day's purge takes "
        f"{statistics.median(seconds):.2f} s, the last {seconds[-1] / seconds[0]:.2f} of the first; table and indexes "
        f"{grown:.2f} times as large at the end"
    )
    assert grown < GROWN_AT_MOST, "the room of purged deliveries is not used again"


def _purge_older_than(moment: dt.datetime) -> None:
    while inbox.purge(received_before=moment, limit=purging.PURGE_BATCH) == purging.PURGE_BATCH:
        pass
