from django.db import migrations, models

from connectors.online import AddIndexOnline


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('refunds', '0015_customer_texts_and_usual_times'),
    ]

    operations = [
        AddIndexOnline(
            model_name='outboxevent',
            index=models.Index(
                condition=models.Q(('previous_status', models.F('status')), _negated=True),
                fields=['status', 'created_at', 'refund'],
                name='outbox_of_a_day',
            ),
        ),
        AddIndexOnline(
            model_name='outboxevent',
            index=models.Index(
                condition=models.Q(('returned_after_success', True)),
                fields=['created_at', 'refund'],
                name='outbox_returns',
            ),
        ),
    ]
