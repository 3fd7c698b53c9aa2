"""An edit of what somebody else has edited meanwhile is refused; a unit of work that lost runs again."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Engine, NullPool, create_engine, make_url, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from holdfast.engine.versioned import Versioned, run_unit, run_unit_async
from holdfast.errors.sqlstate import sqlstate

LIMIT = 30


class Entity(DeclarativeBase):
    """A base of the user's own."""


class Article(Versioned, Entity):
    """A table with a version."""

    __tablename__ = "article"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@pytest.fixture
def engine(database: str) -> Engine:
    """On a database with two articles."""
    url = make_url(database).set(drivername="postgresql+psycopg")
    engine = create_engine(url, poolclass=NullPool)
    Entity.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Article(id=1, name="one"), Article(id=2, name="two")])
        session.commit()
    return engine


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return sessionmaker(engine)


def articles(engine: Engine) -> list[tuple[str, int]]:
    with Session(engine) as session:
        found = session.scalars(select(Article).order_by(Article.id))
        return [(article.name, article.version) for article in found]


def rename(engine: Engine, number: int, name: str) -> None:
    with Session(engine) as session:
        session.get_one(Article, number).name = name
        session.commit()


def test_the_second_of_two_edits_is_refused(engine: Engine) -> None:
    """Both read version 1; what the first wrote stays, as version 2."""
    with Session(engine) as one, Session(engine) as two:
        one.get_one(Article, 1).name = "the name of one"
        two.get_one(Article, 1).name = "the name of two"
        one.commit()
        with pytest.raises(StaleDataError):
            two.commit()
        two.rollback()
        article = two.get_one(Article, 1)
        assert (article.name, article.version) == ("the name of one", 2)


def test_rows_that_come_without_the_orm_begin_at_one(engine: Engine) -> None:
    """COPY, and INSERT in plain SQL."""
    with Session(engine) as session:
        session.connection().exec_driver_sql("INSERT INTO article (id, name) VALUES (3, 'new')")
        assert session.get_one(Article, 3).version == 1


def crossing(meeting: Barrier, order: tuple[int, int]) -> Callable[[Session], int]:
    """Locks two articles in this order; at first not before the other one has its first lock."""
    attempts = 0

    def work(session: Session) -> int:
        nonlocal attempts
        attempts += 1
        session.execute(text("SET LOCAL deadlock_timeout = '20ms'"))
        first, second = order
        session.get_one(Article, first, with_for_update=True)
        if attempts == 1:
            meeting.wait(LIMIT)
        session.get_one(Article, second, with_for_update=True).name += f" {first}"
        return attempts

    return work


def test_a_real_deadlock_is_survived(engine: Engine, sessions: sessionmaker[Session]) -> None:
    """The one that PostgreSQL ended runs again, from the start; both have done their work."""
    meeting = Barrier(2)
    with ThreadPoolExecutor(2) as threads:
        units = [
            threads.submit(run_unit, crossing(meeting, order), sessions=sessions)
            for order in ((1, 2), (2, 1))
        ]
        attempts = sorted(unit.result(LIMIT) for unit in units)
    assert attempts == [1, 2]
    assert articles(engine) == [("one 2", 2), ("two 1", 2)]


def test_a_stale_edit_reads_again(engine: Engine, sessions: sessionmaker[Session]) -> None:
    """Nothing of the first attempt is kept: the edit is made on what the other one wrote."""
    seen = []

    def work(session: Session) -> None:
        article = session.get_one(Article, 1)
        seen.append(article.name)
        if len(seen) == 1:
            rename(engine, 1, "renamed")
        article.name += "!"

    run_unit(work, sessions=sessions)
    assert seen == ["one", "renamed"]
    assert articles(engine)[0] == ("renamed!", 3)


@pytest.mark.parametrize(
    ("isolation", "statement", "state"),
    [
        ("REPEATABLE READ", "UPDATE article SET name = 'mine' WHERE id = 1", "40001"),
        ("READ COMMITTED", "SELECT FROM article WHERE id = 2 FOR UPDATE NOWAIT", "55P03"),
    ],
)
def test_it_gives_up(engine: Engine, isolation: str, statement: str, state: str) -> None:
    """After three attempts, with the error as it is."""
    attempts = 0

    def work(session: Session) -> None:
        nonlocal attempts
        attempts += 1
        session.scalars(select(Article)).all()
        rename(engine, 1, f"renamed {attempts}")
        session.execute(text(statement))

    isolated = sessionmaker(engine.execution_options(isolation_level=isolation))
    with Session(engine) as other:
        other.get_one(Article, 2, with_for_update=True)
        with pytest.raises(DBAPIError) as error:
            run_unit(work, sessions=isolated)
    assert (attempts, sqlstate(error.value)) == (3, state)


def test_what_is_not_a_lost_race_is_raised_at_once(sessions: sessionmaker[Session]) -> None:
    """The same work would fail in the same way."""
    attempts = 0

    def work(session: Session) -> None:
        nonlocal attempts
        attempts += 1
        session.add(Article(id=1, name="there is one already"))

    with pytest.raises(IntegrityError):
        run_unit(work, sessions=sessions)
    assert attempts == 1


def test_what_follows_the_commit_is_done_once(
    engine: Engine, sessions: sessionmaker[Session]
) -> None:
    """It sees what was committed; when it fails, even by a lost race, nothing is done again."""
    attempts, mails = 0, []

    def work(session: Session) -> str:
        nonlocal attempts
        attempts += 1
        article = session.get_one(Article, 1)
        if attempts == 1:
            rename(engine, 1, "renamed")
        article.name += "!"
        return article.name

    def mail(name: str) -> None:
        mails.append((name, articles(engine)[0]))
        raise StaleDataError("of another unit")

    with pytest.raises(StaleDataError, match="of another unit"):
        run_unit(work, sessions=sessions, after_commit=mail)
    assert (attempts, mails) == (2, [("renamed!", ("renamed!", 3))])


def test_an_event_loop_does_the_same(engine: Engine) -> None:
    """A real deadlock of two tasks, and what follows, once for each."""
    finished: list[int] = []

    async def both() -> list[int]:
        meeting = asyncio.Barrier(2)
        async_engine = create_async_engine(engine.url, poolclass=NullPool)
        sessions = async_sessionmaker(async_engine)

        async def unit(first: int, second: int) -> int:
            attempts = 0

            async def work(session: AsyncSession) -> int:
                nonlocal attempts
                attempts += 1
                await session.execute(text("SET LOCAL deadlock_timeout = '20ms'"))
                await session.get_one(Article, first, with_for_update=True)
                if attempts == 1:
                    await asyncio.wait_for(meeting.wait(), LIMIT)
                article = await session.get_one(Article, second, with_for_update=True)
                article.name += f" {first}"
                return attempts

            async def after_commit(attempts: int) -> None:
                finished.append(attempts)

            return await run_unit_async(work, sessions=sessions, after_commit=after_commit)

        return await asyncio.gather(unit(1, 2), unit(2, 1))

    assert sorted(asyncio.run(both())) == sorted(finished) == [1, 2]
    assert articles(engine) == [("one 2", 2), ("two 1", 2)]
