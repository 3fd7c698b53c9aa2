"""ALTER TYPE RENAME VALUE takes a value away that running code names: refused."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.hazards import BreakingChange
from holdfast.rewrite.rewriting import StatementOperation
from holdfast.rewrite.tree import strings


def breaks(node: pb.AlterEnumStmt, facts: Facts) -> Iterator[BreakingChange]:
    """Give what a value's new name breaks; ADD VALUE breaks nothing."""
    if node.old_val:
        yield BreakingChange(
            relation=f"the type {strings(node.type_name)[-1]}",
            breaks=f"every query that names the value '{node.old_val}'",
            instead="Let it wait until the old release is gone: holdfast run --expand, and then holdfast"
            " finish. Or add the new value, write it from then on, change the rows that have the old one,"
            " and leave the old value where it is.",
        )


OPERATION = StatementOperation(
    name="rename_enum_value", rows=(40,), statements=(pb.AlterEnumStmt,), breaks=breaks
)
