"""An index of the few deliveries that are hints only, so that the admin's list of them reads no others."""

from django.db import migrations, models

from connectors.online import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("connectors", "0006_find_dismissed_deliveries")]

    operations = [
        AddIndexOnline(
            model_name="webhookdelivery",
            index=models.Index(fields=["id"], name="delivery_hint_only", condition=models.Q(hint_only=True)),
        ),
    ]
