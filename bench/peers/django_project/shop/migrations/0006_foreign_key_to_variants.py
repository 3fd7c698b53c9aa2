"""Every order has a variant."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0005_channel_not_null")]
    operations = [
        migrations.AlterField(
            "Order",
            "variant",
            models.ForeignKey(
                "shop.Variant", on_delete=django.db.models.deletion.CASCADE, db_index=False
            ),
        )
    ]
