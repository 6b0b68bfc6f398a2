"""Migrations of a large table while it is in use."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db.migrations.operations import AddConstraint, AddIndex, RemoveConstraint
from django.db.models import BaseConstraint, UniqueConstraint


class AddIndexOnline(AddIndex):
    """CREATE INDEX CONCURRENTLY on PostgreSQL, where the table stays open for writing meanwhile; a plain index on
    SQLite, which has but one writer. Needs a migration with `atomic = False`."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
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
