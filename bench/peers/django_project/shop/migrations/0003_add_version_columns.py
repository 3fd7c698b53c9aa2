"""Two columns for optimistic locks."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0002_add_indexes")]
    operations = [
        migrations.AddField("Product", "version", models.IntegerField(db_default=1)),
        migrations.AddField("Variant", "version", models.IntegerField(db_default=1)),
    ]
