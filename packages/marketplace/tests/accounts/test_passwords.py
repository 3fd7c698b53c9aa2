"""Passwords are hashed in threads, and whether there is an account does not show."""

import asyncio

from pydantic import SecretStr

from marketplace.accounts.passwords import Passwords
from marketplace.settings import PasswordSettings

CHEAP = PasswordSettings(memory_kib=8, passes=1, lanes=1)
RIGHT, WRONG = SecretStr("a password"), SecretStr("another one")


def test_argon2id_with_a_salt() -> None:
    """And the parameters, which decide whether a hash is outdated."""

    async def check() -> None:
        passwords = Passwords(CHEAP)
        first, second = await passwords.hash(RIGHT), await passwords.hash(RIGHT)
        assert first.startswith("$argon2id$v=19$m=8,t=1,p=1$")
        assert first != second
        assert await passwords.is_password(RIGHT, password_hash=first)
        assert not await passwords.is_password(WRONG, password_hash=first)
        assert not passwords.is_outdated(first)
        assert Passwords(CHEAP.model_copy(update={"passes": 2})).is_outdated(first)

    asyncio.run(check())


def test_nobody_has_no_password() -> None:
    """A hash is verified all the same; what is no hash fits nothing."""

    async def check() -> None:
        passwords = Passwords(CHEAP)
        assert not await passwords.is_password(RIGHT, password_hash=None)
        assert not await passwords.is_password(SecretStr("nobody's"), password_hash=None)
        assert not await passwords.is_password(RIGHT, password_hash="-")

    asyncio.run(check())


def test_the_event_loop_goes_on() -> None:
    """While passwords are hashed: something else gets its turn many times."""

    async def check() -> None:
        passwords = Passwords(PasswordSettings(memory_kib=8192, passes=2, lanes=1, at_once=1))
        hashing = asyncio.gather(*(passwords.hash(RIGHT) for _ in range(4)))
        turns = 0
        while not hashing.done():
            await asyncio.sleep(0)
            turns += 1
        await hashing
        assert turns > 100

    asyncio.run(check())
