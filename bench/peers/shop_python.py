"""One hot path of the shop under load: `shop_python.py WAY PATH WORKERS SECONDS`. Prints operations a second.

`ours` calls the product's own functions; `orm` does the same work as SQLAlchemy's documentation has it:
objects are read, compared, changed and saved. SHOP_WORLD names the file that describes the world.
"""

import asyncio
import json
import os
import random
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy import URL, func, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import joinedload

from holdfast.profiles import Profile
from marketplace.accounts.clients import Client
from marketplace.accounts.context import open_accounts
from marketplace.accounts.service import refresh_session
from marketplace.accounts.session_lookup import SessionLookup
from marketplace.accounts.sessions import open_session
from marketplace.accounts.tokens import AccessToken
from marketplace.catalog import stock
from marketplace.database import driver_connection, driver_of, open_engine, sessions_of
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
    Variant,
)
from marketplace.metrics import Metrics
from marketplace.orders.checkout import check_out
from marketplace.orders.idempotency import keyed
from marketplace.orders.schemas import Cart, CartLine
from marketplace.settings import RateSettings, Settings

WORLD = json.loads(Path(os.environ["SHOP_WORLD"]).read_text())
SESSIONS, VARIANTS, USERS = (
    [UUID(key) for key in WORLD[kind]] for kind in ("sessions", "variants", "users")
)
URL_ = URL.create(
    "postgresql+psycopg",
    username=WORLD["user"],
    database=WORLD["database"],
    query={"host": WORLD["socket"], "port": str(WORLD["port"])},
)
CLIENT = Client(address="192.0.2.7", stored_address="192.0.2.7", user_agent="a browser")
OFTEN = "100000000/minute"
FAR = 2**40
Work = Callable[[], Awaitable[object]]


def cart(variants: list[UUID]) -> Cart:
    return Cart(lines=[CartLine(variant_id=variant, quantity=1) for variant in variants])


class Ours:
    """The product."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine, self.sessions = engine, sessions_of(engine)
        self.lookup = SessionLookup(partial(driver_connection, engine))
        settings = Settings(
            profile=Profile.DEVELOPMENT,
            database_url=SecretStr(URL_.render_as_string()),
            rate=RateSettings(refresh_per_account=OFTEN, refresh_per_ip=OFTEN),
        )
        self.metrics = Metrics()
        self.accounts = open_accounts(settings, metrics=self.metrics)
        self.tokens: list[str] = []

    async def open(self, path: str) -> None:
        if path == "rotate":
            for _ in range(300):
                async with self.sessions() as session:
                    opened = await open_session(
                        session,
                        random.choice(USERS),
                        client=CLIENT,
                        keys=self.accounts.keys,
                        settings=self.accounts.settings.session,
                    )
                    await session.commit()
                self.tokens.append(opened.refresh_token)

    async def session(self) -> None:
        token = AccessToken(session_id=random.choice(SESSIONS), expires_at=FAR)
        assert await self.lookup.find(token) is not None

    async def rotate(self) -> None:
        token = self.tokens.pop()
        refreshed = await refresh_session(self.engine, token, accounts=self.accounts, client=CLIENT)
        self.tokens.insert(0, refreshed.refresh_token)

    async def stock(self) -> None:
        async with self.sessions.begin() as session:
            connection = await driver_of(session)
            assert len(await stock.take(connection, {random.choice(VARIANTS): 1})) == 1

    async def order(self) -> None:
        wanted = cart(random.sample(VARIANTS, 3))
        body = wanted.model_dump_json()
        user, key = random.choice(USERS), str(uuid4())
        request = keyed(user, key=key, method="POST", path="/checkout", body=body)
        await check_out(self.sessions, wanted, request=request)

    async def close(self) -> None:
        await self.engine.dispose()
        self.metrics.stop()


class Orm:
    """The usual way, with the same tables."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine, self.sessions = engine, sessions_of(engine)

    async def open(self, path: str) -> None:
        pass

    async def session(self) -> None:
        async with self.sessions() as session:
            options = [joinedload(Session.user)]
            found = await session.get(Session, random.choice(SESSIONS), options=options)
            assert found is not None
            assert not found.is_revoked

    async def rotate(self) -> None:
        async with self.sessions.begin() as session:
            options = [joinedload(Session.user)]
            found = await session.get_one(Session, random.choice(SESSIONS), options=options)
            rotated = (
                update(Session)
                .where(
                    Session.id == found.id,
                    Session.refresh_token_hash == found.refresh_token_hash,
                    ~Session.is_revoked,
                )
                .values(
                    refresh_token_hash=secrets.token_bytes(32),
                    previous_token_hash=found.refresh_token_hash,
                    generation=Session.generation + 1,
                    rotated_at=func.now(),
                    last_used_at=func.now(),
                )
                .execution_options(synchronize_session=False)
            )
            await session.execute(rotated)
            action = AuditedAction.SESSION_REFRESHED
            session.add(AuditEvent(action=action, user_id=found.user_id, session_id=found.id))

    async def stock(self) -> None:
        async with self.sessions.begin() as session:
            await self._take(session, random.choice(VARIANTS))

    async def order(self) -> None:
        user, key = random.choice(USERS), str(uuid4())
        async with self.sessions.begin() as session:
            await session.get(IdempotencyKey, (user, key))
            wanted = sorted(random.sample(VARIANTS, 3))
            variants = [await self._take(session, variant_id) for variant_id in wanted]
            lines = [
                OrderLine(
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
                for number, variant in enumerate(variants, start=1)
            ]
            subtotal = sum(line.total for line in lines)
            event = OrderEvent(
                machine=Machine.STATUS,
                to_state=OrderStatus.PENDING,
                reason="checkout",
                actor_id=user,
            )
            order = Order(
                ordered_by_id=user,
                currency="EUR",
                subtotal=subtotal,
                shipping=490,
                total=subtotal + 490,
                lines=lines,
                events=[event],
            )
            session.add(order)
            await session.flush()
            session.add(
                IdempotencyKey(
                    user_id=user,
                    key=key,
                    method="POST",
                    path="/checkout",
                    fingerprint=secrets.token_bytes(32),
                    status=201,
                    response={"id": str(order.id), "lines": [line.sku for line in lines]},
                    expires_at=datetime.now(UTC) + timedelta(days=1),
                )
            )

    async def _take(self, session: AsyncSession, variant_id: UUID) -> Variant:
        options = [joinedload(Variant.product).joinedload(Product.vendor)]
        variant = await session.get_one(Variant, variant_id, options=options)
        taken = (
            update(Variant)
            .where(Variant.id == variant_id, Variant.stock >= 1)
            .values(stock=Variant.stock - 1)
            .returning(Variant.id)
            .execution_options(synchronize_session=False)
        )
        assert await session.scalar(taken) is not None
        return variant

    async def close(self) -> None:
        await self.engine.dispose()


async def main(way: str, path: str, workers: int, seconds: float) -> float:
    shop = {"ours": Ours, "orm": Orm}[way](open_engine(URL_))
    await shop.open(path)
    work: Work = getattr(shop, path)
    done, is_over = 0, False

    async def worker() -> None:
        nonlocal done
        while not is_over:
            await work()
            done += 1

    running = [asyncio.create_task(worker()) for _ in range(workers)]
    await asyncio.sleep(0.7)
    before, began = done, time.perf_counter()
    await asyncio.sleep(seconds)
    rate = (done - before) / (time.perf_counter() - began)
    is_over = True
    await asyncio.gather(*running)
    await shop.close()
    return rate


print(f"{asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))):.1f}")
