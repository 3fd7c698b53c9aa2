"""Removes the copies from partitions that somebody has detached before the swap.

Such a table keeps the column with its old type, as if it had been detached before the change began.
"""

from collections.abc import Iterator

from holdfast.rewrite.column_copy.copied import Copied
from holdfast.rewrite.literals import literal
from holdfast.rewrite.names import quote
from holdfast.rewrite.steps import BatchStep


def clean_detached(copied: Copied) -> Iterator[BatchStep]:
    """Give the step after the swap; none for a table without partitions."""
    if copied.facts.is_partitioned:
        yield BatchStep(
            what=f"take {', '.join(copied.copies.values())} off former partitions of {copied.table}",
            sql=tuple(taken_from_detached(copied)),
        )


def taken_from_detached(copied: Copied) -> Iterator[str]:
    """Write the statement in plpgsql; none for a table without partitions."""
    if not copied.facts.is_partitioned:
        return
    were_partitions = ", ".join(str(part.oid) for part in copied.facts.partitions)
    names = list(copied.copies.values())
    drops = ", ".join(f"DROP COLUMN IF EXISTS {quote(name)}" for name in names)
    yield (
        "DECLARE former regclass; BEGIN FOR former IN SELECT c.oid FROM pg_catalog.pg_class c"
        f" WHERE c.oid = ANY ('{{{were_partitions}}}'::oid[])"
        " AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = c.oid)"
        " AND EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = c.oid"
        f" AND NOT attisdropped AND attname IN ({', '.join(map(literal, names))}))"
        f" LOOP EXECUTE format({literal(f'ALTER TABLE %s {drops}')}, former); END LOOP; END"
    )
