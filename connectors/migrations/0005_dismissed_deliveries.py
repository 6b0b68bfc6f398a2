from django.db import migrations, models

from connectors.online import AtOnce


class Migration(migrations.Migration):

    dependencies = [
        ('connectors', '0004_remember_purged_deliveries'),
    ]

    operations = [
        AtOnce([
            migrations.AddField(
                model_name='webhookdelivery',
                name='dismissed_at',
                field=models.DateTimeField(null=True),
            ),
            migrations.AddField(
                model_name='webhookdelivery',
                name='dismissed_because',
                field=models.CharField(db_default='', max_length=300),
            ),
            migrations.AddField(
                model_name='webhookdelivery',
                name='dismissed_by',
                field=models.CharField(db_default='', max_length=150),
            ),
            migrations.AlterField(
                model_name='webhookdelivery',
                name='state',
                field=models.PositiveSmallIntegerField(choices=[(0, 'waiting'), (1, 'applied'), (2, 'parked'), (3, 'dismissed')], db_default=0),
            ),
        ]),
    ]
