"""The product's SQL with psycopg and its pool alone: `shop_psycopg.py WORKERS SECONDS`."""

import json
import random
import secrets
import sys
from datetime import timedelta
from operator import itemgetter
from typing import Any
from uuid import UUID, uuid4

import uvloop
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Json
from psycopg_pool import AsyncConnectionPool
from shop_load import COLUMNS, Work, digest, keys, rates, read_world

WORLD = read_world()
SQL = WORLD["sql"]
SESSIONS, VARIANTS, USERS = keys("sessions"), keys("variants"), keys("users")
FORTNIGHT, DAY = timedelta(days=14), timedelta(days=1)


class Raw:
    def __init__(self, pool: AsyncConnectionPool[AsyncConnection]) -> None:
        self.pool = pool
        self.tokens = [(UUID(key), 0, token) for key, token in WORLD["tokens"].items()]

    def paths(self) -> dict[str, Work]:
        return {
            "session": self.session,
            "rotate": self.rotate,
            "stock": self.stock,
            "order": self.order,
        }

    async def session(self) -> None:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(SQL["session"], ([random.choice(SESSIONS)],))
            assert await cursor.fetchone() is not None

    async def rotate(self) -> None:
        session_id, generation, token = self.tokens.pop()
        child = secrets.token_urlsafe(32)
        presented = digest(token)
        values = {
            "id": session_id,
            "generation": generation,
            "presented": presented,
            "successor": digest(child),
            "nonce": secrets.token_bytes(16),
            "idle": FORTNIGHT,
            "user_agent": "a browser",
            "ip_address": "192.0.2.7",
            "shown": presented.hex()[:8],
        }
        async with self.pool.connection() as connection:
            assert await (await connection.execute(SQL["rotate"], values)).fetchone() is not None
        self.tokens.insert(0, (session_id, generation + 1, child))

    async def stock(self) -> None:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                SQL["take"], [Json({str(random.choice(VARIANTS)): 1})]
            )
            assert await cursor.fetchone() is not None

    async def order(self) -> None:
        user, key, order = random.choice(USERS), str(uuid4()), uuid4()
        wanted = {str(variant): 1 for variant in random.sample(VARIANTS, 3)}
        async with self.pool.connection() as connection, connection.transaction():
            claim = await connection.execute(SQL["claim"], (f"{user} {key}", user, key))
            row = await claim.fetchone()
            assert row is not None
            is_ours, now, *_ = row
            assert is_ours
            async with connection.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(SQL["take"], [Json(wanted)])
                taken = sorted(await cursor.fetchall(), key=itemgetter("variant_id"))
            lines = [line(each, number) for number, each in enumerate(taken, start=1)]
            subtotal = sum(each["unit_price"] for each in taken)
            totals = {"subtotal": subtotal, "shipping": 490, "total": subtotal + 490}
            values = {
                **totals,
                "id": order,
                "user_id": user,
                "currency": taken[0]["currency"],
                "now": now,
                "event_id": uuid4(),
                "key": key,
                "method": "POST",
                "path": "/checkout",
                "fingerprint": digest(str(wanted)),
                "response": Json({**totals, "id": str(order), "lines": lines}),
                "expires_at": now + DAY,
            }
            await connection.execute(SQL["place"], values)


def line(taken: dict[str, Any], number: int) -> dict[str, Any]:
    total = taken["unit_price"] * taken["quantity"]
    shown = {name: value for name, value in taken.items() if name in COLUMNS}
    keys = {"variant_id": str(taken["variant_id"]), "vendor_id": str(taken["vendor_id"])}
    return shown | keys | {"line_number": number, "total": total}


async def main() -> dict[str, float]:
    workers = int(sys.argv[1])
    address = f"host={WORLD['socket']} port={WORLD['port']} user={WORLD['user']} dbname={WORLD['database']}"
    pool = AsyncConnectionPool(
        address, min_size=workers, max_size=workers, kwargs={"autocommit": True}, open=False
    )
    async with pool:
        await pool.wait()
        return await rates(Raw(pool).paths())


print(json.dumps(uvloop.run(main())))
