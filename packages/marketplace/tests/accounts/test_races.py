"""What no order of events breaks; `./dev prove races` runs the same in large numbers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import session_races as races
from session_races import NEW, OLD, World, open_world
from sqlalchemy import Engine

from marketplace.entities import EndReason
from marketplace.settings import SessionSettings

T = TypeVar("T")
Play = Callable[[Callable[[World], Awaitable[T]]], T]


@pytest.fixture
def play(migrated: Engine) -> Play[T]:
    """Runs something in a world of its own."""

    def run(scenario: Callable[[World], Awaitable[T]]) -> T:
        async def in_world() -> T:
            async with open_world(
                migrated.url, session=SessionSettings(max_per_user=1000)
            ) as world:
                return await scenario(world)

        return asyncio.run(in_world())

    return run


def test_requests_with_the_same_token_get_the_same_successor(play: Play[None]) -> None:
    """Twenty at once, five times: one successor, one generation on, nobody is refused."""

    async def bursts(world: World) -> None:
        for _ in range(5):
            burst = await races.burst(world, requests=20)
            assert len(burst.answers) == 1
            assert burst.answers != {None}
            assert (burst.generation, burst.is_revoked) == (1, False)

    play(bursts)


def test_nothing_is_alive_after_log_out_everywhere(play: Play[None]) -> None:
    """Whichever comes first, a refresh or the log out."""

    async def rounds(world: World) -> None:
        for _ in range(20):
            await races.refresh_against_log_out(world)

    play(rounds)


def test_a_log_in_with_the_old_password_does_not_survive_its_change(play: Play[None]) -> None:
    """Also when the old password was verified before the change and the session opened after it."""

    async def rounds(world: World) -> None:
        old, new = OLD, NEW
        for _ in range(15):
            await races.log_in_against_password_change(world, old=old, new=new)
            old, new = new, old

    play(rounds)


def test_reuse_after_the_grace_revokes_and_others_see_it(play: Play[None]) -> None:
    """The refusal does not roll the revocation back."""

    async def reuse(world: World) -> None:
        row = await races.reuse_after_grace(world)
        assert (row.is_revoked, row.revoked_reason) == (True, EndReason.REUSE_DETECTED)

    play(reuse)


def test_a_forged_token_revokes_nothing(play: Play[None]) -> None:
    """A guess with a session id that exists logs nobody out."""

    async def forge(world: World) -> None:
        row = await races.forged_token(world)
        assert (row.is_revoked, row.generation) == (False, 0)

    play(forge)


def test_log_ins_at_the_limit_of_sessions(migrated: Engine) -> None:
    """However many at once: the limit holds, and those used longest ago are evicted."""

    async def storm() -> None:
        async with open_world(migrated.url, session=SessionSettings(max_per_user=3)) as world:
            opened = await asyncio.gather(*(world.log_in(OLD) for _ in range(12)))
            assert None not in opened
            assert len(await world.alive()) == 3

    asyncio.run(storm())
