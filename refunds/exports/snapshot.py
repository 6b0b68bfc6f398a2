"""Rows as they all were at one moment, read in a thread of its own while what came before is being written.

The thread has a connection of its own, in one transaction that only reads: REPEATABLE READ on PostgreSQL; on SQLite a
plain read transaction, which holds up no writer. On PostgreSQL the database presents the rows and hands them over by
COPY; elsewhere, and where rows are no query, Python does. The text is the same.
"""

from __future__ import annotations

import datetime as dt
import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import connection, connections
from django.db.models import QuerySet
from django.utils import timezone

from refunds.exports.columns import Rows, view_of
from refunds.exports.csvfile import csv_line
from refunds.exports.fingerprints import fingerprint
from refunds.exports.presenting import Cell, View

_ROWS_A_CHUNK = 500
_CHUNKS_AHEAD = 4
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Opening:
    """What is known before the first row."""

    moment: dt.datetime
    headings: list[str]
    kinds: list[Cell]
    """Of each column."""
    expected: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, each with its fingerprint: as lines of CSV without their ends, or as cells."""

    fingerprints: list[int]
    rows: list[Any]


class Snapshot:
    """`with Snapshot(...) as (opening, chunks):`; `make` is called within the snapshot and says what its rows are."""

    def __init__(self, make: Callable[[], Rows], *, zone: Any, lines: bool, guards: bool) -> None:
        self._make, self._zone, self._lines, self._guards = make, zone, lines, guards
        self._queue: queue.Queue[Any] = queue.Queue(_CHUNKS_AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="export-reader", daemon=True)

    def __enter__(self) -> tuple[Opening, Iterator[Chunk]]:
        self._thread.start()
        try:
            return self._next(), self._chunks()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _chunks(self) -> Iterator[Chunk]:
        while (chunk := self._next()) is not None:
            yield chunk

    def _next(self) -> Any:
        found = self._queue.get()
        if isinstance(found, BaseException):
            raise found
        return found

    # In the thread.

    def _run(self) -> None:
        try:
            for found in self._read():
                self._put(found)
            self._put(None)
        except _Stopped:
            pass
        except BaseException as error:
            self._put_at_last(error)
        finally:
            connections.close_all()

    def _put(self, found: Any) -> None:
        while not self._stopped.is_set():
            try:
                return self._queue.put(found, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
        raise _Stopped

    def _put_at_last(self, error: BaseException) -> None:
        with suppress(_Stopped):
            self._put(error)

    def _read(self) -> Iterator[Any]:
        with connection.cursor() as cursor:
            postgres = connection.vendor == "postgresql"
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if postgres else "BEGIN")
            try:
                rows = self._make()
                view = view_of(self._zone, _moment(cursor) if postgres else timezone.now(), guards=self._guards)
                kinds = [column.presenter.cell for column in rows.columns]
                yield Opening(view.moment, rows.headings(self._zone), kinds, rows.count)
                if postgres and isinstance(rows.values, QuerySet):
                    yield from _copied(cursor, rows, view, lines=self._lines)
                else:
                    yield from _presented(rows, view, lines=self._lines)
            finally:
                cursor.execute("ROLLBACK")


class _Stopped(Exception):
    """Nobody reads any further."""


def _moment(cursor: Any) -> dt.datetime:
    cursor.execute("SELECT transaction_timestamp()")
    [(moment,)] = cursor.fetchall()
    found: dt.datetime = moment
    return found


def _presented(rows: Rows, view: View, *, lines: bool) -> Iterator[Chunk]:
    cells = rows.presented(view)
    return _chunks(map(csv_line, cells) if lines else cells, rows.uncounted)


def _chunks(written: Iterator[Any], uncounted: int) -> Iterator[Chunk]:
    """Lines, or cells, with their fingerprints; the same for both."""
    while some := list(itertools.islice(written, _ROWS_A_CHUNK)):
        lines = some if isinstance(some[0], bytes) else map(csv_line, some)
        yield Chunk([fingerprint(line.rsplit(b",", uncounted)[0]) for line in lines], some)


# On PostgreSQL.


def presented_sql(rows: Rows, view: View) -> str:
    """The query whose columns are the file's cells as text."""
    assert isinstance(rows.values, QuerySet)
    sql, parameters = rows.values.query.sql_with_params()
    with connection.cursor() as cursor:
        inner = cursor.mogrify(sql, parameters)
    names = {name: f"x.c{place}" for place, name in enumerate(rows.fields)}
    cells = [column.presenter.sql(view, *[names[name] for name in column.reads]) for column in rows.columns]
    columns = ", ".join(f"c{place}" for place in range(len(rows.fields)))
    # The inner query is ordered, so it stays one and nothing in it is worked out twice.
    return f"SELECT {', '.join(cells)} FROM ({inner}) AS x({columns})"  # noqa: S608


def settle_session(cursor: Any, view: View) -> None:
    """What presentation in SQL relies on, until the transaction ends."""
    cursor.execute("SET LOCAL datestyle = 'ISO, YMD'")
    cursor.execute("SELECT set_config('timezone', %s, true)", [view.zone.key])
    # Compiling takes longer than it saves where most of the time goes into text.
    cursor.execute("SET LOCAL jit = off")


def _copied(cursor: Any, rows: Rows, view: View, *, lines: bool) -> Iterator[Chunk]:
    try:
        sql = presented_sql(rows, view)
    except EmptyResultSet:
        # Of no accounts, for instance: Django knows without asking that there is nothing.
        return
    settle_session(cursor, view)
    form = "(FORMAT csv)" if lines else "(FORMAT text)"
    with cursor.copy(f"COPY ({sql}) TO STDOUT WITH {form}") as copy:
        # Each message is one row; a line comes with its end.
        yield from _chunks((bytes(line)[:-1] for line in copy) if lines else copy.rows(), rows.uncounted)
