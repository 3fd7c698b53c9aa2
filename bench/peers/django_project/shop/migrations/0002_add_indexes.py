"""Nine indexes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_shop")]
    operations = [
        migrations.AddIndex("User", models.Index(fields=["email"], name="ix_users_email")),
        migrations.AddIndex(
            "User", models.Index(fields=["phone_number"], name="ix_users_phone_number")
        ),
        migrations.AddIndex(
            "User",
            models.Index(fields=["email", "is_verified"], name="ix_users_email_is_verified"),
        ),
        migrations.AddIndex("Product", models.Index(fields=["name"], name="ix_products_name")),
        migrations.AddIndex("Product", models.Index(fields=["stock"], name="ix_products_stock")),
        migrations.AddIndex(
            "Product",
            models.Index(fields=["vendor_id", "subcategory_id"], name="ix_products_vendor_subc"),
        ),
        migrations.AddIndex(
            "Order",
            models.Index(fields=["ordered_by", "status"], name="ix_orders_ordered_by_status"),
        ),
        migrations.AddIndex(
            "Order", models.Index(fields=["payment_status"], name="ix_orders_payment_status")
        ),
        migrations.AddIndex(
            "Order", models.Index(fields=["created_at"], name="ix_orders_created_at")
        ),
    ]
