"""The interceptor: every SQL statement of a revision passes here before the driver sees it.

Listens on the engine of the connection that env.py gave to Alembic, and only while the revision's own
function runs. Statements of other connections of that engine are told apart by their DBAPI connection. What
is sent through the driver's own connection, such as COPY, does not pass; but it is noticed who asks for that.
"""

import ast
import logging
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import psycopg
from alembic.ddl.impl import DefaultImpl
from sqlalchemy import Connection, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy
from sqlalchemy.engine.interfaces import DBAPICursor, ExecutionContext
from sqlalchemy.pool import PoolProxiedConnection

from holdfast.execute.dollar_parameters import with_values
from holdfast.execute.result_json import Result
from holdfast.execute.session import MigrationSession, OwnEngine
from holdfast.rewrite.statement import EXEMPTION, Exemption, exemption_in

log = logging.getLogger(__name__)

Parameters = Sequence[Any] | dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InterceptedStatement:
    """One statement, as SQLAlchemy hands it to the driver."""

    connection: Connection
    cursor: DBAPICursor
    sql: str
    parameters: tuple[Parameters, ...]  # one per execution; several for executemany
    on_migration_connection: bool
    is_result_seen: bool  # op.execute() and op.bulk_insert() give nothing back; others may
    context: ExecutionContext
    is_many: bool

    def texts(self) -> tuple[str, ...]:
        """Give the SQL of each execution, with the parameters filled in."""
        return tuple(
            mogrified(self.connection, self.cursor, self.sql, parameters)
            for parameters in self.parameters
        )

    def fetch(self) -> Result:
        """Execute the statement as the driver would, and fetch the whole result."""
        dialect, cursor = self.context.dialect, self.cursor
        if self.is_many:
            dialect.do_executemany(cursor, self.sql, list(self.parameters), self.context)  # type: ignore[arg-type]  # as it came
        elif self.parameters[0] is None:
            dialect.do_execute_no_params(cursor, self.sql, self.context)
        else:
            dialect.do_execute(cursor, self.sql, self.parameters[0], self.context)
        if cursor.description is None:
            return Result(columns=None, count=cursor.rowcount)
        return Result(
            columns=tuple((column[0], _oid(column[1])) for column in cursor.description),
            rows=tuple(tuple(row) for row in cursor.fetchall()),
            count=cursor.rowcount,
        )

    def give(self, result: Result) -> None:
        """Hand this result to the caller, although the cursor has none any more, or never had one."""
        context: Any = self.context
        if result.columns is not None:
            context.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(
                self.cursor, result.description, result.rows
            )
        context._rowcount = result.count  # noqa: SLF001  # what SQLAlchemy itself memorises

    @property
    def can_be_fetched(self) -> bool:
        """Whether we can fetch the result: not of a server-side cursor, nor of SQLAlchemy's insertmanyvalues."""
        style = getattr(self.context, "execute_style", None)
        return not getattr(self.cursor, "name", None) and "INSERTMANY" not in str(style)


def mogrified(connection: Connection, cursor: Any, sql: str, parameters: Any) -> str:
    """Give the SQL of one execution with its parameters filled in, as the driver does it. Nothing is sent.

    `parameters` is None where SQLAlchemy hands none to the driver.
    """
    driver = connection.connection.driver_connection
    if isinstance(driver, psycopg.Connection):
        return sql if parameters is None else psycopg.ClientCursor(driver).mogrify(sql, parameters)
    if isinstance(driver, psycopg.AsyncConnection):
        if parameters is None:
            return sql
        return psycopg.AsyncClientCursor(driver).mogrify(sql, parameters)
    if hasattr(cursor, "mogrify"):  # psycopg2
        if parameters is None:
            return sql
        text: bytes = cursor.mogrify(sql, parameters)
        return text.decode()
    values = parameters or ()  # asyncpg
    return with_values(sql, list(values.values() if isinstance(values, Mapping) else values))


def _oid(type_code: Any) -> int:
    """Give the type's oid; every driver for PostgreSQL uses it as the type code."""
    return int(type_code)


class Interceptor(Protocol):
    """Decides what happens to a statement, and is told of other events on the connection."""

    def arrives(self, intercepted: InterceptedStatement) -> bool:
        """Return True when the statement has been dealt with: the driver must not execute it."""
        ...

    def commits(self) -> None:
        """Handle a commit by the author (bind.commit(), the start and the end of an autocommit_block)."""
        ...

    def rolls_back(self) -> None:
        """Handle a rollback of the transaction by the author."""
        ...

    def other_commits(self, connection: Connection) -> None:
        """Handle a commit by the author on another connection of the engine."""
        ...

    def other_rolls_back(self, connection: Connection) -> None:
        """Handle a rollback by the author on another connection of the engine."""
        ...

    def sets_savepoint(self) -> None:
        """Handle a savepoint that the author sets."""
        ...

    def ends_savepoint(self, *, rolled_back: bool) -> None:
        """Handle the release of a savepoint, or the rollback to it."""
        ...

    def asks_for_driver(self) -> None:
        """Handle the author's request for the driver's own connection, before it is given."""
        ...

    def fails(self, error: BaseException) -> None:
        """Handle an error that the driver has raised for a statement of the revision."""
        ...


class _ConnectionListener:
    def __init__(self, session: MigrationSession, interceptor: Interceptor) -> None:
        self.session = session
        self.interceptor = interceptor
        self.unseen_depth = 0

    # SQLAlchemy's names and signatures of events, from here to `savepoint`.

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
        return self._arrives(cursor, sql, tuple(parameters), context, is_many=True)

    def do_execute_no_params(
        self, cursor: DBAPICursor, sql: str, context: ExecutionContext
    ) -> bool | None:
        return self._arrives(cursor, sql, (None,), context)

    def commit(self, connection: Connection) -> None:
        if self._is_ours(connection):
            self.interceptor.commits()
        else:
            self.interceptor.other_commits(connection)

    def rollback(self, connection: Connection) -> None:
        if self._is_ours(connection):
            self.interceptor.rolls_back()
        else:
            self.interceptor.other_rolls_back(connection)

    def savepoint(self, connection: Connection, name: str) -> None:
        if self._is_ours(connection):
            self.interceptor.sets_savepoint()

    def release_savepoint(self, connection: Connection, name: str, context: None) -> None:
        if self._is_ours(connection):
            self.interceptor.ends_savepoint(rolled_back=False)

    def rollback_savepoint(self, connection: Connection, name: str, context: None) -> None:
        if self._is_ours(connection):
            self.interceptor.ends_savepoint(rolled_back=True)

    def handle_error(self, context: ExceptionContext) -> None:
        connection = context.connection
        if connection is None or isinstance(connection.engine, OwnEngine):
            return  # ours are raised to whoever has sent them, or tried again
        if self._is_ours(connection):
            self.interceptor.fails(context.original_exception)

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """Mark what passes in the block as statements whose result the caller does not see."""
        self.unseen_depth += 1
        try:
            yield
        finally:
            self.unseen_depth -= 1

    def _arrives(
        self,
        cursor: DBAPICursor,
        sql: str,
        parameters: tuple[Parameters, ...],
        context: ExecutionContext,
        *,
        is_many: bool = False,
    ) -> bool | None:
        connection = context.root_connection
        if isinstance(connection.engine, OwnEngine):
            return None  # on the same dialect and therefore on the same event
        log.debug("statement: %s", sql)
        intercepted = InterceptedStatement(
            connection=connection,
            cursor=cursor,
            sql=sql,
            parameters=parameters,
            on_migration_connection=self._is_ours(connection),
            is_result_seen=self.unseen_depth == 0,
            context=context,
            is_many=is_many,
        )
        # SQLAlchemy takes None, not False, for "go on".
        return self.interceptor.arrives(intercepted) or None

    def _is_ours(self, connection: Connection) -> bool:
        return connection.connection.dbapi_connection is self.session.dbapi_connection


class ObservedConnection(Connection):
    """The migration's connection while a function runs: it reports when the driver's own is asked for."""

    @property
    def connection(self) -> PoolProxiedConnection:
        """The driver's connection; before a revision gets it, everything that it has sent is executed."""
        caller = sys._getframe(1).f_globals.get("__name__", "")  # noqa: SLF001  # documented; SQLAlchemy asks too
        if caller.partition(".")[0] not in ("alembic", "holdfast", "sqlalchemy"):
            self.__dict__["observer"].asks_for_driver()
        return super().connection


EVENTS = (
    "do_execute",
    "do_executemany",
    "do_execute_no_params",
    "commit",
    "rollback",
    "savepoint",
    "release_savepoint",
    "rollback_savepoint",
    "handle_error",
)


@contextmanager
def intercepting(
    session: MigrationSession, interceptor: Interceptor, impl: DefaultImpl
) -> Iterator[None]:
    """Report everything on the connection to `interceptor` in this block; `impl` is Alembic's."""
    migration = session.migration
    engine = migration.engine
    listener = _ConnectionListener(session, interceptor)
    with ExitStack() as closing:
        for name in EVENTS:
            function = getattr(listener, name)
            event.listen(engine, name, function)
            closing.callback(event.remove, engine, name, function)
        for name in ("execute", "bulk_insert"):
            setattr(impl, name, _wrapped(getattr(impl, name), listener))
            closing.callback(delattr, impl, name)  # the class's own method shows again
        closing.callback(setattr, migration, "__class__", type(migration))
        migration.__dict__["observer"] = interceptor
        migration.__class__ = ObservedConnection
        yield


def _wrapped(method: Callable[..., None], listener: _ConnectionListener) -> Callable[..., None]:
    def unseen(*arguments: Any, **keywords: Any) -> None:
        with listener.unseen():
            method(*arguments, **keywords)

    return unseen


def exemption_at_call(file: Path, source: str) -> Exemption | None:
    """Find the exemption in the source of the statement of `file` that is being executed right now."""
    if EXEMPTION.search(source) is None:
        return None  # nothing is allowed anywhere in the file
    frame = _frame_of(file)
    if frame is None:
        return None
    return exemption_in(_source_of_statement(source, frame.f_lineno))


def line_at_call(file: Path) -> str | None:
    """Give the line of `file` that is being executed right now, as FILE:LINE."""
    frame = _frame_of(file)
    return None if frame is None else f"{file.name}:{frame.f_lineno}"


def _frame_of(file: Path) -> FrameType | None:
    """Find the innermost call of a function of `file`."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  # documented, and the only way to the caller's line
    path, ending = str(file), file.name
    while frame is not None:
        name = frame.f_code.co_filename
        if name == path or (name.endswith(ending) and Path(name) == file):
            return frame
        frame = frame.f_back
    return None


def line_in(file: Path, error: BaseException) -> str | None:
    """Give the line of `file` that an error comes from, as FILE:LINE; helper functions in other files are skipped."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == file]
    return f"{file.name}:{lines[-1]}" if lines else None


# One revision after the other, and the file may be edited between two runs of one process.
_tree = lru_cache(maxsize=1)(ast.parse)


def _source_of_statement(source: str, line: int) -> str:
    """Give the lines of the innermost statement that covers `line`, and of a comment just above it."""
    tree, lines = _tree(source), source.splitlines()
    spans = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    if not spans:
        return ""
    first, last = min(spans, key=lambda span: span[1] - span[0])
    above = lines[first - 2].strip() if first > 1 else ""
    return "\n".join([above if above.startswith("#") else "", *lines[first - 1 : last]])
