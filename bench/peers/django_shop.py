"""Django's models of the shop, and what every program with them does: `shop_django.py`, `http_django.py`."""

from uuid import UUID

import django
from django.conf import settings
from django.db import models
from django.db.models import F
from django.db.models.functions import Now
from shop_load import read_world

WORLD = read_world()
DATABASE = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": WORLD["database"],
    "USER": WORLD["user"],
    "HOST": WORLD["socket"],
    "PORT": WORLD["port"],
    "CONN_MAX_AGE": None,
}
settings.configure(
    USE_TZ=True,
    INSTALLED_APPS=[],
    DATABASES={"default": DATABASE},
    ROOT_URLCONF="http_django",
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)
django.setup()


def table(name: str) -> type:
    return type("Meta", (), {"db_table": name, "app_label": "shop", "managed": False})


class User(models.Model):
    id = models.UUIDField(primary_key=True)
    role = models.TextField()
    vendor_id = models.UUIDField(null=True)
    disabled_at = models.DateTimeField(null=True)
    Meta = table("users")


class Session(models.Model):
    id = models.UUIDField(primary_key=True)
    user = models.ForeignKey(User, models.DO_NOTHING)
    refresh_token_hash = models.BinaryField()
    previous_token_hash = models.BinaryField(null=True)
    generation = models.IntegerField()
    rotation_nonce = models.BinaryField(null=True)
    rotated_at = models.DateTimeField(null=True)
    user_agent = models.TextField(null=True)
    ip_address = models.GenericIPAddressField(null=True)
    authenticated_at = models.DateTimeField()
    last_used_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    absolute_expires_at = models.DateTimeField()
    is_revoked = models.BooleanField()
    Meta = table("sessions")


class AuditEvent(models.Model):
    id = models.BigAutoField(primary_key=True)
    action = models.TextField()
    user_id = models.UUIDField()
    session_id = models.UUIDField()
    token_digest = models.TextField()
    Meta = table("audit_events")


class Vendor(models.Model):
    id = models.UUIDField(primary_key=True)
    name = models.TextField()
    Meta = table("vendors")


class Subcategory(models.Model):
    id = models.UUIDField(primary_key=True)
    name = models.TextField()
    Meta = table("subcategories")


class Product(models.Model):
    id = models.UUIDField(primary_key=True)
    name = models.TextField()
    price = models.BigIntegerField()
    currency = models.TextField()
    archived_at = models.DateTimeField(null=True)
    vendor = models.ForeignKey(Vendor, models.DO_NOTHING)
    subcategory = models.ForeignKey(Subcategory, models.DO_NOTHING)
    Meta = table("products")


class Variant(models.Model):
    id = models.UUIDField(primary_key=True)
    product = models.ForeignKey(Product, models.DO_NOTHING)
    sku = models.TextField()
    name = models.TextField()
    price = models.BigIntegerField()
    currency = models.TextField()
    stock = models.IntegerField()
    archived_at = models.DateTimeField(null=True)
    Meta = table("variants")


class Order(models.Model):
    id = models.UUIDField(primary_key=True)
    ordered_by_id = models.UUIDField()
    currency = models.TextField()
    subtotal = models.BigIntegerField()
    shipping = models.BigIntegerField()
    total = models.BigIntegerField()
    Meta = table("orders")


class OrderLine(models.Model):
    pk = models.CompositePrimaryKey("order_id", "line_number")
    order_id = models.UUIDField()
    line_number = models.IntegerField()
    variant_id = models.UUIDField()
    vendor_id = models.UUIDField()
    vendor_name = models.TextField()
    product_name = models.TextField()
    variant_name = models.TextField()
    sku = models.TextField()
    unit_price = models.BigIntegerField()
    quantity = models.IntegerField()
    total = models.BigIntegerField()
    Meta = table("order_lines")


class OrderEvent(models.Model):
    id = models.UUIDField(primary_key=True)
    order_id = models.UUIDField()
    machine = models.TextField()
    to_state = models.TextField()
    reason = models.TextField()
    actor_id = models.UUIDField()
    Meta = table("order_events")


class IdempotencyKey(models.Model):
    pk = models.CompositePrimaryKey("user_id", "key")
    user_id = models.UUIDField()
    key = models.TextField()
    method = models.TextField()
    path = models.TextField()
    fingerprint = models.BinaryField()
    status = models.IntegerField()
    response = models.JSONField()
    expires_at = models.DateTimeField()
    Meta = table("idempotency_keys")


def live(session_id: UUID) -> Session:
    return Session.objects.select_related("user").get(
        id=session_id, is_revoked=False, expires_at__gt=Now(), user__disabled_at=None
    )


def take(wanted: list[UUID]) -> list[Variant]:
    known = Variant.objects.filter(id__in=wanted, archived_at=None).order_by("id")
    variants = list(known.select_related("product__vendor"))
    assert len(variants) == len(wanted)
    for variant in variants:
        enough = Variant.objects.filter(id=variant.id, stock__gte=1)
        assert enough.update(stock=F("stock") - 1) == 1
    return variants


def line(variant: Variant, number: int) -> dict[str, object]:
    return {
        "line_number": number,
        "variant_id": variant.id,
        "vendor_id": variant.product.vendor.id,
        "vendor_name": variant.product.vendor.name,
        "product_name": variant.product.name,
        "variant_name": variant.name,
        "sku": variant.sku,
        "unit_price": variant.price,
        "quantity": 1,
        "total": variant.price,
    }
