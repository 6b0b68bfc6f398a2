from django.db import migrations, models

from connectors.online import AddIndexOnline


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('connectors', '0005_dismissed_deliveries'),
    ]

    operations = [
        AddIndexOnline(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('state', 3)), fields=['dismissed_at'], name='delivery_dismissed'),
        ),
    ]
