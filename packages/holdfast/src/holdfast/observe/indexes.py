"""Reads the state of an index: missing, valid, invalid, or still being built by somebody."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from holdfast.observe.citus import drop_on_nodes, invalid_on_nodes
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


OF_A_REINDEX = re.compile("_cc(new|old)[0-9]*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReindexLeftover:
    """An invalid index that a REINDEX CONCURRENTLY has left, or is still building."""

    name: QualifiedName
    builder: int | None
    drop: str  # the statement that removes it


def leftovers_of_reindex(
    connection: Connection, tables: Iterable[QualifiedName]
) -> tuple[ReindexLeftover, ...]:
    """Find the indexes on these tables that an interrupted REINDEX CONCURRENTLY has left."""
    rows = connection.execute(OF_REINDEX, {"tables": [str(table) for table in tables]})
    names = ((QualifiedName(schema=row.schema, name=row.name), row.builder) for row in rows)
    return tuple(
        ReindexLeftover(
            name=name, builder=builder, drop=f"DROP INDEX CONCURRENTLY IF EXISTS {name}"
        )
        for name, builder in names
    )


def leftovers_on_nodes(
    connection: Connection, tables: Iterable[QualifiedName]
) -> tuple[ReindexLeftover, ...]:
    """Find the same on shards of a Citus cluster, where the table's own index stays valid."""
    wanted = set(tables)
    return tuple(
        ReindexLeftover(name=found.name, builder=found.builder, drop=drop_on_nodes(found.name))
        for found in invalid_on_nodes(connection)
        if found.table in wanted and found.index is None and OF_A_REINDEX.search(found.name.name)
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


def is_valid_on_nodes(connection: Connection, *, schema: str, name: str) -> bool:
    """Whether an index that the coordinator of a Citus cluster calls valid is so on each shard."""
    return not any(
        found.index == name and found.table.schema == schema
        for found in invalid_on_nodes(connection)
    )
