"""Every order has a channel."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0004_add_sessions")]
    operations = [migrations.AlterField("Order", "channel", models.TextField())]
