"""Migrations run while webhooks come: none may hold a lock on a table for longer than a moment (docs/operations.md)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, migrations, models
from django.db.migrations import loader
from django.db.migrations.state import ProjectState

from connectors import migrating
from connectors.online import AtOnce

APPS = ("connectors", "refunds", "reconciliation", "cases")
WITHOUT_LOCKING = {
    "AddIndexConcurrently", "AddIndexOnline", "RemoveIndexConcurrently", "AddConstraintNotValid", "ValidateConstraint",
    "AddUniqueOnline", "RemoveUniqueOnline", "RemoveFieldIndexOnline", "AlterModelOptions", "AlterModelManagers",
    "CreateModel", "AddLocks",
}  # fmt: skip
IN_USE = {
    "connectors.webhookdelivery", "connectors.webhookendpoint", "connectors.connectoraccount", "refunds.refund",
    "refunds.observation", "refunds.outboxevent",
}  # fmt: skip
"""Tables that every webhook or every page needs."""
NOT_IN_A_TRANSACTION = {
    "AddIndexConcurrently", "AddIndexOnline", "AddUniqueOnline", "RemoveUniqueOnline", "RemoveFieldIndexOnline",
}  # fmt: skip
_SLOW_SQL = re.compile(
    r"\bCREATE (UNIQUE )?INDEX (?!CONCURRENTLY)|\bDROP INDEX (?!CONCURRENTLY)|\bADD CONSTRAINT\b(?!.*NOT VALID)"
    r"|\bSET NOT NULL\b|\bALTER (COLUMN )?\w+ TYPE\b|\bUPDATE\b|\bDELETE FROM\b|\bVACUUM\b|\bLOCK\b",
    re.I | re.S,
)


def faults(migration: Any, state: ProjectState) -> Iterator[str]:
    """Why this migration could hold up others; `state` is the project's before it."""
    app, fresh = migration.app_label, set[str]()
    for operation in _operations(migration):
        after = state.clone()
        operation.state_forwards(app, after)
        if isinstance(operation, migrations.CreateModel):
            fresh.add(operation.name.lower())
        table = getattr(operation, "model_name", "").lower()
        fault = None if table and table in fresh else _fault(operation, app, state, after)
        if fault:
            yield f"{type(operation).__name__} {table}: {fault}"
        if type(operation).__name__ in NOT_IN_A_TRANSACTION and migration.atomic:
            yield f"{type(operation).__name__} {table}: needs atomic = False"
        state = after


def _operations(migration: Any) -> Iterator[Any]:
    for operation in migration.operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from operation.database_operations
        elif isinstance(operation, AtOnce):
            yield from operation.operations
        else:
            yield operation


def held_on(migration: Any) -> Iterator[str]:
    """What of a migration in one transaction comes while a table in use is locked already."""
    locked, fresh = "", set[str]()
    for operation in migration.operations if migration.atomic else ():
        if locked:
            yield f"{type(operation).__name__} comes while {locked} is locked: change {locked} last, by one AtOnce"
        if isinstance(operation, migrations.CreateModel):
            fresh.add(operation.name.lower())
        table = f"{migration.app_label}.{getattr(operation, 'model_name', '').lower()}"
        if table in IN_USE and table.partition(".")[2] not in fresh:
            locked = table


def _fault(operation: Any, app: str, before: ProjectState, after: ProjectState) -> str | None:
    if type(operation).__name__ in WITHOUT_LOCKING:
        return None
    if isinstance(operation, migrations.AddField):
        return _fault_of_new(operation.field)
    if isinstance(operation, migrations.AlterField):
        old = before.models[app, operation.model_name_lower].fields[operation.name]
        return _fault_of_change(old, operation.field)
    if isinstance(operation, migrations.RunSQL):
        statements = operation.sql if isinstance(operation.sql, str) else " ; ".join(map(str, operation.sql))
        found = _SLOW_SQL.search(statements)
        return f"{found[0]} holds its lock for long" if found else None
    return {
        migrations.AddIndex: "stops every write: build it CONCURRENTLY",
        migrations.RemoveIndex: "waits for every reader: drop it CONCURRENTLY",
        migrations.AddConstraint: "looks at every row under lock: NOT VALID first",
        migrations.RunPython: "change data batch by batch, in a command or the worker",
    }.get(type(operation), "not known to be harmless")


def _fault_of_new(field: Any) -> str | None:
    if not field.many_to_many and not field.null and field.db_default is models.NOT_PROVIDED:
        return "null=True or a db_default, so that the last release can still insert"
    if field.unique or field.db_index:
        return "its index stops every write: add the index CONCURRENTLY afterwards"
    return None


def _fault_of_change(old: Any, new: Any) -> str | None:
    if _type(old) != _type(new):
        return f"a rewrite, from {_type(old)} to {_type(new)}"
    if old.null and not new.null:
        return "looks at every row under lock for NOT NULL"
    if (new.unique or new.db_index) and not (old.unique or old.db_index):
        return "its index stops every write: add the index CONCURRENTLY"
    if getattr(new, "db_constraint", False) and not getattr(old, "db_constraint", False):
        return "looks at every row under lock: NOT VALID first"
    return None


def _type(field: Any) -> tuple[str, Any]:
    """What decides the column's type; a foreign key's is that of what it points to."""
    return field.get_internal_type(), getattr(field, "max_length", None)


def _ours() -> Iterator[Any]:
    found = loader.MigrationLoader(None)
    for key in sorted(found.disk_migrations):
        if key[0] in APPS and key[1] != "0001_initial":
            yield pytest.param(key, id=".".join(key))


@pytest.mark.parametrize("key", list(_ours()))
def test_a_migration_holds_up_nobody(key: tuple[str, str]) -> None:
    found = loader.MigrationLoader(None)
    state = found.project_state(key, at_end=False)
    assert list(faults(found.disk_migrations[key], state)) == []
    assert list(held_on(found.disk_migrations[key])) == []


def test_what_holds_a_table_in_use_while_it_does_something_else_is_found() -> None:
    probe = _migration(migrations.AddField(name="extra", field=models.IntegerField(null=True), **_DELIVERY))
    assert list(held_on(probe)) == []
    probe.operations = [*probe.operations, migrations.AlterModelOptions("webhookendpoint", {})]  # type: ignore[misc]
    [fault] = held_on(probe)
    assert "while connectors.webhookdelivery is locked" in fault
    probe.atomic = False  # type: ignore[misc]
    assert list(held_on(probe)) == []


@pytest.mark.django_db(transaction=True)
def test_changes_at_once_are_made_and_taken_back() -> None:
    operation = AtOnce(
        [
            migrations.AddField(name=name, field=models.IntegerField(null=True), **_DELIVERY)
            for name in ("probe_one", "probe_two")
        ]
    )

    def columns() -> set[str]:
        with connection.cursor() as cursor:
            table = connection.introspection.get_table_description(cursor, "connectors_webhookdelivery")
        return {column.name for column in table if column.name.startswith("probe")}

    before = loader.MigrationLoader(connection).project_state()
    after = before.clone()
    operation.state_forwards("connectors", after)
    with connection.schema_editor() as editor:
        operation.database_forwards("connectors", editor, before, after)
    assert columns() == {"probe_one", "probe_two"}
    with connection.schema_editor() as editor:
        operation.database_backwards("connectors", editor, after, before)
    assert columns() == set()


def _migration(operation: Any) -> migrations.Migration:
    found = migrations.Migration("9999_probe", "connectors")
    found.operations = [operation]  # type: ignore[misc]
    return found


_DELIVERY: dict[str, Any] = {"model_name": "webhookdelivery"}
_BAD = [
    (migrations.AddIndex(index=models.Index(fields=["error"], name="bad"), **_DELIVERY), "CONCURRENTLY"),
    (migrations.RemoveIndex(name="delivery_parked", **_DELIVERY), "CONCURRENTLY"),
    (migrations.AddField(name="extra", field=models.IntegerField(default=0), **_DELIVERY), "db_default"),
    (migrations.AddField(name="extra", field=models.IntegerField(null=True, db_index=True), **_DELIVERY), "index"),
    (migrations.AlterField(name="error", field=models.CharField(max_length=9), **_DELIVERY), "rewrite"),
    (migrations.AlterField(name="finished_at", field=models.DateTimeField(), **_DELIVERY), "NOT NULL"),
    (
        migrations.AddConstraint(
            constraint=models.CheckConstraint(condition=models.Q(attempts__lt=99), name="few"), **_DELIVERY
        ),
        "NOT VALID",
    ),
    (migrations.RenameField(old_name="error", new_name="problem", **_DELIVERY), "not known"),
    (migrations.RunPython(migrations.RunPython.noop), "batch by batch"),
    (migrations.RunSQL("CREATE INDEX bad ON connectors_webhookdelivery (error)"), "CREATE INDEX"),
    (migrations.RunSQL(["UPDATE connectors_webhookdelivery SET error = ''"]), "UPDATE"),
]


@pytest.mark.parametrize(("operation", "why"), _BAD, ids=[type(o).__name__ + " " + why for o, why in _BAD])
def test_what_would_hold_up_others_is_found(operation: Any, why: str) -> None:
    migration = _migration(operation)
    state = loader.MigrationLoader(None).project_state(("connectors", "0001_initial"))
    [fault] = faults(migration, state)
    assert why in fault


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField(name="extra", field=models.IntegerField(null=True), **_DELIVERY),
        migrations.AddField(name="extra", field=models.IntegerField(db_default=0), **_DELIVERY),
        migrations.AlterField(name="error", field=models.TextField(db_default="", help_text="Why."), **_DELIVERY),
        migrations.RunSQL("CREATE INDEX CONCURRENTLY fine ON connectors_webhookdelivery (error)"),
    ],
    ids=["new column", "new column with a default", "words only", "index beside the work"],
)
def test_what_holds_up_nobody_is_let_through(operation: Any) -> None:
    assert (
        list(faults(_migration(operation), loader.MigrationLoader(None).project_state(("connectors", "0001_initial"))))
        == []
    )


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_migrating_waits_for_a_lock_only_briefly() -> None:
    def timeout_during(sql: str) -> str:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return str(cursor.connection.execute("SELECT current_setting('lock_timeout')").fetchone()[0])

    migrating.be_brief(using="default")
    try:
        assert timeout_during("SELECT 1") == migrating.LOCK_TIMEOUT
        assert timeout_during("SELECT 1 -- CONCURRENTLY") == "0"
    finally:
        migrating.be_patient_again(using="default")
    assert timeout_during("SELECT 1") == "0"
