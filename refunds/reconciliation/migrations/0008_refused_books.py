import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('reconciliation', '0007_lighter_matches'),
    ]

    operations = [
        migrations.AddField(
            model_name='ledgerimport',
            name='size_bytes',
            field=models.PositiveBigIntegerField(db_default=0, default=0, help_text='Of a file.'),
        ),
        migrations.AddField(
            model_name='ledgerimport',
            name='error',
            field=models.CharField(blank=True, db_default='', default='', help_text='Why the file was refused as a whole.', max_length=500),
        ),
        migrations.AddField(
            model_name='ledgerimport',
            name='columns',
            field=models.JSONField(help_text="What was said of a refused file's headings, if anything.", null=True),
        ),
        migrations.AddField(
            model_name='ledgerimport',
            name='taken_until',
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name='ledgerimport',
            name='created_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), help_text='Or when a refused file was tried again and taken.'),
        ),
        migrations.CreateModel(
            name='LedgerFilePart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('sealed_content', models.BinaryField()),
                ('came_with', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='reconciliation.ledgerimport')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('came_with', 'number'), name='ledger_file_part_once')],
            },
        ),
    ]
