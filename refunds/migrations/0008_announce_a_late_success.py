from django.db import migrations, models

from connectors.online import AddUniqueOnline, RemoveUniqueOnline

# On the way back: the second row of a winning key is one the narrower rule would not have let in.
ONE_A_KEY = """
    DELETE FROM refunds_outboxevent WHERE EXISTS (
        SELECT 1 FROM refunds_outboxevent AS earlier
        WHERE earlier.refund_id = refunds_outboxevent.refund_id
            AND earlier.winning_key = refunds_outboxevent.winning_key
            AND earlier.id < refunds_outboxevent.id
    )
"""


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('refunds', '0007_status_reports_and_backfills'),
    ]

    operations = [
        AddUniqueOnline(
            model_name='outboxevent',
            constraint=models.UniqueConstraint(fields=('refund', 'winning_key', 'returned_after_success'), name='announced_once_with_return'),
        ),
        RemoveUniqueOnline(
            model_name='outboxevent',
            name='change_announced_once',
        ),
        migrations.RunSQL(migrations.RunSQL.noop, ONE_A_KEY),
    ]
