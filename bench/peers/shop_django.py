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

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Least, Now
from django_shop import (
    AuditEvent,
    IdempotencyKey,
    Order,
    OrderEvent,
    OrderLine,
    Session,
    line,
    live,
    take,
)
from shop_load import digest, keys, read_world

WORLD = read_world()
SESSIONS, VARIANTS, USERS = keys("sessions"), keys("variants"), keys("users")
FORTNIGHT, DAY = timedelta(days=14), timedelta(days=1)


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
