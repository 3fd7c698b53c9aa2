"""Two servers, and a naive way to run a plan: without patience and without a journal."""

from collections.abc import Callable, Iterator
from datetime import date

import psycopg
import pytest
import sqlalchemy as sa
from everywhere import each

from holdfast.observe.catalog import facts_for
from holdfast.observe.types_in_use import unit_with_types_beside
from holdfast.rewrite.facts import NewRelations
from holdfast.rewrite.names import quote
from holdfast.rewrite.online import new_after
from holdfast.rewrite.partitions.lacking import lacking, planned_anew
from holdfast.rewrite.queue.expected_facts import expected
from holdfast.rewrite.queue.plan_queue import plan_queue
from holdfast.rewrite.queue.rules.copied_once import as_one
from holdfast.rewrite.queue.rules.gap_closed import gap_closed
from holdfast.rewrite.queue.unit_steps import steps_of_unit
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import (
    BackfillStep,
    BatchStep,
    LookStep,
    PartitionsStep,
    Step,
    TransactionStep,
    ValidateStep,
)
from holdfast.scratch.databases import Postgres, postgres_at
from holdfast.scratch.server import temporary_server

TODAY = date(2026, 1, 1)
CAPTURED = """
SELECT conname FROM pg_constraint
WHERE conrelid = %s::regclass AND NOT convalidated
  AND xmin = pg_current_xact_id()::xid
"""

RunOnline = Callable[[str, str], tuple[Step, ...]]


@pytest.fixture(scope="session")
def postgres_16() -> Iterator[Postgres]:
    """PostgreSQL 16, the older of the two that come with the scratch server."""
    with (
        temporary_server(major=16) as server,
        postgres_at(server.url()).for_many_databases() as postgres,
    ):
        yield postgres


@pytest.fixture(params=each([18, 16], here=1), scope="module")
def each_postgres(request: pytest.FixtureRequest) -> Postgres:
    """A major after the other: the newest in the tests, both in `./dev prove everywhere`."""
    fixture = "postgres" if request.param == 18 else "postgres_16"
    server: Postgres = request.getfixturevalue(fixture)
    return server


@pytest.fixture(scope="session")
def run_online() -> RunOnline:
    """Runs a script online on the database at a URL; gives the steps."""
    return _run_online


def _run_online(url: str, script: str) -> tuple[Step, ...]:
    """Planned as a whole; then unit after unit, each from what the ones before it have left."""
    done: tuple[Step, ...] = ()
    engine = sa.create_engine(
        url.replace("://", "+psycopg://", 1), poolclass=sa.NullPool, isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        session = connection.connection.dbapi_connection
        assert isinstance(session, psycopg.Connection)
        session.execute("CREATE SCHEMA IF NOT EXISTS holdfast")
        entries, new = _entries(connection, script)
        for unit in plan_queue(entries, today=TODAY):
            merged = as_one([entry.statement for entry in unit.entries])
            statements = unit_with_types_beside(connection, merged)
            facts = facts_for(connection, *statements, new=new[unit.entries[0].position])
            steps = steps_of_unit(statements, facts=facts, today=TODAY)
            queue = [entry.statement for entry in entries]
            steps = gap_closed(steps, unit=statements, queue=queue, facts=facts)
            _perform_all(connection, session, steps)
            done += steps
    return done


def _entries(
    connection: sa.Connection, script: str
) -> tuple[list[QueueEntry], dict[int, NewRelations]]:
    """The statements of a script as they wait, and what is new before each."""
    entries: list[QueueEntry] = []
    new = {0: NewRelations()}
    for position, statement in enumerate(parse(script)):
        facts = expected(facts_for(connection, statement, new=new[position]), entries)
        new[position + 1] = new_after(new[position], statement, facts=facts)
        entries.append(QueueEntry(statement=statement, facts=facts, position=position))
    return entries, new


def _perform_all(
    connection: sa.Connection, session: psycopg.Connection, steps: tuple[Step, ...]
) -> None:
    """Where there is another look at partitions, what was planned from there on is planned anew."""
    for place, step in enumerate(steps):
        if isinstance(step, PartitionsStep):
            _perform(session, steps[:place])
            facts = facts_for(connection, *parse(step.sql), new=NewRelations())
            anew = planned_anew(steps, at=place, left=lacking(step, facts=facts))
            return _perform_all(connection, session, anew[place + 1 :])
    _perform(session, steps)
    return None


def _perform(session: psycopg.Connection, steps: tuple[Step, ...]) -> None:
    captured = ""
    for step in steps:
        if isinstance(step, BackfillStep):
            _backfill(session, step)
        elif isinstance(step, TransactionStep):
            with session.transaction():
                for sql in step.sql:
                    session.execute(sql.encode())
                if step.captures_constraint_on:
                    cursor = session.execute(CAPTURED, [str(step.captures_constraint_on)])
                    ((captured,),) = cursor.fetchall()
        elif isinstance(step, BatchStep):
            session.execute(step.block().encode())
        elif isinstance(step, LookStep):
            cursor = session.execute(step.quick.encode())
            assert cursor.description is None or cursor.fetchone() is None
        elif isinstance(step, ValidateStep):
            name = quote(step.constraint or captured)
            session.execute(f"ALTER TABLE {step.table} VALIDATE CONSTRAINT {name}".encode())
        else:
            session.execute(step.sql.encode())


def _backfill(session: psycopg.Connection, step: BackfillStep, *, size: int = 700) -> None:
    """Batch after batch; a cursor of its own, whose parameters are $1, $2, .."""
    cursor = psycopg.RawCursor(session)
    reached: tuple[str, ...] = ()
    while True:
        last = cursor.execute(step.next if reached else step.first, [*reached, size]).fetchone()
        if last is None:
            return
        cursor.execute(step.batch if reached else step.first_batch, [*reached, *last])
        reached = last
