"""Migrations of a large table while it is in use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db.migrations.operations import AddConstraint, AddIndex, AlterField, RemoveConstraint
from django.db.migrations.operations.base import Operation
from django.db.models import BaseConstraint, UniqueConstraint


class AddIndexOnline(AddIndex):
    """CREATE INDEX CONCURRENTLY on PostgreSQL, where the table stays open for writing meanwhile; a plain index on
    SQLite, which has but one writer. Needs a migration with `atomic = False`."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        # What a migration left that was killed: half an index, or a whole one that nobody noted.
        leftover = schema_editor.quote_name(self.index.name)
        schema_editor.execute(f"DROP INDEX {_concurrently(schema_editor)} IF EXISTS {leftover}")
        if schema_editor.connection.vendor == "postgresql":
            AddIndexConcurrently(self.model_name, self.index).database_forwards(
                app_label, schema_editor, from_state, to_state
            )
        else:
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            AddIndexConcurrently(self.model_name, self.index).database_backwards(
                app_label, schema_editor, from_state, to_state
            )
        else:
            super().database_backwards(app_label, schema_editor, from_state, to_state)


class RemoveFieldIndexOnline(AlterField):
    """Take `db_index` off a text field. On PostgreSQL both its indexes go, CONCURRENTLY: Django makes a second one for
    LIKE, which a column of the collation C does not need. Needs a migration with `atomic = False`."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for name, _, _ in self._indexes(app_label, schema_editor, from_state):
            schema_editor.execute(f"DROP INDEX {_concurrently(schema_editor)} IF EXISTS {name}")

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for name, table, column in self._indexes(app_label, schema_editor, to_state):
            schema_editor.execute(f"CREATE INDEX {_concurrently(schema_editor)} {name} ON {table} ({column})")

    def _indexes(self, app_label: str, schema_editor: Any, state: Any) -> Iterator[tuple[str, str, str]]:
        """Name, table and column of each, as Django names and makes them."""
        model = state.apps.get_model(app_label, self.model_name)
        table, column = model._meta.db_table, model._meta.get_field(self.name).column
        quoted = schema_editor.quote_name
        for suffix, how in (("", ""), ("_like", " varchar_pattern_ops")):
            if suffix == "" or schema_editor.connection.vendor == "postgresql":
                name = schema_editor._create_index_name(table, [column], suffix=suffix)
                yield quoted(name), quoted(table), f"{quoted(column)}{how}"


def _concurrently(schema_editor: Any) -> str:
    return "CONCURRENTLY" if schema_editor.connection.vendor == "postgresql" else ""


class AtOnce(Operation):
    """Changes of one table that is in use, one right after the other.

    A lock is held until the transaction ends, and between two operations Django works out the project's models anew,
    which takes a large part of a second. So here all of it is worked out before the first statement takes the lock.
    Comes last in its migration, and is the only one there that changes a table in use.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = list(operations)

    @property
    def model_name(self) -> str:
        # The base class has no such attribute; what changes a model has.
        [name] = {operation.model_name.lower() for operation in self.operations}  # type: ignore[attr-defined]
        return str(name)

    def state_forwards(self, app_label: str, state: Any) -> None:
        for operation in self.operations:
            operation.state_forwards(app_label, state)

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for operation, before, after in self._steps(app_label, from_state):
            operation.database_forwards(app_label, schema_editor, before, after)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for operation, before, after in reversed(self._steps(app_label, to_state)):
            operation.database_backwards(app_label, schema_editor, after, before)

    def describe(self) -> str:
        return "; ".join(operation.describe() for operation in self.operations)

    def _steps(self, app_label: str, before: Any) -> list[tuple[Operation, Any, Any]]:
        """Each operation with the models before and after it, all of them rendered."""
        found = []
        before.apps.get_models()
        for operation in self.operations:
            after = before.clone()
            operation.state_forwards(app_label, after)
            after.apps.get_models()
            found.append((operation, before, after))
            before = after
        return found


class AddUniqueOnline(AddConstraint):
    """A unique constraint on an existing table: on PostgreSQL its index is built CONCURRENTLY and then made the
    constraint's, which takes a moment. Needs a migration with `atomic = False`."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            _add_unique(schema_editor, to_state.apps.get_model(app_label, self.model_name), self.constraint)
        else:
            super().database_forwards(app_label, schema_editor, from_state, to_state)


class RemoveUniqueOnline(RemoveConstraint):
    """The way back of AddUniqueOnline: dropping a constraint takes a moment, putting it back builds it beside the work.
    Needs a migration with `atomic = False`."""

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            constraint = to_state.models[app_label, self.model_name_lower].get_constraint_by_name(self.name)
            _add_unique(schema_editor, to_state.apps.get_model(app_label, self.model_name), constraint)
        else:
            super().database_backwards(app_label, schema_editor, from_state, to_state)


def _add_unique(schema_editor: Any, model: Any, constraint: BaseConstraint) -> None:
    if not isinstance(constraint, UniqueConstraint):
        raise TypeError(f"{constraint.name} is no unique constraint")
    quoted = schema_editor.quote_name
    table, name = quoted(model._meta.db_table), quoted(constraint.name)
    columns = ", ".join(quoted(model._meta.get_field(field).column) for field in constraint.fields)
    schema_editor.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON {table} ({columns})")
    schema_editor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} UNIQUE USING INDEX {name}")
