"""The usual way with Django's ORM, a thread and a connection for each worker: `shop_django.py WORKERS SECONDS`."""

import json
import random
import secrets
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import django
from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import F
from django.db.models.functions import Least, Now
from shop_load import digest, keys, read_world

WORLD = read_world()
SESSIONS, VARIANTS, USERS = keys("sessions"), keys("variants"), keys("users")
FORTNIGHT, DAY = timedelta(days=14), timedelta(days=1)
DATABASE = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": WORLD["database"],
    "USER": WORLD["user"],
    "HOST": WORLD["socket"],
    "PORT": WORLD["port"],
    "CONN_MAX_AGE": None,
}
settings.configure(USE_TZ=True, INSTALLED_APPS=[], DATABASES={"default": DATABASE})
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


class Product(models.Model):
    id = models.UUIDField(primary_key=True)
    name = models.TextField()
    vendor = models.ForeignKey(Vendor, models.DO_NOTHING)
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


def session() -> None:
    live(random.choice(SESSIONS))


tokens = [(UUID(key), token) for key, token in WORLD["tokens"].items()]


def rotate() -> None:
    session_id, token = tokens.pop()
    child = secrets.token_urlsafe(32)
    with transaction.atomic():
        found = live(session_id)
        assert bytes(found.refresh_token_hash) == digest(token)
        current = Session.objects.filter(
            id=found.id,
            refresh_token_hash=found.refresh_token_hash,
            generation=found.generation,
            is_revoked=False,
            expires_at__gt=Now(),
        )
        rotated = current.update(
            refresh_token_hash=digest(child),
            previous_token_hash=found.refresh_token_hash,
            generation=F("generation") + 1,
            rotation_nonce=secrets.token_bytes(16),
            rotated_at=Now(),
            last_used_at=Now(),
            expires_at=Least(Now() + FORTNIGHT, F("absolute_expires_at")),
            user_agent="a browser",
            ip_address="192.0.2.7",
        )
        assert rotated == 1
        AuditEvent.objects.create(
            action="session.refreshed",
            user_id=found.user_id,
            session_id=found.id,
            token_digest=digest(token).hex()[:8],
        )
    tokens.insert(0, (session_id, child))


def stock() -> None:
    with transaction.atomic():
        take([random.choice(VARIANTS)])


def order() -> None:
    user, key, order_id = random.choice(USERS), str(uuid4()), uuid4()
    with transaction.atomic():
        assert IdempotencyKey.objects.filter(user_id=user, key=key).first() is None
        variants = take(random.sample(VARIANTS, 3))
        subtotal = sum(variant.price for variant in variants)
        totals = {"subtotal": subtotal, "shipping": 490, "total": subtotal + 490}
        Order.objects.create(id=order_id, ordered_by_id=user, currency="EUR", **totals)
        lines = [line(variant, number) for number, variant in enumerate(variants, start=1)]
        OrderLine.objects.bulk_create([OrderLine(order_id=order_id, **each) for each in lines])
        OrderEvent.objects.create(
            id=uuid4(),
            order_id=order_id,
            machine="status",
            to_state="pending",
            reason="checkout",
            actor_id=user,
        )
        shown = [
            {name: str(value) if isinstance(value, UUID) else value for name, value in each.items()}
            for each in lines
        ]
        IdempotencyKey.objects.create(
            user_id=user,
            key=key,
            method="POST",
            path="/checkout",
            fingerprint=digest(key),
            status=201,
            response={**totals, "id": str(order_id), "lines": shown},
            expires_at=datetime.now(UTC) + DAY,
        )


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


def rate(work: Callable[[], None], workers: int, seconds: float) -> float:
    done, is_over = [0] * workers, threading.Event()

    def worker(place: int) -> None:
        try:
            while not is_over.is_set():
                work()
                done[place] += 1
        finally:
            connection.close()

    with ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(worker, place) for place in range(workers)]
        time.sleep(WORLD["warm_up"])
        before, began = sum(done), time.perf_counter()
        time.sleep(seconds)
        found = (sum(done) - before) / (time.perf_counter() - began)
        is_over.set()
    for worker_ended in running:
        worker_ended.result()  # raises what went wrong
    return found


workers, seconds = int(sys.argv[1]), float(sys.argv[2])
print(
    json.dumps(
        {work.__name__: rate(work, workers, seconds) for work in (session, rotate, stock, order)}
    )
)
