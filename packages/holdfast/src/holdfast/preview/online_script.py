"""The online plan of an SQL script, whoever wrote it: Django's sqlmigrate, a .sql file, a person.

The script is tried on a scratch server, on a copy of the schema; the database itself is only read.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import psycopg
from sqlalchemy import Connection, NullPool, create_engine, make_url

from holdfast.errors import HoldfastError
from holdfast.observe.catalog import facts_for
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.new_relations import NewRelations
from holdfast.rewrite.online import rewrite
from holdfast.rewrite.statement import Statement, parse, shortened
from holdfast.rewrite.steps import Step
from holdfast.scratch.dump import schema_dump
from holdfast.scratch.server import binary, temporary_server

# How large the tables of the database are: the copy is empty, and a forecast wants to know.
SIZES = """
    SELECT c.oid::regclass::text, reltuples, relpages FROM pg_class c
    WHERE relkind IN ('r', 'm') AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
"""
SET_SIZE = "UPDATE pg_class SET reltuples = %s, relpages = %s WHERE oid = to_regclass(%s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStatement:
    """One statement of the script: its steps, or why it is refused."""

    sql: str
    steps: tuple[Step, ...]
    refusal: HoldfastError | None


def plan_script(script: str, *, database: str | None, today: date) -> tuple[PlannedStatement, ...]:
    """Each statement with what the ones before it have left; `database` is a libpq URL, None an empty one.

    Raises UnparsableStatement, and psycopg.Error where a statement fails on the copy.
    """
    with _copy_of(database) as url:
        engine = create_engine(
            make_url(url).set(drivername="postgresql+psycopg"),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
        )
        with engine.connect() as connection:
            return tuple(_planned(parse(script), connection, today=today))


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


@contextmanager
def _copy_of(database: str | None) -> Iterator[str]:
    """A database on a scratch server with the same schema and, for the planner, the same sizes."""
    with temporary_server() as server:
        url = server.url()
        if database is not None:
            subprocess.run(
                [binary("psql"), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", url],
                input=schema_dump(database),
                text=True,
                check=True,
                stdout=subprocess.DEVNULL,
            )
            with psycopg.connect(database) as source, psycopg.connect(url) as copy:
                for name, rows, pages in source.execute(SIZES):
                    copy.execute(SET_SIZE, (rows, pages, name))
        yield url
