"""Reads every object of a schema that a migration can make, with what defines it.

Two databases are compared by these, not by text of pg_dump. Not looked at: owners, privileges, storage,
aggregates, operators, publications. Names are qualified whatever the session's search_path.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from holdfast.observe.schema_queries import QUERIES

# Names are written qualified in this transaction.
QUALIFY = text("SELECT set_config('search_path', '', true)")


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaObject:
    """One object of a schema. `of`: the object that it belongs to and vanishes with."""

    kind: str  # as CREATE calls it
    name: str
    of: str | None = None
    properties: Mapping[str, str | None] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def read_schema(
    connection: Connection, *, version_tables: Collection[str]
) -> dict[str, SchemaObject]:
    """Read every object by kind and name, without Alembic's version tables, in the caller's transaction."""
    connection.execute(QUALIFY)
    found = [
        SchemaObject(kind=row.kind, name=row.name, of=row.of, properties=json.loads(row.properties))
        for query in QUERIES
        for row in connection.execute(text(query))
    ]
    ends = tuple(f".{name}" for name in version_tables)
    ours = {f"table {each.name}" for each in found if each.name.endswith(ends)}
    return {str(each): each for each in found if str(each) not in ours and each.of not in ours}
