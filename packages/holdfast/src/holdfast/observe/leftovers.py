"""Finds what an interrupted change leaves in a schema and no comparison of models shows.

INVALID indexes cost writes and serve no read; a constraint that is NOT VALID holds for new rows only.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

from holdfast.observe.citus import drop_on_nodes, invalid_on_nodes
from holdfast.rewrite.names import QualifiedName

# One row per leftover, and one at least. PostgreSQL 18 has NOT VALID on NOT NULL too, of the kind 'n'.
LEFTOVERS = text(
    """
    SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL AS is_citus, found.*
    FROM (SELECT 1) AS once LEFT JOIN (
    SELECT 'INVALID index' AS what, format('%I.%I', n.nspname, c.relname) AS name,
           format('%I.%I', n.nspname, t.relname) AS table_name, p.pid AS builder
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_stat_progress_create_index p ON p.index_relid = c.oid
    WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname NOT LIKE 'pg\\_%'
    UNION ALL
    SELECT 'NOT VALID constraint', quote_ident(k.conname), format('%I.%I', n.nspname, t.relname), NULL
    FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE NOT k.convalidated AND n.nspname NOT LIKE 'pg\\_%'
      AND to_jsonb(k) ->> 'conenforced' IS DISTINCT FROM 'false'  -- NOT ENFORCED is a wish, from 18 on
    ) AS found ON true ORDER BY 2, 4, 3
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """One object that is there and does not work."""

    what: str  # INVALID index, NOT VALID constraint
    name: str
    table: str
    builder: int | None = None  # the process that builds the index at this moment
    drop: str | None = (
        None  # on a Citus cluster, where REINDEX needs all of its shards: what removes the index
    )

    def __str__(self) -> str:
        return f"{self.what} {self.name} on {self.table}"

    @property
    def way_out(self) -> str:
        """What a person can do about this leftover."""
        if self.builder is not None:
            return f"wait: process {self.builder} builds it now"
        if self.drop is not None:
            return f"{self.drop}; then create it again, where its table is to have it."
        if self.what == "INVALID index":
            if self.name.rstrip('"0123456789').endswith(("_ccnew", "_ccold")):
                return (
                    f"a REINDEX CONCURRENTLY was interrupted: DROP INDEX CONCURRENTLY {self.name};"
                )
            return f"REINDEX INDEX CONCURRENTLY {self.name};"
        return f"ALTER TABLE {self.table} VALIDATE CONSTRAINT {self.name};"


def leftovers(connection: Connection) -> tuple[Leftover, ...]:
    """Find all leftovers in the database, in order."""
    rows = connection.execute(LEFTOVERS).all()
    is_citus = rows[0].is_citus
    here = tuple(
        Leftover(
            what=row.what,
            name=row.name,
            table=row.table_name,
            builder=row.builder,
            drop=f"DROP INDEX CONCURRENTLY IF EXISTS {row.name}"
            if is_citus and row.what == "INVALID index"
            else None,
        )
        for row in rows
        if row.what is not None
    )
    return (*here, *_on_nodes(connection, {each.name for each in here})) if is_citus else here


def _on_nodes(connection: Connection, known: Collection[str]) -> Iterator[Leftover]:
    """Find leftovers on shards, of an index that is valid as a whole or that belongs to none."""
    for found in invalid_on_nodes(connection):
        whole = QualifiedName(schema=found.table.schema, name=found.index) if found.index else None
        if str(whole) not in known:
            yield Leftover(
                what="INVALID index",
                name=str(whole or found.name),
                table=f"{found.table} on node {found.node}",
                builder=found.builder,
                drop=drop_on_nodes(found.name)
                if whole is None
                else f"DROP INDEX CONCURRENTLY IF EXISTS {whole}",
            )
