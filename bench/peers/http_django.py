"""The usual way with Django: views, JsonResponse, `transaction.atomic`. `gunicorn http_django:application`."""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any
from uuid import UUID, uuid4

import jwt
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Least, Now
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django_shop import (
    WORLD,
    AuditEvent,
    IdempotencyKey,
    Order,
    OrderEvent,
    OrderLine,
    Product,
    Session,
    line,
    live,
    take,
)
from shop_load import digest

ACCESS_KEY = bytes.fromhex(WORLD["access_key"])
FORTNIGHT, DAY = timedelta(days=14), timedelta(days=1)


def healthz(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


def list_products(request: HttpRequest) -> JsonResponse:
    limit, cursor = int(request.GET.get("limit", 20)), request.GET.get("cursor")
    known = Product.objects.filter(archived_at=None).select_related("vendor", "subcategory")
    if cursor is not None:
        name, key = json.loads(urlsafe_b64decode(cursor))
        known = known.filter(Q(name__gt=name) | Q(name=name, id__gt=UUID(key)))
    found = list(known.order_by("name", "id")[: limit + 1])
    items = [
        {
            "id": product.id,
            "name": product.name,
            "price": product.price,
            "currency": product.currency,
            "vendor": {"id": product.vendor.id, "name": product.vendor.name},
            "subcategory": {"id": product.subcategory.id, "name": product.subcategory.name},
        }
        for product in found[:limit]
    ]
    last = json.dumps([items[-1]["name"], str(items[-1]["id"])])
    next_cursor = urlsafe_b64encode(last.encode()).decode() if len(found) > limit else None
    return JsonResponse({"items": items, "next_cursor": next_cursor})


def refresh(request: HttpRequest) -> JsonResponse:
    token = json.loads(request.body)["refresh_token"]
    session_id = UUID(token.partition(".")[0])
    child = f"{session_id}.{secrets.token_urlsafe(32)}"
    with transaction.atomic():
        found = live(session_id)
        if bytes(found.refresh_token_hash) != digest(token):
            return JsonResponse({"code": "invalid_refresh_token"}, status=401)
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
        if rotated != 1:
            return JsonResponse({"code": "invalid_refresh_token"}, status=401)
        AuditEvent.objects.create(
            action="session.refreshed",
            user_id=found.user_id,
            session_id=found.id,
            token_digest=digest(token).hex()[:8],
        )
    ends = datetime.now(UTC) + timedelta(minutes=5)
    claims = {"sid": session_id.hex, "aud": "marketplace", "exp": ends}
    answer = {
        "token_type": "Bearer",
        "access_token": jwt.encode(claims, ACCESS_KEY, "HS256"),
        "expires_in": 300,
        "refresh_token": child,
        "refresh_expires_in": int(FORTNIGHT.total_seconds()),
        "session_id": session_id,
    }
    return JsonResponse(answer)


def logged_in(view: Any) -> Any:
    @wraps(view)
    def guarded(request: HttpRequest) -> JsonResponse:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        claims = jwt.decode(token, ACCESS_KEY, algorithms=["HS256"], audience="marketplace")
        return view(request, live(UUID(claims["sid"])).user)

    return guarded


@logged_in
@transaction.atomic
def check_out(request: HttpRequest, user: Any) -> JsonResponse:
    key = request.headers["Idempotency-Key"]
    known = IdempotencyKey.objects.filter(user_id=user.id, key=key).first()
    if known is not None:
        return JsonResponse(known.response, status=known.status)
    wanted = [UUID(each["variant_id"]) for each in json.loads(request.body)["lines"]]
    order_id = uuid4()
    lines = [line(variant, number) for number, variant in enumerate(take(wanted), start=1)]
    subtotal = sum(each["total"] for each in lines)
    totals = {
        "currency": "EUR",
        "subtotal": subtotal,
        "shipping": 490,
        "total": subtotal + 490,
    }
    Order.objects.create(id=order_id, ordered_by_id=user.id, **totals)
    OrderLine.objects.bulk_create([OrderLine(order_id=order_id, **each) for each in lines])
    OrderEvent.objects.create(
        id=uuid4(),
        order_id=order_id,
        machine="status",
        to_state="pending",
        reason="checkout",
        actor_id=user.id,
    )
    shown = [
        {name: str(value) if isinstance(value, UUID) else value for name, value in each.items()}
        for each in lines
    ]
    states = {"status": "pending", "payment_status": "pending"}
    response = {"id": str(order_id), **states, **totals, "lines": shown}
    IdempotencyKey.objects.create(
        user_id=user.id,
        key=key,
        method="POST",
        path="/checkout",
        fingerprint=digest(request.body.decode()),
        status=201,
        response=response,
        expires_at=datetime.now(UTC) + DAY,
    )
    return JsonResponse(response, status=201)


urlpatterns = [
    path("healthz", healthz),
    path("products", list_products),
    path("auth/refresh", refresh),
    path("checkout", check_out),
]
application = get_wsgi_application()
