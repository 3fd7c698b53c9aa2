"""Finds rows of the database itself at which a planned step would fail: duplicates, orphans, NULLs, CHECKs.

The questions are those of the constraints as the scratch database has them while the revisions run there; they
are asked of the database itself, read only, each for a few seconds. Numbers are told, never values.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from typing import Any

from postgast import pg_query_pb2 as pb
from psycopg import sql
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError

from holdfast.errors.locks import TableIsLocked
from holdfast.errors.sqlstate import QUERY_CANCELED, sqlstate
from holdfast.errors.statement import ColumnWithoutValues, UnparsableStatement
from holdfast.execute.progress import Event, StatementPlanned, StepStarted
from holdfast.execute.rows_against_change import ABOUT_VALUES
from holdfast.execute.session import OwnEngine, second_session
from holdfast.intercept.interceptor import mogrified
from holdfast.migrate.project_connection import ProjectConnection
from holdfast.observe.catalog import facts_for
from holdfast.observe.violations import Question, question_of_constraint, question_of_index
from holdfast.rewrite.facts import NewRelations
from holdfast.rewrite.operations.add_column import (
    columns_without_values,
    refuse_column_without_values,
)
from holdfast.rewrite.statement import Statement, parse
from holdfast.rewrite.steps import (
    BackfillStep,
    BatchStep,
    BuildIndexStep,
    LookStep,
    Step,
    TransactionStep,
    ValidateStep,
)
from holdfast.rewrite.tree import find

AT_MOST = 1000  # rows are counted; a plan needs to know that there are some
LOCK_TIMEOUT = timedelta(milliseconds=100)
WRITES = (pb.InsertStmt, pb.UpdateStmt, pb.DeleteStmt, pb.MergeStmt)
OWN_BLOCK = "DO $holdfast$"
OPAQUE = (pb.DoStmt, pb.CallStmt)  # may write to any table
# The constraint that the step before has added without reading the rows.
CAPTURED = text(
    """
    SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(:table) AND NOT convalidated
    ORDER BY oid DESC LIMIT 1
    """
)
SET_LOCAL = text("SELECT set_config(:name, :setting, true)")
OF_THE_GUARD = "$guard$"
COUNT = sql.SQL("SELECT count(*) FROM (SELECT FROM ({}) AS found LIMIT {}) AS counted")

# What to ask: a question, a statement that may lead to one, or a look at values.
About = Question | Statement | LookStep

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsInTheWay:
    """The rows at which a step would stop, if nothing changes until then."""

    what: str  # duplicate keys; rows against NOT NULL a
    count: int | None  # None: not known, the query took too long
    query: str  # finds them
    is_least: bool = False  # one was found, and nobody has looked further

    def __str__(self) -> str:
        if self.count is None:
            return f"it is not known whether there are {self.what}: the query took too long: {self.query}"
        number = f"more than {AT_MOST:,}" if self.count > AT_MOST else f"{self.count:,}"
        number = f"at least {number}" if self.is_least else number
        return f"{self.what} ({number}): {self.query}"


@dataclass(kw_only=True)
class Questions:
    """Listens to a run on the scratch database, and collects what to ask the database itself."""

    scratch: Connection
    asked: list[tuple[Step, About]] = field(default_factory=list)
    planned: tuple[Step, ...] = ()
    written: set[str] = field(default_factory=set)  # tables whose rows a revision may have mended
    may_have_written_any: bool = False

    def __call__(self, told: Event) -> None:
        """Collect the question that an event of the run leads to."""
        match told:
            case StatementPlanned(steps=steps):
                self.planned = steps
                for step in steps:
                    self._statement(step)
            case StepStarted(step=words):
                begun = next((each for each in self.planned if each.describe() == words), None)
                if isinstance(begun, ValidateStep) and not self._is_written(begun.table.name):
                    self._validation(begun)
            case _:
                pass

    def before_cursor_execute(
        self,
        connection: Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        _context: object,
        executemany: bool,  # SQLAlchemy's signature of the event
    ) -> None:
        """Note which tables a statement writes to; SQLAlchemy's event of this name."""
        if _is_own_question(connection, statement) or self._is_ours(statement):
            return
        first = parameters[0] if executemany and parameters else parameters
        try:
            parsed = parse(mogrified(connection, cursor, statement, first or None))
        except UnparsableStatement:
            return  # the driver says what is wrong with it
        for each in parsed:
            self.may_have_written_any |= isinstance(each.node, OPAQUE)
            self.written.update(_tables_written(each))

    def _is_ours(self, statement: str) -> bool:
        """Whether it is a DO of the guard, of a look, or of a step that writes no row of the application's."""
        if OF_THE_GUARD in statement or statement.lstrip().startswith(OWN_BLOCK):
            return True
        blocks = (step.block() for step in self.planned if isinstance(step, BatchStep))
        looks = (step.quick for step in self.planned if isinstance(step, LookStep))
        return statement in (*blocks, *looks)

    def _is_asked_for_duplicates(self, step: BuildIndexStep) -> bool:
        return step.unique and not self._is_written(step.table.name)

    def _is_written(self, table: str) -> bool:
        return self.may_have_written_any or table in self.written

    def _statement(self, step: Step) -> None:
        if isinstance(step, BackfillStep):
            self.written.add(step.table.name)
        if isinstance(step, LookStep) and not self._is_written(step.table.name):
            self.asked.append((step, step))
        if isinstance(step, BuildIndexStep) and self._is_asked_for_duplicates(step):
            self.asked.append((step, question_of_index(step)))
        if isinstance(step, TransactionStep):
            for statement in chain.from_iterable(map(parse, step.sql)):
                if any(columns_without_values(statement)):
                    self.asked.append((step, statement))

    def _validation(self, step: ValidateStep) -> None:
        """Collect the question for a validation; a short lock_timeout, as the run itself waits for the answer."""
        parameters = {"table": str(step.table)}
        try:
            name = step.constraint or self.scratch.execute(CAPTURED, parameters).scalar()
            if name is not None:
                found = question_of_constraint(self.scratch, table=step.table, constraint=name)
                self.asked.append((step, found))
        except DBAPIError as error:
            log.debug("not known which rows are against %s: %s", step, error)


def _is_own_question(connection: Connection, statement: str) -> bool:
    """Whether it is one of the run's own questions, of which there are too many to parse each."""
    return isinstance(connection.engine, OwnEngine) and statement.lstrip()[:7].upper() == "SELECT "


def _tables_written(statement: Statement) -> Iterator[str]:
    for kind in WRITES:
        for node in find(statement.node, kind):
            yield node.relation.relname
    if isinstance(statement.node, pb.CopyStmt) and statement.node.is_from:
        yield statement.node.relation.relname


@contextmanager
def noting_questions(url: str) -> Iterator[Questions]:
    """Collect questions while the revisions run on the scratch database at `url` (libpq's)."""
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
    )
    with engine.connect() as connection:
        _set(connection, lock_timeout=LOCK_TIMEOUT)
        questions = Questions(scratch=connection)
        event.listen(Engine, "before_cursor_execute", questions.before_cursor_execute)
        try:
            yield questions
        finally:
            event.remove(Engine, "before_cursor_execute", questions.before_cursor_execute)


def ask(
    project: ProjectConnection, questions: list[tuple[Step, About]], *, patience: timedelta
) -> list[tuple[Step, RowsInTheWay]]:
    """Ask the database itself. A table or column that it lacks yet has no rows in the way."""
    with second_session(project.connection) as connection:
        connection.execute(text("SET default_transaction_read_only = on"))
        _set(connection, statement_timeout=patience, lock_timeout=LOCK_TIMEOUT)
        answers = [
            (step, answer)
            for step, about in questions
            for answer in (
                (_look(connection, about),)
                if isinstance(about, LookStep)
                else (_answer(connection, each) for each in _questions(connection, about))
            )
        ]
    return [(step, answer) for step, answer in answers if answer is not None]


def _set(connection: Connection, **timeouts: timedelta) -> None:
    for name, timeout in timeouts.items():
        connection.execute(
            text("SELECT set_config(:name, :setting, false)"),
            {"name": name, "setting": f"{timeout.total_seconds() * 1000:.0f}ms"},
        )


def _look(connection: Connection, step: LookStep) -> RowsInTheWay | None:
    """Ask for the first value in the way; a type that is not there yet has none."""
    run = connection.execution_options(no_parameters=True).exec_driver_sql
    query = "; ".join((*step.prepare, step.rows))
    run("BEGIN READ ONLY")
    try:
        for name, setting in step.settings:
            connection.execute(SET_LOCAL, {"name": name, "setting": setting})
        found = run(step.quick)
        if not found.returns_rows or found.first() is None:
            return None
    except DBAPIError as error:
        state = sqlstate(error) or ""
        if state == QUERY_CANCELED:
            return RowsInTheWay(what=step.what, count=None, query=query)
        if not state.startswith(ABOUT_VALUES):
            return None
        says = str(error.orig).partition("\n")[0]
        return RowsInTheWay(what=f"{step.what}: {says}", count=1, query=query, is_least=True)
    finally:
        run("ROLLBACK")
    return RowsInTheWay(what=step.what, count=1, query=query, is_least=True)


def _questions(connection: Connection, about: Question | Statement) -> Iterator[Question]:
    """Give the questions about a statement: whether it adds a column without a value for existing rows."""
    if isinstance(about, Question):
        yield about
        return
    try:
        facts = facts_for(connection, about, new=NewRelations())
        refuse_column_without_values(about, facts=facts)
    except ColumnWithoutValues as error:
        for name in facts.with_rows:
            query = sql.SQL("SELECT FROM {}").format(sql.Identifier(name.schema, name.name))
            missing = f"that would have no value in {error.column}"
            yield Question(one=f"row {missing}", many=f"rows {missing}", query=query)
    except (DBAPIError, TableIsLocked) as error:  # locked right now, or not ours to read
        log.debug("not known whether rows are in the way of %s: %s", about.sql, error)


def _answer(connection: Connection, question: Question) -> RowsInTheWay | None:
    query = question.query.as_string(None)
    count = COUNT.format(sql.SQL(query), sql.Literal(AT_MOST + 1)).as_string(None)
    run = connection.execution_options(no_parameters=True).exec_driver_sql
    try:
        found = run(count).scalar_one()
    except DBAPIError as error:
        is_slow = sqlstate(error) == QUERY_CANCELED
        return RowsInTheWay(what=question.many, count=None, query=query) if is_slow else None
    return RowsInTheWay(what=question.many, count=found, query=query) if found else None
