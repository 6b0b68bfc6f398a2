"""Set-based writes for the hot paths: many rows in one statement, on both databases.

On PostgreSQL the rows travel as one array a column (`unnest`), on SQLite as a VALUES list or as executemany. Table and
column names come from this code only, never from data.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

Row = Sequence[Any]
_SQLITE_VARIABLES = 30_000


def insert_new(
    table: str, columns: Mapping[str, str], rows: Sequence[Row], *, unique: str, returning: str = "id"
) -> list[tuple[Any, ...]]:
    """Insert the rows that are not there yet by the `unique` columns; `returning` of those that were inserted.

    `columns` maps each column to its PostgreSQL type; JSON is given as text.
    """
    if not rows:
        return []
    names = ", ".join(columns)
    tail = f"ON CONFLICT ({unique}) DO NOTHING RETURNING {returning}"
    if connection.vendor == "postgresql":
        return _fetch(f"INSERT INTO {table} ({names}) {_select(columns)} {tail}", _arrays(columns, rows))
    found: list[tuple[Any, ...]] = []
    one = f"({', '.join(['%s'] * len(columns))})"
    step = max(_SQLITE_VARIABLES // len(columns), 1)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        sql = f"INSERT INTO {table} ({names}) VALUES {', '.join([one] * len(part))} {tail}"  # noqa: S608
        found += _fetch(sql, [_plain(value) for row in part for value in row])
    return found


def update_by_id(table: str, columns: Mapping[str, str], rows: Sequence[Row], *, only_where: str = "") -> None:
    """Set the columns of each row; the first column is `id`. `only_where` may compare the table (`t`) with the new
    values (`v`), for instance `t.winning_key <= v.winning_key`."""
    if not rows:
        return
    names = list(columns)
    condition = f" AND {only_where}" if only_where else ""
    if connection.vendor == "postgresql":
        changes = ", ".join(f"{name} = v.{name}" for name in names[1:])
        sql = f"UPDATE {table} AS t SET {changes} FROM ({_select(columns)}) AS v WHERE t.id = v.id{condition}"  # noqa: S608
        with connection.cursor() as cursor:
            cursor.execute(sql, _arrays(columns, rows))
        return
    # SQLite numbers its parameters, so that a value can stand both in SET and in the condition.
    changes = ", ".join(f"{name} = ?{number}" for number, name in enumerate(names[1:], start=2))
    for number, name in enumerate(names, start=1):
        condition = condition.replace(f"v.{name} ", f"?{number} ").replace("t.", "")
    sql = f"UPDATE {table} SET {changes} WHERE id = ?1{condition}"  # noqa: S608
    with connection.cursor() as cursor:
        raw = cursor.connection.cursor()  # below Django's own %s translation
        raw.executemany(sql, [[_plain(value) for value in row] for row in rows])
        raw.close()


def _select(columns: Mapping[str, str]) -> str:
    """SELECT over one array a column. Text becomes jsonb only after unnest: there is no array cast for it."""
    arrays = ", ".join(f"%s::{'text' if kind == 'jsonb' else kind}[]" for kind in columns.values())
    shown = ", ".join(f"{name}::jsonb AS {name}" if kind == "jsonb" else name for name, kind in columns.items())
    return f"SELECT {shown} FROM unnest({arrays}) AS given({', '.join(columns)})"  # noqa: S608


def _arrays(columns: Mapping[str, str], rows: Sequence[Row]) -> list[str]:
    return [
        _array_literal(kind, values) for kind, values in zip(columns.values(), zip(*rows, strict=True), strict=True)
    ]


_UNQUOTED = frozenset({"bigint", "integer", "smallint", "boolean", "numeric"})


def _array_literal(kind: str, values: Sequence[Any]) -> str:
    """A PostgreSQL array as text. The driver's own way of writing arrays took a third of the time of a batch."""
    if kind in _UNQUOTED:
        return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"
    if kind == "timestamptz":
        return "{" + ",".join(["NULL" if value is None else f'"{value}"' for value in values]) + "}"
    if kind in ("text", "jsonb") and None not in values:
        # Texts hold no NUL, so it can stand between them until all of them are escaped at once.
        texts = "\0".join(values).replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","')
        return f'{{"{texts}"}}'
    return "{" + ",".join([_element(value) for value in values]) + "}"


def _element(value: str | bytes | None) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _plain(value: Any) -> Any:
    """SQLite keeps moments as text in Django's form and truth as 0 or 1."""
    if isinstance(value, dt.datetime):
        return connection.ops.adapt_datetimefield_value(value)
    return value


def _fetch(sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())
