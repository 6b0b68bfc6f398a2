from django.db import migrations, models

from connectors.online import AddIndexOnline


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('reconciliation', '0008_refused_books'),
    ]

    operations = [
        AddIndexOnline(
            model_name='ledgerimport',
            index=models.Index(condition=models.Q(('error', ''), _negated=True), fields=['account', 'digest'], name='ledger_refused'),
        ),
    ]
