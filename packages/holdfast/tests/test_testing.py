"""The pytest plugin gives a server, databases, blockers."""

from collections.abc import Callable
from threading import Thread

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine, make_url, text

from holdfast.scratch.dump import schema_dump
from holdfast.testing.blockers import holding, wait_until_waiting


def fill(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE item (id int PRIMARY KEY)")


def test_a_database_is_empty(database: str) -> None:
    """A test begins with nothing."""
    assert schema_dump(database) == "\n"


def test_a_copy_holds_what_was_built(
    database_from: Callable[[str, Callable[[str], None]], str],
) -> None:
    """Each copy of a template is a database of its own."""
    one, two = database_from("items", fill), database_from("items", fill)
    assert conninfo_to_dict(one)["dbname"] != conninfo_to_dict(two)["dbname"]
    assert schema_dump(one) == schema_dump(two)


def test_sqlalchemy_understands_the_url(database: str) -> None:
    """The URL is libpq's and SQLAlchemy's."""
    engine = create_engine(make_url(database).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()


def test_a_meeting(database: str) -> None:
    """A test knows when another connection waits for a lock."""
    fill(database)

    def write() -> None:
        with psycopg.connect(database) as connection:
            connection.execute("INSERT INTO item VALUES (1)")

    writer = Thread(target=write)
    with holding(database, "LOCK TABLE item IN SHARE MODE"):
        writer.start()
        wait_until_waiting(database)
    writer.join(10)
    assert not writer.is_alive()
