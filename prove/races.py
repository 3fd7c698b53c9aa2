"""Races about sessions in large numbers, on real connections to an embedded server.

`./dev prove races [--times N]`: N times as many. A line for each case; status 1 when one has failed.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
from pydantic import SecretStr
from sqlalchemy import NullPool, create_engine

from holdfast.scratch.server import temporary_server
from marketplace import schema
from marketplace.entities import EndReason
from marketplace.settings import SessionSettings, sqlalchemy_url

sys.path.insert(0, str(Path(__file__).parents[1] / "packages/marketplace/tests/kit"))
import session_races as races  # what the tests run too, in small numbers
from session_races import NEW, OLD, World, open_world

Case = Callable[[World, int], Awaitable[str]]


async def same_token(world: World, times: int) -> str:
    for _ in range(20 * times):
        burst = await races.burst(world, requests=40)
        assert len(burst.answers) == 1, f"{len(burst.answers)} different answers"
        assert None not in burst.answers, "a request was refused"
        assert (burst.generation, burst.is_revoked) == (1, False), burst
    return f"{20 * times} bursts of 40 with one token: one successor each, no error"


async def refresh_against_log_out(world: World, times: int) -> str:
    first = [await races.refresh_against_log_out(world) for _ in range(400 * times)]
    return f"{400 * times} x refresh against log out everywhere: 0 alive after ({sum(first)} refreshed first)"


async def log_in_against_password_change(world: World, times: int) -> str:
    old, new, first = OLD, NEW, 0
    for _ in range(300 * times):
        first += await races.log_in_against_password_change(world, old=old, new=new)
        old, new = new, old
    return f"{300 * times} x log in with the old password against its change: 0 survive ({first} logged in first)"


async def reuse_after_grace(world: World, times: int) -> str:
    for _ in range(20 * times):
        row = await races.reuse_after_grace(world)
        assert (row.is_revoked, row.revoked_reason) == (True, EndReason.REUSE_DETECTED)
    return f"{20 * times} x reuse after the grace: revoked, as another connection sees"


async def forged_token(world: World, times: int) -> str:
    for _ in range(20 * times):
        row = await races.forged_token(world)
        assert (row.is_revoked, row.generation) == (False, 0)
    return f"{20 * times} x forged token with the id of a session: nothing revoked"


SESSIONS: tuple[Case, ...] = (
    same_token,
    refresh_against_log_out,
    log_in_against_password_change,
    reuse_after_grace,
    forged_token,
)


async def prove(url: str, times: int) -> bool:
    settings = SessionSettings(max_per_user=100_000)
    is_proven = True
    for case in SESSIONS:
        began = time.monotonic()
        try:
            async with open_world(sqlalchemy_url(SecretStr(url)), session=settings) as world:
                said = await case(world, times)
        except Exception as error:  # noqa: BLE001  # the other cases have something to say too
            is_proven = False
            print(f"FAILED  {case.__name__}: {error!r}")
        else:
            print(f"ok      {said}, {time.monotonic() - began:.1f} s", flush=True)
    return is_proven


@click.command()
@click.option("--times", type=click.IntRange(1, 100), default=1)
def main(times: int) -> None:
    with temporary_server() as server:
        url = server.url("postgres")
        with create_engine(
            sqlalchemy_url(SecretStr(url)), poolclass=NullPool
        ).connect() as connection:
            schema.upgrade(connection)
        sys.exit(0 if asyncio.run(prove(url, times)) else 1)


main()
