"""Finds which names of types are taken, among those that a unit makes or renames."""

from collections.abc import Sequence

import sqlalchemy as sa

from holdfast.rewrite.queue.rules.recreated_types import types_named, with_types_beside
from holdfast.rewrite.statement import Statement

# Those of these names, and all that are called as ours would be; a row type, too, has a name.
TAKEN = sa.text("""
SELECT typname::text FROM pg_catalog.pg_type
WHERE typname = ANY (CAST(:names AS text[])) OR typname LIKE '%holdfast%'
""")


def unit_with_types_beside(
    connection: sa.Connection, unit: Sequence[Statement]
) -> tuple[Statement, ...]:
    """Give a unit's statements in an order that makes new types first and renames last."""
    named = types_named(unit) if len(unit) > 1 else frozenset()
    if not named:
        return tuple(unit)
    taken = connection.execute(TAKEN, {"names": sorted(named)}).scalars()
    return with_types_beside(unit, taken=frozenset(taken)) or tuple(unit)
