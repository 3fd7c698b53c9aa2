"""The online plan of an SQL script, whoever wrote it: Django's sqlmigrate, a .sql file, a person.

The script is tried on a scratch server, on a copy of the schema; the database itself is only read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from itertools import groupby

import psycopg
from psycopg import sql
from sqlalchemy import Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from holdfast.errors import HoldfastError
from holdfast.errors.scratch import SchemaNotCopied
from holdfast.errors.statement import TornApart
from holdfast.observe.catalog import facts_for
from holdfast.observe.database import server_major
from holdfast.rewrite.expected_facts import expected
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.new_relations import NewRelations
from holdfast.rewrite.plan_queue import plan_queue
from holdfast.rewrite.queue_rules.copied_once import as_one
from holdfast.rewrite.queue_rules.gap_closed import gap_closed
from holdfast.rewrite.statement import Statement, parse, shortened
from holdfast.rewrite.statement_kind import StatementKind
from holdfast.rewrite.steps import Step
from holdfast.rewrite.unit_steps import steps_of_unit
from holdfast.rewrite.units import QueueEntry, Unit
from holdfast.scratch.dump import schema_to_copy
from holdfast.scratch.redirection import refused_by_scratch
from holdfast.scratch.template import scratch_server

WAITING = (StatementKind.DDL, StatementKind.WRITE)
# How large the tables of the database are: the copy is empty, and a forecast wants to know.
SIZES = """
    SELECT c.oid::regclass::text AS name, reltuples, relpages FROM pg_class c
    WHERE relkind IN ('r', 'm') AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
"""
ROLES = "SELECT rolname FROM pg_roles WHERE NOT starts_with(rolname, 'pg_')"
# What pg_dump says before its statements: bodies of functions may name what comes later.
BEFORE_A_DUMP = "SET check_function_bodies = off; SET search_path = ''; SET xmloption = content;"
SET_SIZE = "UPDATE pg_class SET reltuples = %s, relpages = %s WHERE oid = to_regclass(%s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStatement:
    """One statement of the script, or several that are seen as one: the steps, or why it is refused."""

    sql: str
    steps: tuple[Step, ...]
    refusal: HoldfastError | None


def plan_script(script: str, *, database: str | None, today: date) -> tuple[PlannedStatement, ...]:
    """The units of a script in their order, as of a revision; `database` is a libpq URL, None an empty one.

    Raises UnparsableStatement, SchemaNotCopied, and ScratchRefused where a statement fails on the copy.
    """
    with _copy_of(database) as url:
        engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
        )
        with engine.connect() as connection:
            try:
                return tuple(_planned(parse(script), connection, today=today))
            except DBAPIError as error:
                raise refused_by_scratch(error) from error


def _planned(
    statements: tuple[Statement, ...], connection: Connection, *, today: date
) -> Iterator[PlannedStatement]:
    """What would wait in a revision is planned as a whole; what reads or sets something runs between."""
    new = NewRelations()
    for waits, group in groupby(statements, key=lambda each: each.kind in WAITING):
        together = tuple(group)
        entries, new_before, new = _entries(together, connection, new=new)
        units, refusal = _units(entries, today=today) if waits else (_alone(entries), None)
        for unit in units:
            parsed = as_one([entry.statement for entry in unit.entries])
            facts = facts_for(connection, *parsed, new=new_before[unit.positions[0]])
            yield _one(parsed, together, facts, refusal, today=today)
            for statement in parsed:
                connection.exec_driver_sql(statement.sql, execution_options={"no_parameters": True})


def _entries(
    statements: tuple[Statement, ...], connection: Connection, *, new: NewRelations
) -> tuple[list[QueueEntry], list[NewRelations], NewRelations]:
    """Each statement as it waits behind those before it; what is new before each, and behind all."""
    entries: list[QueueEntry] = []
    new_before: list[NewRelations] = []
    for position, statement in enumerate(statements):
        facts = expected(facts_for(connection, statement, new=new), entries)
        entries.append(QueueEntry(statement=statement, facts=facts, position=position))
        new_before.append(new)
        existing = [relation.name for relation in facts.relations.values() if not relation.is_new]
        new = new.after(statement, current_schema=facts.current_schema, existing=existing)
    return entries, new_before, new


def _units(
    entries: Sequence[QueueEntry], *, today: date
) -> tuple[tuple[Unit, ...], TornApart | None]:
    """What belongs together; where that cannot be kept, each for itself, and why it is refused."""
    try:
        return plan_queue(entries, today=today), None
    except TornApart as refusal:
        return _alone(entries), refusal


def _alone(entries: Sequence[QueueEntry]) -> tuple[Unit, ...]:
    return tuple(Unit(entries=(entry,)) for entry in entries)


def _one(
    unit: Sequence[Statement],
    queue: Sequence[Statement],
    facts: Facts,
    torn: TornApart | None,
    *,
    today: date,
) -> PlannedStatement:
    words = "; ".join(shortened(statement.sql) for statement in unit)
    if torn is not None and words == torn.between:
        return PlannedStatement(sql=words, steps=(), refusal=torn)
    try:
        steps = steps_of_unit(unit, facts=facts, today=today)
    except HoldfastError as refusal:
        return PlannedStatement(sql=words, steps=(), refusal=refusal)
    steps = gap_closed(steps, unit=unit, queue=queue, facts=facts)
    return PlannedStatement(sql=words, steps=steps, refusal=None)


@contextmanager
def _copy_of(database: str | None) -> Iterator[str]:
    """A database on a scratch server with the same schema and, for the planner, the same sizes."""
    source = None if database is None else _look_at(database)
    with (
        scratch_server(major=source.embedded_major if source else 18) as server,
        server.database() as url,
    ):
        if source is not None and database is not None:
            _copy(source, schema_to_copy(database), url)
        yield url


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    embedded_major: int
    roles: tuple[str, ...]  # that policies may name
    sizes: tuple[tuple[str, float, int], ...]


def _look_at(database: str) -> _Source:
    engine = create_engine(
        make_url(database).set(drivername="postgresql+psycopg"), poolclass=NullPool
    )
    with engine.connect() as connection:
        return _Source(
            embedded_major=18 if server_major(connection) > 16 else 16,
            roles=tuple(connection.scalars(text(ROLES))),
            sizes=tuple(
                (row.name, row.reltuples, row.relpages) for row in connection.execute(text(SIZES))
            ),
        )


def _copy(source: _Source, schema: str, url: str) -> None:
    """Make the schema. Raises SchemaNotCopied."""
    with psycopg.connect(url, autocommit=True) as copy:
        for role in source.roles:
            with suppress(psycopg.errors.DuplicateObject, psycopg.errors.InsufficientPrivilege):
                copy.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        try:
            copy.execute(f"{BEFORE_A_DUMP}\n{schema}\n".encode())
        except psycopg.Error as error:
            raise SchemaNotCopied(said=str(error).strip()) from error
        copy.execute("RESET search_path")
        for name, rows, pages in source.sizes:
            with suppress(psycopg.errors.InsufficientPrivilege):  # not a server of our own
                copy.execute(SET_SIZE, (rows, pages, name))
