"""The state of one index: there or not, valid or not, or still being built by somebody."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from holdfast.rewrite.names import QualifiedName

# An index by schema and name; a row for each process that may be building it.
INDEX = text(
    """
    SELECT i.indisvalid AS is_valid, t.relname AS table_name, p.pid AS builder
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_index i ON i.indexrelid = c.oid
    JOIN pg_class t ON t.oid = i.indrelid
    -- A build tells its index only a moment after that can be seen.
    LEFT JOIN pg_stat_progress_create_index p ON p.relid = t.oid AND p.index_relid IN (0, c.oid)
        AND p.pid <> pg_backend_pid()
    WHERE n.nspname = :schema AND c.relname = :name
    """
)


# The invalid indexes that REINDEX CONCURRENTLY leaves on these tables; a row for each process that may be building one.
OF_REINDEX = text(
    """
    SELECT n.nspname AS schema, c.relname AS name, p.pid AS builder
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_stat_progress_create_index p ON p.relid = i.indrelid AND p.pid <> pg_backend_pid()
    WHERE i.indrelid IN (SELECT to_regclass(name) FROM unnest(CAST(:tables AS text[])) AS asked (name))
      AND NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'
    ORDER BY 1, 2
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReindexLeftover:
    """An invalid index that a REINDEX CONCURRENTLY has left, or is building now."""

    name: QualifiedName
    builder: int | None


def leftovers_of_reindex(
    connection: Connection, tables: Iterable[QualifiedName]
) -> tuple[ReindexLeftover, ...]:
    """All indexes on these tables that an interrupted REINDEX CONCURRENTLY has left."""
    rows = connection.execute(OF_REINDEX, {"tables": [str(table) for table in tables]})
    return tuple(
        ReindexLeftover(name=QualifiedName(schema=row.schema, name=row.name), builder=row.builder)
        for row in rows
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundIndex:
    """What the catalog says of an index."""

    is_valid: bool
    table_name: str
    builder: int | None  # the process that is building it now, other than ours


def find_index(connection: Connection, *, schema: str, name: str) -> FoundIndex | None:
    """Find an index by schema and name; None where there is none."""
    row = connection.execute(INDEX, {"schema": schema, "name": name}).first()
    if row is None:
        return None
    return FoundIndex(is_valid=row.is_valid, table_name=row.table_name, builder=row.builder)
