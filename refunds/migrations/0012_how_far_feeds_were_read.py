from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("refunds", "0011_settlement")]

    # Only the names in our code: releases side by side share the columns.
    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameField("accountpolling", "changes_started_at", "changes_reached_at"),
                migrations.AlterField(
                    "accountpolling",
                    "changes_reached_at",
                    models.DateTimeField(
                        blank=True,
                        null=True,
                        db_column="changes_started_at",
                        help_text="The newest change seen so far, by the processor's own dating.",
                    ),
                ),
                migrations.RenameField("accountpolling", "settlement_started_at", "settlement_reached_at"),
                migrations.AlterField(
                    "accountpolling",
                    "settlement_reached_at",
                    models.DateTimeField(blank=True, null=True, db_column="settlement_started_at"),
                ),
            ]
        )
    ]
