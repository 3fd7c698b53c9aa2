"""Copies the schema of a database to a scratch server, for scripts that no history leads to.

The copy has no rows; for the planner its tables have the sizes of the others. The database itself is only read.
"""

from contextlib import suppress
from dataclasses import dataclass

import psycopg
from psycopg import sql
from sqlalchemy import NullPool, create_engine, make_url, text

from holdfast.errors.scratch import SchemaNotCopied
from holdfast.observe.database import is_citus, server_major
from holdfast.observe.placements import placements
from holdfast.scratch.dump import schema_to_copy

# How large the tables of the database are: the copy is empty, and a forecast wants to know.
SIZES = """
    SELECT c.oid::regclass::text AS name, reltuples, relpages FROM pg_class c
    WHERE relkind IN ('r', 'm') AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
"""
ROLES = "SELECT rolname FROM pg_roles WHERE NOT starts_with(rolname, 'pg_')"
# What pg_dump says before its statements: bodies of functions may name what comes later.
BEFORE_A_DUMP = "SET check_function_bodies = off; SET search_path = ''; SET xmloption = content;"
SET_SIZE = "UPDATE pg_class SET reltuples = %s, relpages = %s WHERE oid = to_regclass(%s)"


def tell_placements(placements: str, *, to: str) -> None:
    """Tell a scratch database, which has no Citus, where a cluster keeps its tables."""
    with psycopg.connect(to, autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET holdfast.placements = {}").format(
                sql.Identifier(connection.info.dbname), sql.Literal(placements)
            )
        )


def embedded_major(database: str) -> int:
    """Give the major version of the embedded server that is nearest to a database's."""
    return _look_at(database).embedded_major


def copy_schema(database: str, *, into: str) -> None:
    """Copy the schema to the database at `into`; both are URLs of libpq. Raises SchemaNotCopied."""
    _copy(_look_at(database), schema_to_copy(database), into)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    embedded_major: int
    roles: tuple[str, ...]  # that policies may name
    sizes: tuple[tuple[str, float, int], ...]
    placements: str | None  # of the tables of a Citus cluster


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
            placements=placements(connection) if is_citus(connection) else None,
        )


def _copy(source: _Source, schema: str, url: str) -> None:
    """Create the schema. Raises SchemaNotCopied."""
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
    if source.placements is not None:
        tell_placements(source.placements, to=url)
