"""Races about sessions, each on real connections: what they end in is the caller's to judge.

Used by the tests with small numbers, and by `./dev prove races` with large ones.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID

import pyotp
from pydantic import SecretStr
from sqlalchemy import URL, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from uuid_utils.compat import uuid7

from holdfast import Profile
from marketplace.accounts.clients import Client
from marketplace.accounts.context import Accounts, open_accounts
from marketplace.accounts.principal import Principal
from marketplace.accounts.problems import (
    InvalidCredentials,
    InvalidRefreshToken,
    SecondFactorNeeded,
)
from marketplace.accounts.schemas import (
    Credentials,
    LogoutScope,
    PasswordChange,
    Verification,
)
from marketplace.accounts.service import email, own, registration, second_factor
from marketplace.accounts.session_lookup import SessionLookup
from marketplace.accounts.sessions import OpenedSession, open_session
from marketplace.accounts.tokens import AccessToken, TokenKeys, first_token, seal
from marketplace.database import Transactions, driver_connection, open_engine, sessions_of
from marketplace.entities import Role, Session, User
from marketplace.metrics import Metrics
from marketplace.settings import (
    PasswordSettings,
    RateSettings,
    SessionSettings,
    Settings,
)

T = TypeVar("T")
CLIENT = Client(address="192.0.2.7", stored_address="192.0.2.7", user_agent="a test")
OFTEN = "1000000/minute"
OLD, NEW = SecretStr("the old password"), SecretStr("the new password")
FAR = 2**40  # when no access token of a test has expired yet


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One user of a shop, and what is needed to act for it."""

    engine: AsyncEngine
    accounts: Accounts
    user_id: UUID
    email: str

    @property
    def transactions(self) -> Transactions:
        return Transactions.on(self.engine)

    def transaction(self) -> AsyncSession:
        return self.transactions.sessions()

    async def open(self) -> OpenedSession:
        return await self.transactions.write(
            open_session,
            self.user_id,
            client=CLIENT,
            keys=self.accounts.keys,
            settings=self.accounts.settings.session,
        )

    async def refresh(self, token: str) -> str | None:
        """The successor, or None when it is refused."""
        try:
            refreshed = await own.refresh_session(
                self.transactions, token, accounts=self.accounts, client=CLIENT
            )
        except InvalidRefreshToken:
            return None
        return refreshed.refresh_token

    async def log_in(
        self, password: SecretStr, *, code: SecretStr | None = None
    ) -> OpenedSession | None:
        credentials = Credentials(email=self.email, password=password, code=code)
        try:
            return await own.log_in(
                self.transactions, credentials, accounts=self.accounts, client=CLIENT
            )
        except (InvalidCredentials, SecondFactorNeeded):
            return None

    async def reset_password(self, new: SecretStr) -> None:
        """By the letter for whoever has forgotten it."""
        token = await registration.forget_password(
            self.transactions, self.email, accounts=self.accounts
        )
        assert token is not None
        form = Verification(token=SecretStr(token), password=new)
        await registration.verify(self.transactions, form, accounts=self.accounts)

    async def change_email(self, new_email: str) -> "World":
        """The same user with another address, confirmed by its letter."""
        token = await email.ask_for_change(
            self.transactions, self.user_id, new_email, accounts=self.accounts
        )
        assert token is not None
        await email.confirm_change(self.transactions, token, accounts=self.accounts)
        return replace(self, email=new_email)

    async def set_up_second_factor(self) -> list[SecretStr]:
        """Gives the recovery codes."""
        offered = await self.transactions.write(
            second_factor.offer, self.user_id, accounts=self.accounts
        )
        confirmed = await self.transactions.write(
            second_factor.confirm,
            self.user_id,
            code=SecretStr(pyotp.TOTP(offered.secret).now()),
            accounts=self.accounts,
        )
        return [SecretStr(code) for code in confirmed.recovery_codes]

    async def remove_second_factor(self, code: SecretStr) -> None:
        await self.transactions.write(
            second_factor.remove, self.user_id, code=code, accounts=self.accounts
        )

    async def change_password(
        self,
        opened: OpenedSession,
        *,
        old: SecretStr,
        new: SecretStr,
        code: SecretStr | None = None,
    ) -> OpenedSession:
        form = PasswordChange(current_password=old, new_password=new, code=code)
        return await own.change_password(
            self.transactions,
            await self.principal(opened),
            form,
            accounts=self.accounts,
            client=CLIENT,
        )

    async def log_out_everywhere(self, opened: OpenedSession) -> None:
        principal = await self.principal(opened)
        await self.transactions.write(own.log_out, principal, scope=LogoutScope.ALL)

    async def principal(self, opened: OpenedSession) -> Principal:
        found = await self.look_up(opened.session_id)
        assert found is not None
        return found

    async def look_up(self, session_id: UUID) -> Principal | None:
        lookup = SessionLookup(partial(driver_connection, self.engine))
        return await lookup.find(
            AccessToken(session_id=session_id, user_id=self.user_id, expires_at=FAR)
        )

    async def row(self, session_id: UUID) -> Session:
        async with self.transaction() as transaction:
            return await transaction.get_one(Session, session_id)

    async def alive(self) -> set[UUID]:
        query = select(Session.id).where(
            Session.user_id == self.user_id, ~Session.is_revoked, Session.expires_at > func.now()
        )
        async with self.transaction() as transaction:
            return set(await transaction.scalars(query))

    async def let_pass(self, time: timedelta) -> None:
        """As if it had passed: the clock is the database's, so its rows move instead."""
        moments = ("created_at", "authenticated_at", "last_used_at", "rotated_at", "revoked_at")
        ends = ("expires_at", "absolute_expires_at")
        async with self.transaction() as transaction:
            moved = {name: getattr(Session, name) - time for name in (*moments, *ends)}
            await transaction.execute(update(Session).values(moved))
            await transaction.commit()


def settings_on(url: URL, session: SessionSettings) -> Settings:
    """Hashing that costs next to nothing, and no limit that is met by chance."""
    return Settings(
        profile=Profile.TEST,
        database_url=SecretStr(url.render_as_string(hide_password=False)),
        server_key=SecretStr("a key of the tests, long enough to be one"),
        password=PasswordSettings(memory_kib=8, passes=1, lanes=1),
        rate=RateSettings(
            login_per_ip=OFTEN,
            login_per_account=OFTEN,
            refresh_per_ip=OFTEN,
            refresh_per_account=OFTEN,
            login_failures_per_account=OFTEN,
            letters_in_all=OFTEN,
        ),
        session=session,
    )


@asynccontextmanager
async def open_world(url: URL, *, session: SessionSettings | None = None) -> AsyncIterator[World]:
    """A new user, with the old password, on a database that has the schema."""
    engine = open_engine(url)
    settings = settings_on(url, session or SessionSettings())
    accounts = open_accounts(settings, metrics=Metrics())
    user_id = uuid7()
    address = f"{user_id}@example.com"
    try:
        async with sessions_of(engine)() as transaction:
            transaction.add(
                User(
                    id=user_id,
                    email=address,
                    is_verified=True,
                    role=Role.CUSTOMER,
                    password_hash=await accounts.passwords.hash(OLD),
                )
            )
            await transaction.commit()
        yield World(engine=engine, accounts=accounts, user_id=user_id, email=address)
    finally:
        await engine.dispose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What requests with one token came to: the answers that differ, and the row afterwards."""

    answers: set[str | None]
    generation: int
    is_revoked: bool


async def burst(world: World, *, requests: int) -> Burst:
    """All of them present the token that is current."""
    opened = await world.open()
    answers = await asyncio.gather(*(world.refresh(opened.refresh_token) for _ in range(requests)))
    row = await world.row(opened.session_id)
    return Burst(answers=set(answers), generation=row.generation, is_revoked=row.is_revoked)


async def refresh_against_log_out(world: World) -> bool:
    """Whether the refresh came first; a token that it got is refused, and nothing is alive."""
    opened = await world.open()
    token, _ = await asyncio.gather(
        _soon(world.refresh(opened.refresh_token)), _soon(world.log_out_everywhere(opened))
    )
    assert await world.alive() == set()
    assert await world.look_up(opened.session_id) is None
    assert token is None or await world.refresh(token) is None
    return token is not None


async def log_in_against_password_change(world: World, *, old: SecretStr, new: SecretStr) -> bool:
    """Whether the log in with the old password came first; its session does not survive."""
    opened = await world.open()
    late, changed = await asyncio.gather(
        _soon(world.log_in(old)), _soon(world.change_password(opened, old=old, new=new))
    )
    assert await world.alive() == {changed.session_id}
    return late is not None


async def reuse_after_grace(world: World) -> Session:
    """The row, as another connection sees it once the reuse was refused."""
    opened = await world.open()
    assert await world.refresh(opened.refresh_token) is not None
    await world.let_pass(world.accounts.settings.session.grace + timedelta(seconds=1))
    assert await world.refresh(opened.refresh_token) is None
    return await world.row(opened.session_id)


async def forged_token(world: World) -> Session:
    """The row, after a token that names the session was made up and refused."""
    opened = await world.open()
    stranger = TokenKeys.of(SecretStr("a key that somebody else has made up"))
    forged = seal(first_token(opened.session_id), keys=stranger)
    assert await world.refresh(forged) is None
    return await world.row(opened.session_id)


async def _soon(action: Awaitable[T]) -> T:
    """Now or two milliseconds later: so that each order comes up."""
    await asyncio.sleep(random.random() / 500)  # noqa: S311  # no secret
    return await action
