"""What only reads may be read from a standby, and nobody reads older than what he has written himself."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text
from standby import Pair, streaming_pair

from holdfast import AsyncDatabase, Database, create_engine
from holdfast.application.reading import IS_FRESH, Standbys
from holdfast.engine.profiles import Profile
from holdfast.engine.settings import Settings

WHERE = text("SELECT pg_is_in_recovery(), (SELECT max(n) FROM written)")


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """A primary and its standby, with a table."""
    with streaming_pair() as pair:
        with psycopg.connect(pair.primary.url(), autocommit=True) as connection:
            connection.execute("CREATE TABLE written (n int)")
            connection.execute("INSERT INTO written VALUES (0)")
        pair.wait_for_replay()
        yield pair


@pytest.fixture
def database(pair: Pair) -> Iterator[Database]:
    """An application's."""
    found = Database(settings_of(pair))
    yield found
    found.stop()


def settings_of(pair: Pair) -> Settings:
    """The primary, and a standby to read from."""
    return Settings(profile=Profile.TEST, url=pair.primary.url(), read_url=pair.standby.url())


def write(database: Database) -> str:
    """One more row; the position behind it."""
    with database.sessions.begin() as session:
        session.execute(text("INSERT INTO written SELECT max(n) + 1 FROM written"))
    return database.written()


def paused(pair: Pair, *, is_paused: bool) -> None:
    """Whether the standby replays."""
    with psycopg.connect(pair.standby.url(), autocommit=True) as connection:
        word = "pause" if is_paused else "resume"
        connection.execute(f"SELECT pg_wal_replay_{word}()".encode())


def test_what_a_client_has_written_it_reads(pair: Pair, database: Database) -> None:
    """From the standby once it has it, from the primary as long as it has not."""
    after = write(database)
    pair.wait_for_replay()
    with database.reading(after=after) as session:
        assert session.execute(WHERE).one()[0] is True
    paused(pair, is_paused=True)
    after = write(database)
    last = database.read(lambda session: session.execute(WHERE).one(), after=after)
    assert last[0] is False
    with database.reading() as session:  # who has written nothing reads what is there
        assert tuple(session.execute(WHERE).one()) == (True, last[1] - 1)
    paused(pair, is_paused=False)


@pytest.mark.parametrize("after", ["", "x", "0/0; DROP TABLE written", "FFFFFFFF/FFFFFFFF"])
def test_a_position_of_nobody_is_read_from_the_primary(after: str, database: Database) -> None:
    """It comes from a client: whatever it is, nothing is executed of it and nothing fails."""
    with database.reading(after=after) as session:
        assert session.execute(WHERE).one()[0] is False


@pytest.mark.parametrize("is_standby", [True, False])
def test_a_server_without_the_position_is_not_read_from(pair: Pair, is_standby: bool) -> None:
    """Whatever it is: a standby that lags, or one that was promoted beside the primary and writes by itself."""
    server = pair.standby if is_standby else pair.primary
    engine = create_engine(Settings(profile=Profile.TEST, url=server.url()))
    with engine.connect() as connection:
        for after, is_fresh in (("0/1", True), ("FFFFFFFF/FFFFFFFF", False)):
            asked = {"after": after, "lag": "1 h"}
            assert connection.execute(IS_FRESH, asked).scalar_one() is is_fresh
    engine.dispose()


def test_a_standby_that_is_gone_is_not_waited_for(pair: Pair) -> None:
    """The primary answers, and for a while nobody asks the standby."""
    settings = settings_of(pair).model_copy(
        update={"read_url": Settings(read_url="postgresql://me@127.0.0.1:1/x").read_url}
    )
    found = Database(settings)
    with found.reading() as session:
        assert session.execute(WHERE).one()[0] is False
    assert not found.standbys.may_have(None)
    found.stop()


def test_a_standby_that_leaves_in_the_middle(pair: Pair, database: Database) -> None:
    """The work is done again on the primary, whichever statement it was at."""
    seen = []

    def work(session):  # type: ignore[no-untyped-def]  # one and the same for both
        found = session.execute(WHERE).one()[0]
        seen.append(found)
        if found:
            [pid] = session.execute(text("SELECT pg_backend_pid()")).one()
            with psycopg.connect(pair.standby.url(), autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        return session.execute(text("SELECT 7")).scalar_one()

    assert database.read(work) == 7
    assert seen == [True, False]


def test_an_event_loop_reads_alike(pair: Pair) -> None:
    """The same for AsyncDatabase."""

    async def main() -> list[bool]:
        found = AsyncDatabase(settings_of(pair))
        pair.wait_for_replay()
        async with found.reading() as session:
            first = (await session.execute(WHERE)).one()[0]
        paused(pair, is_paused=True)
        async with found.engine.begin() as connection:
            await connection.execute(text("INSERT INTO written VALUES (0)"))
        after = await found.written()

        async def work(session):  # type: ignore[no-untyped-def]  # see above
            return (await session.execute(WHERE)).one()[0]

        second = await found.read(work, after=after)
        await found.stop()
        paused(pair, is_paused=False)
        return [first, second]

    assert asyncio.run(main()) == [True, False]


def test_without_a_url_everything_is_read_from_the_primary(pair: Pair) -> None:
    """Nothing is asked twice."""
    found = Database(settings_of(pair).model_copy(update={"read_url": None}))
    with found.reading(after="0/1") as session:
        assert session.execute(WHERE).one()[0] is False
    found.stop()


def test_a_standby_that_does_not_answer_is_avoided_for_a_while() -> None:
    """Not for ever."""
    standbys = Standbys(Settings().read_lag)
    assert standbys.may_have(None)
    standbys.avoid()
    assert not standbys.may_have(None)
    standbys.avoided_until = 0.0
    assert standbys.may_have("0/1")
