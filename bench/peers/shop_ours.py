"""The hot paths through the product's own functions: `shop_ours.py WORKERS SECONDS`."""

import json
import random
from functools import partial
from uuid import uuid4

import uvloop
from pydantic import SecretStr
from shop_load import Work, keys, rates, read_world
from sqlalchemy import URL

from holdfast.engine.profiles import Profile
from marketplace.accounts.clients import Client
from marketplace.accounts.context import open_accounts
from marketplace.accounts.service.own import refresh_session
from marketplace.accounts.session_lookup import SessionLookup, find_principals
from marketplace.accounts.tokens import AccessToken
from marketplace.catalog import stock
from marketplace.database import Transactions, driver_connection, open_engine
from marketplace.metrics import Metrics
from marketplace.orders.idempotency import keyed
from marketplace.orders.schemas import Cart, CartLine
from marketplace.orders.service.checkout import check_out
from marketplace.settings import RateSettings, Settings

WORLD = read_world()
SESSIONS, VARIANTS, USERS = keys("sessions"), keys("variants"), keys("users")
CLIENT = Client(address="192.0.2.7", stored_address="192.0.2.7", user_agent="a browser")
OFTEN = "100000000/minute"
FAR = 2**40


class Ours:
    def __init__(self) -> None:
        url = URL.create(
            "postgresql+psycopg",
            username=WORLD["user"],
            database=WORLD["database"],
            query={"host": WORLD["socket"], "port": str(WORLD["port"])},
        )
        settings = Settings(
            profile=Profile.DEVELOPMENT,
            database_url=SecretStr(url.render_as_string()),
            server_key=SecretStr(WORLD["server_key"]),
            rate=RateSettings(refresh_per_account=OFTEN, refresh_per_ip=OFTEN),
        )
        self.engine = open_engine(url)
        self.transactions = Transactions.on(self.engine)
        self.lookup = SessionLookup(partial(driver_connection, self.engine))
        self.accounts = open_accounts(settings, metrics=Metrics())
        self.tokens = list(WORLD["tokens"].values())

    def paths(self) -> dict[str, Work]:
        return {
            "session": self.session,
            "session, alone": self.session_alone,
            "rotate": self.rotate,
            "stock": self.stock,
            "order": self.order,
        }

    async def session(self) -> None:
        token = AccessToken(session_id=random.choice(SESSIONS), user_id=USERS[0], expires_at=FAR)
        assert await self.lookup.find(token) is not None

    async def session_alone(self) -> None:
        session_id = random.choice(SESSIONS)
        async with driver_connection(self.engine) as connection:
            found = await find_principals(connection, [session_id])
        assert found[session_id].seen_at.timestamp() < FAR

    async def rotate(self) -> None:
        token = self.tokens.pop()
        refreshed = await refresh_session(
            self.transactions, token, accounts=self.accounts, client=CLIENT
        )
        self.tokens.insert(0, refreshed.refresh_token)

    async def stock(self) -> None:
        async with driver_connection(self.engine) as connection:
            assert len(await stock.take(connection, {random.choice(VARIANTS): 1})) == 1

    async def order(self) -> None:
        lines = [CartLine(variant_id=variant, quantity=1) for variant in random.sample(VARIANTS, 3)]
        cart = Cart(lines=lines)
        user, key = random.choice(USERS), str(uuid4())
        request = keyed(user, key=key, method="POST", path="/checkout", body=cart.model_dump_json())
        await self.transactions.write_on_driver(check_out, cart, request=request, limits=None)

    async def close(self) -> None:
        await self.engine.dispose()


async def main() -> dict[str, float]:
    ours = Ours()
    found = await rates(ours.paths())
    await ours.close()
    return found


print(json.dumps(uvloop.run(main())))
