"""No two orders have one number."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0006_foreign_key_to_variants")]
    operations = [
        migrations.AddConstraint(
            "Order", models.UniqueConstraint(fields=["order_number"], name="uq_orders_order_number")
        )
    ]
