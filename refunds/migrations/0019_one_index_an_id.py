from django.db import migrations, models

from connectors.fields import IdentifierField
from connectors.online import AddIndexOnline, RemoveFieldIndexOnline

INDEXES = {
    'connector_transaction_id': ('refund_by_payment_id', 255),
    'merchant_refund_id': ('refund_by_merchant_id', 255),
    'merchant_order_id': ('refund_by_order', 255),
    'acquirer_reference_number': ('refund_by_arn', 64),
}


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('refunds', '0018_reports_over_the_api'),
    ]

    operations = [
        *(
            AddIndexOnline(model_name='refund', index=models.Index(fields=[column], name=name))
            for column, (name, _) in INDEXES.items()
        ),
        *(
            RemoveFieldIndexOnline(
                model_name='refund', name=column, field=IdentifierField(db_default='', max_length=length)
            )
            for column, (_, length) in INDEXES.items()
        ),
    ]
