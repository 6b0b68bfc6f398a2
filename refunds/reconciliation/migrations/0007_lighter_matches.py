"""A million matches are written at once: without a check of each number, with their ids drawn a thousand at a time, and
without a tree of their ids. Nothing refers to a match, its id is the sequence's, and the index of ranges finds it."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

_CHOICES_BY = [(0, "M0"), (1, "M1"), (2, "M2"), (3, "M3"), (4, "M4"), (6, "M6"), (7, "M7")]
_CHOICES_STATE = [(1, "suggested"), (2, "auto"), (3, "tolerance"), (4, "manual"), (5, "forced")]
_CHECKED = ("by", "state", "rule_version")
_TABLE = "ALTER TABLE reconciliation_match"


class OnPostgres(migrations.RunSQL):
    """SQLite keeps its checks, which cost it little, and numbers its rows without a sequence."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_backwards(app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):
    dependencies = [("reconciliation", "0006_periods_and_locks")]

    operations = [
        migrations.SeparateDatabaseAndState(
            # The columns stay as they are: to PostgreSQL both are a smallint.
            database_operations=[
                OnPostgres(
                    f"{_TABLE} " + ", ".join(f"DROP CONSTRAINT reconciliation_match_{name}_check" for name in _CHECKED),
                    f"{_TABLE} "
                    + ", ".join(
                        f'ADD CONSTRAINT reconciliation_match_{name}_check CHECK ("{name}" >= 0) NOT VALID'
                        for name in _CHECKED
                    ),
                ),
                OnPostgres(f"{_TABLE} DROP CONSTRAINT reconciliation_match_pkey", f"{_TABLE} ADD PRIMARY KEY (id)"),
                OnPostgres(f"{_TABLE} ALTER COLUMN id SET CACHE 1000", f"{_TABLE} ALTER COLUMN id SET CACHE 1"),
            ],
            state_operations=[
                migrations.AlterField("match", "by", models.SmallIntegerField(choices=_CHOICES_BY)),
                migrations.AlterField("match", "state", models.SmallIntegerField(choices=_CHOICES_STATE)),
                migrations.AlterField("match", "rule_version", models.SmallIntegerField()),
            ],
        )
    ]
