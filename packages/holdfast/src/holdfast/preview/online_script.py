"""The online plan of an SQL script, whoever wrote it: Django's sqlmigrate, a .sql file, a person.

The script is tried on a scratch server, on a copy of the schema; the database itself is only read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Connection, NullPool, create_engine, make_url
from sqlalchemy.exc import DBAPIError

from holdfast.errors import HoldfastError
from holdfast.observe.catalog import facts_for
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.new_relations import NewRelations
from holdfast.rewrite.online import rewrite
from holdfast.rewrite.statement import Statement, parse, shortened
from holdfast.rewrite.steps import Step
from holdfast.scratch.redirection import refused_by_scratch
from holdfast.scratch.schema_copy import copy_schema, embedded_major
from holdfast.scratch.template import scratch_server


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStatement:
    """One statement of the script: its steps, or why it is refused."""

    sql: str
    steps: tuple[Step, ...]
    refusal: HoldfastError | None


def plan_script(script: str, *, database: str | None, today: date) -> tuple[PlannedStatement, ...]:
    """Each statement with what the ones before it have left; `database` is a libpq URL, None an empty one.

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
            try:
                return tuple(_planned(parse(script), connection, today=today))
            except DBAPIError as error:
                raise refused_by_scratch(error) from error


def _planned(
    statements: tuple[Statement, ...], connection: Connection, *, today: date
) -> Iterator[PlannedStatement]:
    new = NewRelations()
    for statement in statements:
        facts = facts_for(connection, statement, new=new)
        yield _one(statement, facts, today=today)
        connection.exec_driver_sql(statement.sql, execution_options={"no_parameters": True})
        existing = [relation.name for relation in facts.relations.values() if not relation.is_new]
        new = new.after(statement, current_schema=facts.current_schema, existing=existing)


def _one(statement: Statement, facts: Facts, *, today: date) -> PlannedStatement:
    words = shortened(statement.sql)
    try:
        steps = rewrite(statement, facts=facts, today=today)
    except HoldfastError as refusal:
        return PlannedStatement(sql=words, steps=(), refusal=refusal)
    return PlannedStatement(sql=words, steps=steps, refusal=None)
