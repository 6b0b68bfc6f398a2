from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('connectors', '0003_delivery_archives'),
    ]

    operations = [
        migrations.AddField(
            model_name='webhookendpoint',
            name='purged_until',
            field=models.DateTimeField(blank=True, editable=False, help_text='When the newest came of its deliveries that were purged.', null=True),
        ),
    ]
