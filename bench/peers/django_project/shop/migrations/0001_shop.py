"""The tables as they are before the change; faked, never executed here."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    initial = True
    operations = [
        migrations.CreateModel(
            "User",
            fields=[
                ("id", models.AutoField(primary_key=True)),
                ("email", models.TextField()),
                ("phone_number", models.TextField(null=True)),
                ("is_verified", models.BooleanField(db_default=False)),
                ("name", models.TextField(null=True)),
                ("created_at", models.DateTimeField(db_default=Now())),
            ],
            options={"db_table": "users"},
        ),
        migrations.CreateModel(
            "Product",
            fields=[
                ("id", models.AutoField(primary_key=True)),
                ("name", models.TextField()),
                ("stock", models.IntegerField()),
                ("vendor_id", models.IntegerField()),
                ("subcategory_id", models.IntegerField()),
                ("price_cents", models.IntegerField()),
            ],
            options={"db_table": "products"},
        ),
        migrations.CreateModel(
            "Variant",
            fields=[
                ("id", models.AutoField(primary_key=True)),
                (
                    "product",
                    models.ForeignKey("shop.Product", on_delete=django.db.models.deletion.CASCADE),
                ),
                ("sku", models.TextField()),
                ("stock", models.IntegerField()),
            ],
            options={"db_table": "variants"},
        ),
        migrations.CreateModel(
            "Order",
            fields=[
                ("id", models.AutoField(primary_key=True)),
                ("order_number", models.TextField()),
                (
                    "ordered_by",
                    models.ForeignKey("shop.User", on_delete=django.db.models.deletion.CASCADE),
                ),
                (
                    "variant",
                    models.ForeignKey(
                        "shop.Variant",
                        on_delete=django.db.models.deletion.CASCADE,
                        db_constraint=False,
                        db_index=False,
                    ),
                ),
                ("status", models.TextField()),
                ("payment_status", models.TextField()),
                ("channel", models.TextField(null=True)),
                ("total_cents", models.IntegerField()),
                ("note", models.TextField(null=True)),
                ("created_at", models.DateTimeField(db_default=Now())),
            ],
            options={"db_table": "orders"},
        ),
    ]
