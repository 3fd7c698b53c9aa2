"""A server that leaves takes its whole pool along; an application's own mistake does not."""

from collections.abc import Callable

import psycopg
import pytest
from backends import backends, wait_for_backends
from pools import PID, pool_of, use_at_once
from psycopg import sql
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import InternalError, OperationalError

Engines = Callable[..., Engine]


def test_a_demoted_server_is_left(engine: Engines, database: str, application_name: str) -> None:
    """25006 from a server that takes no writes gives up every connection to it."""
    make_read_only(database)
    demoted = engine()
    use_at_once(demoted, 4)
    with demoted.connect() as connection:
        fail_to_write(connection)
        assert connection.invalidated
    wait_for_backends(database, application_name, 0)


def test_a_transaction_that_chose_to_be_read_only_keeps_the_pool(
    engine: Engines, database: str, application_name: str
) -> None:
    """The same SQLSTATE, and the server is fine."""
    healthy = engine()
    pids = use_at_once(healthy, 4)
    with healthy.connect().execution_options(postgresql_readonly=True) as connection:
        fail_to_write(connection)
        assert not connection.invalidated
    assert backends(database, application_name) == pids


@pytest.mark.parametrize("state", ["57P01", "57P02", "57P03"])
def test_a_shutdown_empties_the_pool(
    engine: Engines, database: str, application_name: str, state: str
) -> None:
    """Also when the connection that said so is still open."""
    left = engine()
    use_at_once(left, 4)
    with left.connect() as connection, pytest.raises(OperationalError):
        connection.execute(text(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$"))
    wait_for_backends(database, application_name, 0)


def test_an_ordinary_error_keeps_the_pool(
    engine: Engines, database: str, application_name: str
) -> None:
    """A statement that fails says nothing about the server."""
    healthy = engine()
    pids = use_at_once(healthy, 4)
    with healthy.connect() as connection, pytest.raises(Exception, match="division by zero"):
        connection.execute(text("SELECT 1/0"))
    assert backends(database, application_name) == pids
    assert pool_of(healthy).figures().idle == 4


def test_connections_in_use_elsewhere_are_replaced_after_their_return(engine: Engines) -> None:
    """They belong to the same server: nobody gets one of them again."""
    left = engine()
    with left.connect() as other:
        old = other.scalar(PID)
        with left.connect() as connection, pytest.raises(OperationalError):
            connection.execute(text("DO $$ BEGIN RAISE SQLSTATE '57P01'; END $$"))
    assert old not in use_at_once(left, 4)


def make_read_only(database: str) -> None:
    """For sessions from now on, as a managed service does with a full disk."""
    name = database.partition("?")[0].rpartition("/")[2]
    statement = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on")
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(statement.format(sql.Identifier(name)))


def fail_to_write(connection: Connection) -> None:
    with pytest.raises((InternalError, OperationalError), match="read-only transaction"):
        connection.execute(text("CREATE TABLE t ()"))
