"""A run's temporary tables, and what the two databases write differently."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper

from refunds.reconciliation import ladder
from refunds.reconciliation.models import Run

_WORK_MEMORY = "128MB"
_SQLITE_CACHE_KIB = 65_536
_SQLITE_ROWS_COUNTED = 1_000
_PREFIX = "recon_"


class Workbench:
    """Runs the statements of one run. `recon_*` are its tables; parameters are written `%(as_of)s`."""

    def __init__(self, run: Run, account_ids: Sequence[int], cursor: CursorWrapper) -> None:
        self.run_row, self.cursor = run, cursor
        self.parties = run.parties
        self.account_ids = sorted(account_ids)
        self.groups: dict[str, list[int]] = {}
        """Accounts that have something in common, by what it is."""
        self.vouched = self.rejected = False
        """Whether anybody has accepted, or rejected, a pair: nearly never, and then nothing is asked about it."""
        self.postgres = connection.vendor == "postgresql"
        day = dt.timedelta(days=1)
        self.parameters: dict[str, Any] = {
            "run": run.pk,
            "version": run.rule_version,
            "as_of": run.as_of,
            "since": run.since,
            "until": run.until,
            "far_since": run.since - ladder.HORIZON,
            "far_until": run.until + ladder.HORIZON,
            "a_day_ago": run.as_of - day,
            "three_days_ago": run.as_of - 3 * day,
            "seven_days_ago": run.as_of - 7 * day,
        }

    @property
    def settled(self) -> bool:
        """Whether the settlement is one of the parties."""
        return "S" in self.parties

    @property
    def banked(self) -> bool:
        return "B" in self.parties

    @property
    def accounts(self) -> str:
        """The accounts as a list for IN; they are our own numbers."""
        return f"({', '.join(map(str, self.account_ids))})"

    def among(self, group: str, table: str = "r") -> str:
        """Whether a row's account is one of the group; said outright, so that no row has to be looked up for it."""
        ids = self.groups[group]
        return f"({table}.account_id IN ({', '.join(map(str, ids))}))" if ids else "FALSE"

    def do(self, sql: str, **more: Any) -> int:
        """Run one statement; how many rows it touched."""
        self.cursor.execute(sql, self._plain({**self.parameters, **more}))
        return max(int(self.cursor.rowcount), 0)

    def rows(self, sql: str, **more: Any) -> list[tuple[Any, ...]]:
        self.cursor.execute(sql, self._plain({**self.parameters, **more}))
        return list(self.cursor.fetchall())

    def count(self, table: str, where: str = "TRUE") -> int:
        [(number,)] = self.rows(f"SELECT count(*) FROM {table} WHERE {where}")
        return int(number)

    def make(self, table: str, sql: str, *indexes: str, know: str = "", **more: Any) -> None:
        """A temporary table of what a query finds, with indexes on these columns and what the planner has to know."""
        self.do(f"CREATE TEMPORARY TABLE {table} AS {sql}", **more)
        self.know(table, *indexes, columns=know)

    def make_empty(self, table: str, columns: Mapping[str, str]) -> None:
        shown = ", ".join(f"{name} {self._type(kind)}" for name, kind in columns.items())
        self.do(f"CREATE TEMPORARY TABLE {table} ({shown})")

    def know(self, table: str, *indexes: str, columns: str = "") -> None:
        """Let the planner count a table, or only these columns of a wide one, after the indexes that are wanted."""
        for index in indexes:
            self.do(f"CREATE INDEX {table}_{index.replace(', ', '_')} ON {table} ({index})")
        if self.postgres:
            self.do(f"ANALYZE {table} ({columns})" if columns else f"ANALYZE {table}")

    def fill(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """A few rows from our process: terms, units, what was known then."""
        if rows:
            places = ", ".join(["%s"] * len(rows[0]))
            plain = [[self._value(value) for value in row] for row in rows]
            self.cursor.executemany(f"INSERT INTO {table} VALUES ({places})", plain)

    def count_joined(self) -> None:
        """SQLite counts nothing by itself, and then joins by the wrong index: a month of 20,000 took seven minutes."""
        if self.postgres:
            return
        self.do(f"PRAGMA analysis_limit = {_SQLITE_ROWS_COUNTED}")
        for table in ("refunds_refund", "reconciliation_settledline", "reconciliation_ledgerentry"):
            self.do(f"ANALYZE {table}")

    # What is written differently.

    def plus(self, moment: str, amount: str, unit: str = "days") -> str:
        """A moment some days or hours later; `amount` is SQL too."""
        if self.postgres:
            return f"({moment} + ({amount}) * interval '1 {unit[:-1]}')"
        # SQLite's own functions cut a moment to seconds; what it has beyond them is put back.
        shifted = f"strftime('%%Y-%%m-%%d %%H:%%M:%%S', {moment}, ({amount}) || ' {unit}')"
        return f"({shifted} || substr({moment}, 20))"

    def moment_of(self, key: str) -> str:
        """The moment a merge key begins with: 17 digits of microseconds."""
        microseconds = f"CAST(substr({key}, 1, 17) AS bigint)"
        if self.postgres:
            return f"(timestamptz 'epoch' + {microseconds} * interval '1 microsecond')"
        seconds = f"strftime('%%Y-%%m-%%d %%H:%%M:%%S', {microseconds} / 1000000, 'unixepoch')"
        return f"({seconds} || printf('.%%06d', {microseconds} %% 1000000))"

    def seconds(self, moment: str) -> str:
        """Whole seconds since 1970."""
        if self.postgres:
            return f"CAST(FLOOR(EXTRACT(EPOCH FROM {moment})) AS bigint)"
        return f"CAST(strftime('%%s', {moment}) AS integer)"

    @property
    def moment_type(self) -> str:
        return self._type("timestamptz")

    def least(self, *values: str) -> str:
        return f"{'LEAST' if self.postgres else 'MIN'}({', '.join(values)})"

    def _type(self, kind: str) -> str:
        return kind if self.postgres else {"timestamptz": "datetime", "text": "text"}.get(kind, kind)

    def _plain(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._value(value) for name, value in values.items()}

    def _value(self, value: Any) -> Any:
        """SQLite compares moments as the text that Django keeps."""
        if isinstance(value, dt.datetime) and not self.postgres:
            return connection.ops.adapt_datetimefield_value(value)
        return value


@contextmanager
def workbench(run: Run, account_ids: Sequence[int]) -> Iterator[Workbench]:
    """A workbench with empty drawers, tidied afterwards whatever happened."""
    with connection.cursor() as cursor:
        bench = Workbench(run, account_ids, cursor)
        _prepare(bench)
        try:
            yield bench
        finally:
            if not connection.needs_rollback:
                _tidy(bench)


def _prepare(bench: Workbench) -> None:
    _tidy(bench)
    if bench.postgres:
        bench.do("SET work_mem = '" + _WORK_MEMORY + "'")
        # Compiling these statements takes longer than running them.
        bench.do("SET jit = off")
    else:
        bench.do(f"PRAGMA temp.cache_size = -{_SQLITE_CACHE_KIB}")


def _tidy(bench: Workbench) -> None:
    names = "SELECT c.relname FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = pg_my_temp_schema()"
    if not bench.postgres:
        names = "SELECT name FROM sqlite_temp_master WHERE type = 'table'"
    for (name,) in bench.rows(names):
        if str(name).startswith(_PREFIX):
            bench.do(f"DROP TABLE {name}")
    if bench.postgres:
        bench.do("RESET work_mem")
        bench.do("RESET jit")
