"""The usual way with SQLAlchemy's ORM: objects are read, compared, changed, saved.

`shop_sqlalchemy.py WORKERS SECONDS`. The entities are the product's, so this peer runs in its environment.
"""

import json
import random
import secrets
import sys
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import uvloop
from shop_load import Work, digest, keys, rates, read_world
from sqlalchemy import URL, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
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
SESSIONS, VARIANTS, USERS = keys("sessions"), keys("variants"), keys("users")
FORTNIGHT, DAY = timedelta(days=14), timedelta(days=1)


class Orm:
    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self.sessions = sessions
        self.tokens = [(UUID(key), token) for key, token in WORLD["tokens"].items()]

    def paths(self) -> dict[str, Work]:
        return {
            "session": self.session,
            "rotate": self.rotate,
            "stock": self.stock,
            "order": self.order,
        }

    async def session(self) -> None:
        async with self.sessions() as session:
            assert await self._live(session, random.choice(SESSIONS)) is not None

    async def rotate(self) -> None:
        session_id, token = self.tokens.pop()
        child = secrets.token_urlsafe(32)
        async with self.sessions.begin() as session:
            found = await self._live(session, session_id)
            assert found is not None
            assert found.refresh_token_hash == digest(token)
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
            assert await session.scalar(rotated) is not None
            session.add(
                AuditEvent(
                    action=AuditedAction.SESSION_REFRESHED,
                    user_id=found.user_id,
                    session_id=found.id,
                    token_digest=digest(token).hex()[:8],
                )
            )
        self.tokens.insert(0, (session_id, child))

    async def stock(self) -> None:
        async with self.sessions.begin() as session:
            await self._take(session, [random.choice(VARIANTS)])

    async def order(self) -> None:
        user, key = random.choice(USERS), str(uuid4())
        async with self.sessions.begin() as session:
            assert await session.get(IdempotencyKey, (user, key)) is None
            variants = await self._take(session, random.sample(VARIANTS, 3))
            lines = [line(variant, number) for number, variant in enumerate(variants, start=1)]
            subtotal = sum(each.total for each in lines)
            totals = {"subtotal": subtotal, "shipping": 490, "total": subtotal + 490}
            placed = OrderEvent(
                machine=Machine.STATUS,
                to_state=OrderStatus.PENDING,
                reason="checkout",
                actor_id=user,
            )
            order = Order(
                id=uuid4(),
                ordered_by_id=user,
                currency="EUR",
                lines=lines,
                events=[placed],
                **totals,
            )
            session.add(order)
            session.add(
                IdempotencyKey(
                    user_id=user,
                    key=key,
                    method="POST",
                    path="/checkout",
                    fingerprint=digest(key),
                    status=201,
                    response={
                        **totals,
                        "id": str(order.id),
                        "lines": [shown(each) for each in lines],
                    },
                    expires_at=datetime.now(UTC) + DAY,
                )
            )

    async def _live(self, session: AsyncSession, session_id: UUID) -> Session | None:
        return await session.scalar(
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

    async def _take(self, session: AsyncSession, wanted: list[UUID]) -> list[Variant]:
        named = joinedload(Variant.product).joinedload(Product.vendor)
        known = select(Variant).where(Variant.id.in_(wanted), Variant.archived_at.is_(None))
        variants = list(await session.scalars(known.order_by(Variant.id).options(named)))
        assert len(variants) == len(wanted)
        for variant in variants:
            taken = (
                update(VariantStock)
                .where(VariantStock.variant_id == variant.id, VariantStock.stock >= 1)
                .values(stock=VariantStock.stock - 1)
                .returning(VariantStock.variant_id)
                .execution_options(synchronize_session=False)
            )
            assert await session.scalar(taken) is not None
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


def shown(each: OrderLine) -> dict[str, object]:
    return {
        "line_number": each.line_number,
        "variant_id": str(each.variant_id),
        "vendor_id": str(each.vendor_id),
        "vendor_name": each.vendor_name,
        "product_name": each.product_name,
        "variant_name": each.variant_name,
        "sku": each.sku,
        "unit_price": each.unit_price,
        "quantity": each.quantity,
        "total": each.total,
    }


async def main() -> dict[str, float]:
    url = URL.create(
        "postgresql+psycopg",
        username=WORLD["user"],
        database=WORLD["database"],
        query={"host": WORLD["socket"], "port": str(WORLD["port"])},
    )
    engine = create_async_engine(url, pool_size=int(sys.argv[1]), max_overflow=0)
    found = await rates(Orm(async_sessionmaker(engine, expire_on_commit=False)).paths())
    await engine.dispose()
    return found


print(json.dumps(uvloop.run(main())))
