"""What goes wrong with the database in P21: for each a context manager during which it is wrong."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.house import House
from tests.house.house import descendants

Trouble = Callable[[House], Any]
IS_ROOT = os.geteuid() == 0
FILLED_ROWS = 45_000
"""So many make the inbox's table larger than the 16 MiB of a segment of the log, which must not be what cannot grow.
They are smaller than a delivery, so that none finds room between them."""


# On PostgreSQL.


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
def no_room_to_grow(house: House) -> Iterator[None]:
    """The inbox's table is the largest of the server's files, and none of them may grow beyond it."""
    assert house.cluster
    made_larger = (
        "INSERT INTO connectors_webhookdelivery"
        " (endpoint_id, received_at, body, headers_json, dedupe_key, state, next_attempt_at)"
        " SELECT min(endpoint.id), now(), '', repeat('x', 300), 'filler ' || n, 1, now()"
        f" FROM connectors_webhookendpoint endpoint, generate_series(1, {FILLED_ROWS}) n GROUP BY n"
    )
    connection = _sql(house, made_larger)
    limit = connection.execute("SELECT pg_relation_size('connectors_webhookdelivery')").fetchone()[0]
    owner = ["runuser", "-u", "postgres", "--"] if IS_ROOT else []
    postmaster = int((house.cluster.folder / "data" / "postmaster.pid").read_text().split()[0])
    _limit_files([postmaster], limit, as_owner=owner)
    try:
        yield
    finally:
        _limit_files([postmaster], None, as_owner=owner)
        connection.execute("DELETE FROM connectors_webhookdelivery WHERE dedupe_key LIKE 'filler %'")
        connection.close()


def _limit_files(leaders: list[int], limit: int | None, *, as_owner: Sequence[str] = ()) -> None:
    """How large a file may become that these processes, or any they started or will start, write to."""
    for leader in leaders:
        # The leader first: what it starts from now on has its limit. One that has ended meanwhile needs none.
        for pid in (leader, *descendants(leader)):
            command = [*as_owner, "prlimit", f"--pid={pid}", f"--fsize={limit or 'unlimited'}:"]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            assert done.returncode == 0 or not Path(f"/proc/{pid}").exists(), done.stderr


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


# On SQLite.


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
def sqlite_no_room_to_grow(house: House) -> Iterator[None]:
    """The write-ahead log may not become larger than it is, nor any other file larger than that."""
    wal = house.folder / "house.sqlite3-wal"
    leaders = [process.pid for process in house.processes]
    _limit_files(leaders, max(wal.stat().st_size, 1 << 16))
    try:
        yield
    finally:
        _limit_files(leaders, None)


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
def small_filesystem(folder: Path) -> Iterator[None]:
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
    "no room to grow": no_room_to_grow,
    "read-only": read_only,
    "locked": locked,
    "stopped": stopped,
    "no more connections": no_more_connections,
}
SQLITE: dict[str, Trouble] = {
    "full": sqlite_full,
    "no room to grow": sqlite_no_room_to_grow,
    "read-only": sqlite_read_only,
    "locked": sqlite_locked,
}
NEED_ROOT: tuple[Trouble, ...] = (full, sqlite_full, sqlite_read_only)
"""They mount a filesystem, or make a file that nobody may change, not even who has it open already."""
