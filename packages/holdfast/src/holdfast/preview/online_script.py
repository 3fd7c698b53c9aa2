"""Plans an SQL script, whoever wrote it: Django's sqlmigrate, a .sql file, a person.

The script is tried on a scratch server, on a copy of the schema; the database itself is only read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from sqlalchemy import Connection, NullPool, create_engine, make_url
from sqlalchemy.exc import DBAPIError

from holdfast.errors import HoldfastError
from holdfast.errors.statement import TornApart
from holdfast.observe.catalog import facts_for
from holdfast.rewrite.divided_alter_table import divide_alter_table
from holdfast.rewrite.facts import Facts, NewRelations
from holdfast.rewrite.online import new_after
from holdfast.rewrite.queue.expected_facts import expected
from holdfast.rewrite.queue.plan_queue import plan_queue
from holdfast.rewrite.queue.rules.copied_once import as_one
from holdfast.rewrite.queue.rules.gap_closed import gap_closed
from holdfast.rewrite.queue.unit_steps import steps_of_unit
from holdfast.rewrite.queue.units import QueueEntry, Unit
from holdfast.rewrite.statement import Statement, StatementKind, parse, shortened
from holdfast.rewrite.steps import Step
from holdfast.scratch.redirection import refused_by_scratch
from holdfast.scratch.schema_copy import copy_schema, embedded_major
from holdfast.scratch.template import scratch_server

WAITING = (StatementKind.DDL, StatementKind.WRITE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStatement:
    """One statement of the script, or several handled as one: its steps, or why it is refused."""

    sql: str
    steps: tuple[Step, ...]
    refusal: HoldfastError | None


def plan_script(script: str, *, database: str | None, today: date) -> tuple[PlannedStatement, ...]:
    """Give the units of a script in order, as for a revision; `database` is a libpq URL, None an empty one.

    Raises UnparsableStatement, SchemaNotCopied, and ScratchRefused where a statement fails on the copy.
    """
    major = 18 if database is None else embedded_major(database)
    with scratch_server(major=major) as server, server.database() as url:
        if database is not None:
            copy_schema(database, into=url)
        engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
        )
        with engine.connect() as connection:
            parts = tuple(part for each in parse(script) for part in divide_alter_table(each))
            try:
                return tuple(_planned(parts, connection, today=today))
            except DBAPIError as error:
                raise refused_by_scratch(error) from error


def _planned(
    statements: tuple[Statement, ...], connection: Connection, *, today: date
) -> Iterator[PlannedStatement]:
    """Plan what would wait in a revision as a whole; what reads or sets something runs in between."""
    new = NewRelations()
    for waits, group in groupby(statements, key=lambda each: each.kind in WAITING):
        together = tuple(group)
        entries, new_before, new = _entries(together, connection, new=new)
        units, refusal = _units(entries, today=today) if waits else (_alone(entries), None)
        for unit in units:
            parsed = as_one([entry.statement for entry in unit.entries])
            facts = facts_for(connection, *parsed, new=new_before[unit.entries[0].position])
            yield _one(parsed, together, facts, refusal, today=today)
            for statement in parsed:
                connection.exec_driver_sql(statement.sql, execution_options={"no_parameters": True})


def _entries(
    statements: tuple[Statement, ...], connection: Connection, *, new: NewRelations
) -> tuple[list[QueueEntry], list[NewRelations], NewRelations]:
    """Give each statement as it waits behind those before it; and the new relations before each and after all."""
    entries: list[QueueEntry] = []
    new_before: list[NewRelations] = []
    for position, statement in enumerate(statements):
        facts = expected(facts_for(connection, statement, new=new), entries)
        entries.append(QueueEntry(statement=statement, facts=facts, position=position))
        new_before.append(new)
        new = new_after(new, statement, facts=facts)
    return entries, new_before, new


def _units(
    entries: Sequence[QueueEntry], *, today: date
) -> tuple[tuple[Unit, ...], TornApart | None]:
    """Group what belongs together; if that is refused, give each statement by itself, and why."""
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
