"""The door: every SQL statement of a revision passes here before the driver sees it.

Listens on the engine of the connection that env.py gave to Alembic, and only while the revision's own
function runs. Statements of other connections of that engine are told apart by their DBAPI connection. What
is taken from the raw driver connection, and COPY through it, does not pass.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPICursor, ExecutionContext

from holdfast.run.session import MigrationSession

Parameters = Sequence[Any] | dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One statement at the door, as SQLAlchemy hands it to the driver."""

    sql: str
    parameters: tuple[Parameters, ...]  # one per execution; several for executemany
    cursor: DBAPICursor
    on_migration_connection: bool


class Doorkeeper(Protocol):
    """Decides what happens to a statement."""

    def arrives(self, arrival: Arrival) -> bool:
        """Return True when the statement has been dealt with: the driver must not execute it."""
        ...


class _Listener:
    def __init__(self, session: MigrationSession, keeper: Doorkeeper) -> None:
        self.session = session
        self.keeper = keeper

    def do_execute(
        self, cursor: DBAPICursor, sql: str, parameters: Parameters, context: ExecutionContext
    ) -> bool | None:
        return self._arrives(cursor, sql, (parameters,), context)

    def do_executemany(
        self,
        cursor: DBAPICursor,
        sql: str,
        parameters: Sequence[Parameters],
        context: ExecutionContext,
    ) -> bool | None:
        return self._arrives(cursor, sql, tuple(parameters), context)

    def do_execute_no_params(
        self, cursor: DBAPICursor, sql: str, context: ExecutionContext
    ) -> bool | None:
        return self._arrives(cursor, sql, (None,), context)

    def _arrives(
        self,
        cursor: DBAPICursor,
        sql: str,
        parameters: tuple[Parameters, ...],
        context: ExecutionContext,
    ) -> bool | None:
        connection = context.root_connection
        if connection.engine is self.session.engine:
            return None  # our own statement, on the same dialect and therefore on the same event
        arrival = Arrival(
            sql=sql,
            parameters=parameters,
            cursor=cursor,
            on_migration_connection=(
                connection.connection.dbapi_connection is self.session.dbapi_connection
            ),
        )
        # SQLAlchemy takes None, not False, for "go on".
        return self.keeper.arrives(arrival) or None


EVENTS = ("do_execute", "do_executemany", "do_execute_no_params")


@contextmanager
def open_door(session: MigrationSession, keeper: Doorkeeper) -> Iterator[None]:
    """Show `keeper` every statement that passes while this context is open."""
    engine = session.migration.engine
    listener = _Listener(session, keeper)
    for name in EVENTS:
        event.listen(engine, name, getattr(listener, name))
    try:
        yield
    finally:
        for name in EVENTS:
            event.remove(engine, name, getattr(listener, name))
