"""The usual way with FastAPI and SQLAlchemy, as their documentation writes it. `uvicorn http_fastapi:app`.

A session for each request, by a dependency; routes that are plain functions, which FastAPI runs in threads; a response
model for each. The entities are the product's, so this peer runs in its environment.
"""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID, uuid4

import jwt
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict
from shop_load import digest, read_world
from sqlalchemy import URL, create_engine, func, select, tuple_, update
from sqlalchemy.orm import Session as OrmSession
from sqlalchemy.orm import contains_eager, joinedload

from marketplace.entities import (
    AuditedAction,
    AuditEvent,
    IdempotencyKey,
    Machine,
    Order,
    OrderEvent,
    OrderLine,
    OrderStatus,
    Product,
    Session,
    User,
    Variant,
    VariantStock,
)

WORLD = read_world()
ACCESS_KEY = bytes.fromhex(WORLD["access_key"])
FORTNIGHT, DAY = timedelta(days=14), timedelta(days=1)
engine = create_engine(
    URL.create(
        "postgresql+psycopg",
        username=WORLD["user"],
        database=WORLD["database"],
        query={"host": WORLD["socket"], "port": str(WORLD["port"])},
    ),
    pool_size=WORLD["pool"],
    max_overflow=0,
)
app = FastAPI()


def get_session() -> Iterator[OrmSession]:
    with OrmSession(engine, expire_on_commit=False) as session:
        yield session


SessionDep = Annotated[OrmSession, Depends(get_session)]


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Named(Answer):
    id: UUID
    name: str


class ProductSummary(Named):
    price: int
    currency: str
    vendor: Named
    subcategory: Named


class ProductPage(Answer):
    items: list[ProductSummary]
    next_cursor: str | None


class Refresh(BaseModel):
    refresh_token: str


class Tokens(Answer):
    token_type: str = "Bearer"
    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    session_id: UUID


class CartLine(BaseModel):
    variant_id: UUID
    quantity: int


class Cart(BaseModel):
    lines: list[CartLine]


class Line(Answer):
    line_number: int
    variant_id: UUID
    vendor_id: UUID
    vendor_name: str
    product_name: str
    variant_name: str
    sku: str
    unit_price: int
    quantity: int
    total: int


class PlacedOrder(Answer):
    id: UUID
    status: str
    payment_status: str
    currency: str
    subtotal: int
    shipping: int
    total: int
    lines: list[Line]


def live(session: OrmSession, session_id: UUID) -> Session | None:
    return session.scalar(
        select(Session)
        .join(Session.user)
        .where(
            Session.id == session_id,
            ~Session.is_revoked,
            Session.expires_at > func.now(),
            User.disabled_at.is_(None),
        )
        .options(contains_eager(Session.user))
    )


def current_user(
    session: SessionDep,
    credentials: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())],
) -> User:
    claims = jwt.decode(
        credentials.credentials, ACCESS_KEY, algorithms=["HS256"], audience="marketplace"
    )
    found = live(session, UUID(claims["sid"]))
    if found is None:
        raise HTTPException(401)
    return found.user


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/products")
def list_products(session: SessionDep, limit: int = 20, cursor: str | None = None) -> ProductPage:
    query = (
        select(Product)
        .options(joinedload(Product.vendor), joinedload(Product.subcategory))
        .where(Product.archived_at.is_(None))
        .order_by(Product.name, Product.id)
        .limit(limit + 1)
    )
    if cursor is not None:
        name, key = json.loads(urlsafe_b64decode(cursor))
        query = query.where(tuple_(Product.name, Product.id) > (name, UUID(key)))
    found = session.scalars(query).all()
    last = found[:limit][-1]
    text = json.dumps([last.name, str(last.id)])
    is_last = len(found) <= limit
    next_cursor = None if is_last else urlsafe_b64encode(text.encode()).decode()
    items = [ProductSummary.model_validate(product) for product in found[:limit]]
    return ProductPage(items=items, next_cursor=next_cursor)


@app.post("/auth/refresh")
def refresh(session: SessionDep, form: Refresh) -> Tokens:
    session_id = UUID(form.refresh_token.partition(".")[0])
    child = f"{session_id}.{secrets.token_urlsafe(32)}"
    found = live(session, session_id)
    if found is None or found.refresh_token_hash != digest(form.refresh_token):
        raise HTTPException(401)
    rotated = (
        update(Session)
        .where(
            Session.id == found.id,
            Session.refresh_token_hash == found.refresh_token_hash,
            Session.generation == found.generation,
            ~Session.is_revoked,
            Session.expires_at > func.now(),
        )
        .values(
            refresh_token_hash=digest(child),
            previous_token_hash=found.refresh_token_hash,
            generation=Session.generation + 1,
            rotation_nonce=secrets.token_bytes(16),
            rotated_at=func.now(),
            last_used_at=func.now(),
            expires_at=func.least(func.now() + FORTNIGHT, Session.absolute_expires_at),
            user_agent="a browser",
            ip_address="192.0.2.7",
        )
        .returning(Session.id)
        .execution_options(synchronize_session=False)
    )
    if session.scalar(rotated) is None:
        raise HTTPException(401)
    session.add(
        AuditEvent(
            action=AuditedAction.SESSION_REFRESHED,
            user_id=found.user_id,
            session_id=found.id,
            token_digest=digest(form.refresh_token).hex()[:8],
        )
    )
    session.commit()
    ends = datetime.now(UTC) + timedelta(minutes=5)
    claims = {"sid": session_id.hex, "aud": "marketplace", "exp": ends}
    return Tokens(
        access_token=jwt.encode(claims, ACCESS_KEY, "HS256"),
        expires_in=300,
        refresh_token=child,
        refresh_expires_in=int(FORTNIGHT.total_seconds()),
        session_id=session_id,
    )


@app.post("/checkout", status_code=201, response_model=PlacedOrder)
def check_out(
    session: SessionDep,
    user: Annotated[User, Depends(current_user)],
    cart: Cart,
    idempotency_key: Annotated[str, Header()],
) -> Any:
    known = session.get(IdempotencyKey, (user.id, idempotency_key))
    if known is not None:
        return known.response
    lines = [
        line(variant, number)
        for number, variant in enumerate(
            take(session, [each.variant_id for each in cart.lines]), start=1
        )
    ]
    subtotal = sum(each.total for each in lines)
    event = OrderEvent(
        machine=Machine.STATUS, to_state=OrderStatus.PENDING, reason="checkout", actor_id=user.id
    )
    order = Order(
        id=uuid4(),
        ordered_by_id=user.id,
        currency="EUR",
        subtotal=subtotal,
        shipping=490,
        total=subtotal + 490,
        lines=lines,
        events=[event],
    )
    session.add(order)
    session.flush()
    answer = PlacedOrder.model_validate(order)
    session.add(
        IdempotencyKey(
            user_id=user.id,
            key=idempotency_key,
            method="POST",
            path="/checkout",
            fingerprint=digest(cart.model_dump_json()),
            status=201,
            response=answer.model_dump(mode="json"),
            expires_at=datetime.now(UTC) + DAY,
        )
    )
    session.commit()
    return answer


def take(session: OrmSession, wanted: list[UUID]) -> list[Variant]:
    named = joinedload(Variant.product).joinedload(Product.vendor)
    known = select(Variant).where(Variant.id.in_(wanted), Variant.archived_at.is_(None))
    variants = list(session.scalars(known.order_by(Variant.id).options(named)))
    if len(variants) != len(wanted):
        raise HTTPException(409)
    for variant in variants:
        taken = (
            update(VariantStock)
            .where(VariantStock.variant_id == variant.id, VariantStock.stock >= 1)
            .values(stock=VariantStock.stock - 1)
            .returning(VariantStock.variant_id)
            .execution_options(synchronize_session=False)
        )
        if session.scalar(taken) is None:
            raise HTTPException(409)
    return variants


def line(variant: Variant, number: int) -> OrderLine:
    return OrderLine(
        line_number=number,
        variant_id=variant.id,
        vendor_id=variant.product.vendor.id,
        vendor_name=variant.product.vendor.name,
        product_name=variant.product.name,
        variant_name=variant.name,
        sku=variant.sku,
        unit_price=variant.price,
        quantity=1,
        total=variant.price,
    )
