"""P23. Everything that is newer than each app's first migration is migrated, and what later ones will bring is tried,
on large tables, while deliveries come and pages are read.

While tables are migrated, the release before still reads and writes them. It cannot run here, so until the last
migration is through its part is played by the receiver, which needs none of the new tables, and by statements like
those of its pages; no worker runs. The probes then meet the pages themselves. It has been seen to fail: with migrations
that wait five seconds for a lock, deliveries behind a long reader are answered 503.
"""

from __future__ import annotations

import threading
import time
import urllib.request
from collections import Counter
from typing import Any

from tests.house import House, Processors, Sender, check_nothing_lost
from tests.house.seed import seed as seed_refunds
from tests.house.session import session_cookie

TITLE = "Migrations do not stop the house: no statement waits for a lock for longer than a second, no 5xx"
SIZES = {"smoke": (8_000, 50), "full": (2_000_000, 100)}
LONGEST_WAIT_SECONDS = 1.0
PROBES = (
    "ALTER TABLE refunds_refund ADD COLUMN probe integer",
    "ALTER TABLE refunds_observation ADD COLUMN probe integer DEFAULT 0 NOT NULL",
    "CREATE INDEX CONCURRENTLY probe_index ON refunds_observation (event_type, received_at)",
    "CREATE INDEX CONCURRENTLY probe_inbox ON connectors_webhookdelivery (endpoint_id, finished_at)",
    "ALTER TABLE refunds_observation ADD CONSTRAINT probe_check CHECK (count > 0) NOT VALID",
    "ALTER TABLE refunds_observation VALIDATE CONSTRAINT probe_check",
    "DROP INDEX CONCURRENTLY probe_index",
)


def run(size: str, seed: int) -> list[str]:
    refunds, per_second = SIZES[size]
    with House(webs=2) as house, Processors(house, seed=seed) as processors:
        from refunds.models import Observation, Refund

        seed_refunds(processors.accounts["stripe"], refunds, seed=seed)
        house.manage("migrate", "refunds", "0001", "--verbosity", "0")
        house.manage("migrate", "connectors", "0001", "--verbosity", "0")
        seeded = (Refund.objects.count(), Observation.objects.count())
        sender = Sender(house.urls, processors.paths["stripe"], per_second=per_second)
        with sender, _LockWatch(house) as watch:
            sender.wait_for(200, since=0, seconds=20)
            started = time.monotonic()
            with _OldReader(house) as old:
                migrated = house.manage("migrate").stdout.count("... OK")
            with _Reader(house.urls, session_cookie("support")) as reader:
                for statement in PROBES:
                    _migrate(statement)
                waited = _behind_a_long_reader(house)
            seconds = time.monotonic() - started
        assert set(sender.statuses()) == {200}, sender.statuses()
        assert set(reader.statuses) == {200}, reader.statuses
        assert old.slowest <= LONGEST_WAIT_SECONDS + 1, f"a list took {old.slowest:.2f} s"
        assert watch.longest <= LONGEST_WAIT_SECONDS, f"{watch.longest:.2f} s: {watch.statement}"
        _apply_all()
        counts = check_nothing_lost(sender)
    return [
        f"{seeded[0]:,} refunds, {seeded[1]:,} observations: {migrated} migrations and {len(PROBES)} probes in "
        f"{seconds:.0f} s at {per_second} deliveries/s",
        f"longest wait for a lock {watch.longest * 1000:.0f} ms in {watch.looks:,} looks; a migration behind a long "
        f"reader gave up after {waited * 1000:.0f} ms",
        f"{counts}; slowest answer {max(a.seconds for a in sender.answers):.2f} s, p99 {_p99(sender):.3f} s; "
        f"{old.reads:,} lists and {sum(reader.statuses.values()):,} pages read, slowest {old.slowest:.2f} s and "
        f"{reader.slowest:.2f} s; 5xx 0",
    ]


def _apply_all() -> None:
    from refunds import services

    while services.apply_deliveries():
        pass


def _migrate(statement: str) -> None:
    """As `migrate` does it."""
    from django.db import connection

    from connectors import migrating

    migrating.be_brief(using="default")
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        migrating.be_patient_again(using="default")


def _behind_a_long_reader(house: House) -> float:
    """Somebody's long query keeps a table; a migration that needs it gives up and lets the others by. Its seconds."""
    import pytest
    from django.db import OperationalError

    with _connect(house) as reading, reading.transaction():
        reading.execute("SELECT 1 FROM connectors_webhookdelivery LIMIT 1")
        started = time.monotonic()
        with pytest.raises(OperationalError, match="lock timeout"):
            _migrate("ALTER TABLE connectors_webhookdelivery ADD COLUMN probe integer")
        return time.monotonic() - started


def _connect(house: House) -> Any:
    import psycopg

    assert house.cluster
    return psycopg.connect(house.cluster.url, autocommit=True)


def _p99(sender: Sender) -> float:
    seconds = sorted(answer.seconds for answer in sender.answers)
    return seconds[int(len(seconds) * 0.99)]


class _Background:
    """Does one thing again and again in a thread, until the block is left."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            self.once()

    def once(self) -> None:
        raise NotImplementedError


class _Reader(_Background):
    """Reads the list of refunds, and one of them, as support does all day."""

    def __init__(self, urls: list[str], cookie: str) -> None:
        from refunds.models import Refund

        super().__init__()
        one = Refund.objects.order_by("-id")[0].get_absolute_url()
        self._pages = [url + path for url in urls for path in ("/refunds/", one, "/refunds/?status=FAILED")]
        self._cookie = cookie
        self.statuses = Counter[int]()
        self.slowest = 0.0

    def once(self) -> None:
        page = self._pages[sum(self.statuses.values()) % len(self._pages)]
        started = time.monotonic()
        request = urllib.request.Request(page, headers={"Cookie": self._cookie})
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                assert "/login" not in response.url, "the reader is not signed in"
                status = response.status
        except urllib.error.HTTPError as error:
            status = error.code
        self.slowest = max(self.slowest, time.monotonic() - started)
        self.statuses[status] += 1


class _OldReader(_Background):
    """Reads what a page of the release before would: the newest refunds, and the observations of one."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self._connection = _connect(house)
        self.reads, self.slowest = 0, 0.0

    def once(self) -> None:
        started = time.monotonic()
        newest = self._connection.execute(
            "SELECT id, status, stage, as_of, checked_at FROM refunds_refund ORDER BY created_at DESC, id DESC LIMIT 50"
        ).fetchall()
        self._connection.execute(
            "SELECT source, stage, as_of, received_at FROM refunds_observation WHERE refund_id = %s", [newest[0][0]]
        ).fetchall()
        self.slowest = max(self.slowest, time.monotonic() - started)
        self.reads += 1


class _LockWatch(_Background):
    """Who waits for a lock, and how long, as PostgreSQL itself sees it; the migration's own statements do not count."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self._connection = _connect(house)
        self.longest, self.looks, self.statement = 0.0, 0, ""

    def once(self) -> None:
        self.looks += 1
        waiting = self._connection.execute(
            "SELECT extract(epoch FROM clock_timestamp() - waitstart)::float, left(query, 200) FROM pg_locks"
            " JOIN pg_stat_activity USING (pid) WHERE NOT granted AND waitstart IS NOT NULL"
            " AND query NOT ILIKE '%%CONCURRENTLY%%' AND query !~* '^ *(ALTER|CREATE|DROP) '"
        ).fetchall()
        for seconds, query in waiting:
            if seconds > self.longest:
                self.longest, self.statement = seconds, query
