"""A table with a foreign key to users."""

import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0003_add_version_columns")]
    operations = [
        migrations.CreateModel(
            "Session",
            fields=[
                ("id", models.UUIDField(primary_key=True, default=uuid.uuid4)),
                (
                    "user",
                    models.ForeignKey(
                        "shop.User", on_delete=django.db.models.deletion.CASCADE, db_index=False
                    ),
                ),
                ("refresh_token_hash", models.CharField(max_length=255)),
                ("user_agent", models.CharField(max_length=255, null=True)),
                ("ip_address", models.CharField(max_length=45, null=True)),
                ("expires_at", models.DateTimeField()),
                ("is_revoked", models.BooleanField(db_default=False)),
            ],
            options={"db_table": "sessions"},
        ),
        migrations.AddIndex(
            "Session",
            models.Index(fields=["user", "is_revoked"], name="ix_sessions_user_revoked"),
        ),
    ]
