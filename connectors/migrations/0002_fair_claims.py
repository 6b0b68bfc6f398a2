from django.db import migrations, models

from connectors.online import AddIndexOnline


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('connectors', '0001_initial'),
    ]

    operations = [
        AddIndexOnline(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('attempts', 0), ('state', 0)), fields=['endpoint', 'next_attempt_at', 'id'], name='delivery_fresh'),
        ),
        AddIndexOnline(
            model_name='webhookdelivery',
            index=models.Index(condition=models.Q(('attempts__gt', 0), ('state', 0)), fields=['endpoint', 'next_attempt_at', 'id'], name='delivery_tried'),
        ),
    ]
