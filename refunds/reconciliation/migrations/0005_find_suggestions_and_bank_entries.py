from django.db import migrations, models

from connectors.online import AddIndexOnline


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('reconciliation', '0004_decisions'),
    ]

    operations = [
        AddIndexOnline(
            model_name='ledgerentry',
            index=models.Index(condition=models.Q(('payout_id', ''), _negated=True), fields=['account', 'payout_id'], name='ledger_by_payout'),
        ),
        AddIndexOnline(
            model_name='match',
            index=models.Index(condition=models.Q(('state', 1)), fields=['run', 'id'], name='match_suggested'),
        ),
        AddIndexOnline(
            model_name='breakdecision',
            index=models.Index(fields=['group', 'id'], name='decision_by_group'),
        ),
    ]
