"""A database that refuses, by a trigger, what has to do with one refund or one table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

_OF_THE_REFUND = "(SELECT connector_refund_id FROM refunds_refund WHERE id = NEW.refund_id) IN ({})"


@contextmanager
def observations_refused_of(*connector_refund_ids: str) -> Iterator[None]:
    """Until the end of the block no observation of these refunds can be inserted or changed."""
    condition = _OF_THE_REFUND.format(", ".join(f"'{refund}'" for refund in connector_refund_ids))
    with _refused("refunds_observation", "INSERT", condition), _refused("refunds_observation", "UPDATE", condition):
        yield


@contextmanager
def changes_refused_of(table: str) -> Iterator[None]:
    """Until the end of the block no row of this table can be changed."""
    with _refused(table, "UPDATE", "1 = 1"):
        yield


@contextmanager
def _refused(table: str, statement: str, condition: str) -> Iterator[None]:
    name = f"refuse_{statement.lower()}_of_{table}"
    make, drop = (_on_postgres if connection.vendor == "postgresql" else _on_sqlite)(name, table, statement, condition)
    _execute(make)
    try:
        yield
    finally:
        _execute(drop)


def _on_postgres(name: str, table: str, statement: str, condition: str) -> tuple[list[str], list[str]]:
    return [
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN IF {condition} THEN RAISE EXCEPTION 'refused here'; END IF; RETURN NEW; END $$",
        f"CREATE TRIGGER {name} BEFORE {statement} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()",
    ], [f"DROP TRIGGER {name} ON {table}", f"DROP FUNCTION {name}()"]


def _on_sqlite(name: str, table: str, statement: str, condition: str) -> tuple[list[str], list[str]]:
    return [
        f"CREATE TRIGGER {name} BEFORE {statement} ON {table} WHEN {condition}"
        " BEGIN SELECT RAISE(ABORT, 'refused here'); END"
    ], [f"DROP TRIGGER {name}"]


def _execute(statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
