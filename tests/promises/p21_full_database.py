"""P21. The database is full, read-only, locked, stopped, or takes no more connections, each while deliveries come.

PostgreSQL keeps the inbox's table in a tablespace on a small filesystem, and SQLite its file, so that both really run
out of space. Needs root, to mount them. It has been seen to fail: where every request waits for a database that is
locked, instead of one a second, the threads are used up and senders get no answer at all.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.utils import timezone

from tests.house import House, Processors, Sender, check_nothing_lost

TITLE = (
    "A full, read-only, locked or missing database: acknowledged is stored, 503 otherwise, and it recovers by itself"
)
SIZES = {"smoke": (2.0, 20), "full": (10.0, 100)}
ANSWERED_WITHIN_SECONDS = 4.5
RECOVERS_WITHIN_SECONDS = 20.0
Trouble = Callable[[House], Any]


def run(size: str, seed: int) -> list[str]:
    """PostgreSQL in this process; SQLite in another, because one process has one house."""
    house = House(webs=1, workers=1, postgres_options=("-c", "max_connections=40"))
    figures = _try(house, POSTGRES, size, seed)
    return figures + _in_another_process(size, seed)


def _in_another_process(size: str, seed: int) -> list[str]:
    code = f"from tests.promises.p21_full_database import on_sqlite; on_sqlite({size!r}, {seed})"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def on_sqlite(size: str, seed: int) -> None:
    house = House(database="sqlite", webs=1, workers=1)
    with _small_filesystem(house.folder):
        figures = _try(house, SQLITE, size, seed)
    print(*figures, sep="\n")


def _try(house: House, troubles: dict[str, Trouble], size: str, seed: int) -> list[str]:
    seconds, per_second = SIZES[size]
    figures = []
    with house, Processors(house, seed=seed) as processors:
        pids = [process.pid for process in house.processes]
        sender = Sender(house.urls, processors.paths["stripe"], per_second=per_second, patience_seconds=120)
        with sender:
            sender.wait_for(200, since=0, seconds=20)
            for name, trouble in troubles.items():
                try:
                    figures.append(f"{_kind(house)}, {name}: {_during(house, sender, trouble, seconds)}")
                except AssertionError as error:
                    raise AssertionError(f"{_kind(house)}, {name}: {error}") from error
        if size == "smoke":
            _end_leases()
        counts = check_nothing_lost(sender, seconds=240)
        assert [process.pid for process in house.processes] == pids, "a process was started anew"
    return [*figures, f"{_kind(house)}, altogether: {counts}"]


def _end_leases() -> None:
    """What a worker had begun is taken up again when its lease ends, two minutes later; only the full run waits."""
    from connectors import inbox
    from connectors.models import DeliveryState, WebhookDelivery

    WebhookDelivery.objects.filter(state=DeliveryState.WAITING).update(next_attempt_at=timezone.now())
    inbox.deliveries_waiting.send(sender=None)


def _during(house: House, sender: Sender, trouble: Trouble, seconds: float) -> str:
    with trouble(house):
        sender.wait_for(503, since=time.monotonic(), seconds=20)
        began = time.monotonic()
        time.sleep(seconds)  # the length of the outage
        page = _page(house.urls[0])
        ended = time.monotonic()
    well = sender.wait_for(200, since=ended, seconds=RECOVERS_WITHIN_SECONDS)
    bad = [answer for answer in list(sender.answers) if began <= answer.at <= ended]
    assert {answer.status for answer in bad} <= {200, 503}, sender.statuses(began)
    assert all(answer.says_when for answer in bad if answer.status == 503), "a 503 without Retry-After"
    slowest = max(answer.seconds for answer in bad)
    assert slowest <= ANSWERED_WITHIN_SECONDS, f"answered after {slowest:.1f} s"
    refused = sum(answer.status == 503 for answer in bad)
    assert refused, "the trouble troubled nobody"
    return f"{refused} answered 503, the slowest after {slowest:.1f} s; page {page}; well after {well.at - ended:.1f} s"


def _page(url: str) -> int:
    """What the page for signing in answers: with words for people, whatever its status."""
    try:
        with urllib.request.urlopen(f"{url}/login/", timeout=40) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        code, words = error.code, error.read().decode(errors="replace")
    assert len(words) > 20, f"an empty page with {code}"
    assert "Traceback" not in words
    return code


def _kind(house: House) -> str:
    return "PostgreSQL" if house.cluster else "SQLite"


# What goes wrong, on PostgreSQL.


def _sql(house: House, *statements: str) -> Any:
    """As the database's owner, on a connection of its own."""
    import psycopg

    assert house.cluster
    connection = psycopg.connect(house.cluster.url, autocommit=True)
    for statement in statements:
        connection.execute(statement)
    return connection


@contextmanager
def full(house: House) -> Iterator[None]:
    """The inbox's table moves to a filesystem that has no room for more."""
    assert house.cluster
    folder = house.cluster.folder / "small"
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs", str(folder)], check=True)
    space, filler = folder / "space", folder / "filler"
    try:
        subprocess.run(["install", "-d", "-o", "postgres", "-m", "700", str(space)], check=True)
        _sql(
            house,
            f"CREATE TABLESPACE small LOCATION '{space}'",
            "ALTER TABLE connectors_webhookdelivery SET TABLESPACE small",
        ).close()
        with filler.open("wb", buffering=0) as file:
            _fill(file)
        yield
    finally:
        filler.unlink(missing_ok=True)
        _sql(house, "ALTER TABLE connectors_webhookdelivery SET TABLESPACE pg_default", "DROP TABLESPACE small").close()
        subprocess.run(["umount", str(folder)], check=True)


def _fill(file: Any) -> None:
    """Write until there is no room for another byte."""
    for size in (1 << 20, 1 << 12, 1):
        try:
            while True:
                file.write(b"\0" * size)
        except OSError:
            continue


@contextmanager
def read_only(house: House) -> Iterator[None]:
    _sql(house, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()").close()
    try:
        yield
    finally:
        connection = _sql(house)
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
        connection.execute("SELECT pg_reload_conf()")
        connection.close()


@contextmanager
def locked(house: House) -> Iterator[None]:
    connection = _sql(house, "BEGIN", "LOCK TABLE connectors_webhookdelivery IN ACCESS EXCLUSIVE MODE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@contextmanager
def stopped(house: House) -> Iterator[None]:
    assert house.cluster
    house.cluster.stop()
    try:
        yield
    finally:
        house.cluster.start()
        _forget_connections()


@contextmanager
def no_more_connections(house: House) -> Iterator[None]:
    """Somebody else takes every connection there is, those of the house among them."""
    import psycopg

    assert house.cluster
    taken = [_sql(house)]
    ours = "pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name <> 'greedy'"
    while taken[0].execute(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {ours}").fetchone()[0]:
        with suppress(psycopg.OperationalError):
            while True:
                taken.append(psycopg.connect(house.cluster.url, autocommit=True, application_name="greedy"))
    try:
        yield
    finally:
        for connection in taken:
            connection.close()
        _forget_connections()


def _forget_connections() -> None:
    """This process's own are dead too."""
    from django.db import connections

    connections.close_all()


# What goes wrong, on SQLite.


@contextmanager
def sqlite_full(house: House) -> Iterator[None]:
    """Its filesystem has no room: the house's folder lies on one that is filled."""
    filler = house.folder / "filler"
    with filler.open("wb", buffering=0) as file:
        _fill(file)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def sqlite_locked(house: House) -> Iterator[None]:
    import sqlite3

    connection = sqlite3.connect(house.folder / "house.sqlite3", isolation_level=None, timeout=30)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@contextmanager
def sqlite_read_only(house: House) -> Iterator[None]:
    """The files may not be changed, not even by root."""
    files = [str(house.folder / f"house.sqlite3{suffix}") for suffix in ("", "-wal")]
    subprocess.run(["chattr", "+i", *files], check=True)
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", *files], check=True)


@contextmanager
def _small_filesystem(folder: Path) -> Iterator[None]:
    """A filesystem of its own on the folder. Needs root, as the full one of PostgreSQL does."""
    image = folder.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()
        image.unlink()


POSTGRES: dict[str, Trouble] = {
    "full": full,
    "read-only": read_only,
    "locked": locked,
    "stopped": stopped,
    "no more connections": no_more_connections,
}
SQLITE: dict[str, Trouble] = {"full": sqlite_full, "read-only": sqlite_read_only, "locked": sqlite_locked}
