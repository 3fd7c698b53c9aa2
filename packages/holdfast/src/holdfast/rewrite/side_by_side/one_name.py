"""Renames of what can have only one name: a function, a schema, a column of a view; and moves between schemas.

Names of types, domains, sequences, indexes and constraints are not among them: an application knows them by what
PostgreSQL has resolved, or not at all.
"""

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.side_by_side.refusal import NeedsOneRelease
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.tree import strings

FUNCTIONS = {
    pb.OBJECT_AGGREGATE: "aggregate",
    pb.OBJECT_FUNCTION: "function",
    pb.OBJECT_PROCEDURE: "procedure",
    pb.OBJECT_ROUTINE: "routine",
}
RELATIONS = {
    pb.OBJECT_FOREIGN_TABLE: "foreign table",
    pb.OBJECT_MATVIEW: "materialized view",
    pb.OBJECT_TABLE: "table",
    pb.OBJECT_VIEW: "view",
}
REASON = (
    "It has one name, and the old release knows it by that. Create it once more, with the new name and with what"
    " it is made of, and drop the old one in the same revision: that drop waits."
)
OF_TABLE = (
    "It is in one schema, and the old release may look for it there. Create a view in its place in the same"
    " moment, if no release needs more than a view."
)
OF_SCHEMA = "It has one name, and the old release finds all that is in it by that name."


def one_name(statement: Statement, facts: Facts) -> tuple[tuple[()], NeedsOneRelease] | None:
    """Say why it cannot wait; None for any other statement, and for what nobody uses yet."""
    what = renamed_object(statement)
    node = statement.node
    if what is None or not isinstance(node, pb.RenameStmt | pb.AlterObjectSchemaStmt):
        return None
    if node.HasField("relation") and facts.in_use(node.relation) is None:
        return None
    reason = REASON
    if isinstance(node, pb.AlterObjectSchemaStmt) and node.object_type in RELATIONS:
        reason = OF_TABLE
    elif isinstance(node, pb.RenameStmt) and node.rename_type == pb.OBJECT_SCHEMA:
        reason = OF_SCHEMA
    verb = "rename" if isinstance(node, pb.RenameStmt) else "move"
    return (), NeedsOneRelease(relation=f"the {what}", what=f"{verb} of it", reasons=(reason,))


def renamed_object(statement: Statement) -> str | None:
    """Describe the object that gets another name or schema."""
    node = statement.node
    if isinstance(node, pb.RenameStmt):
        return _renamed(node)
    if isinstance(node, pb.AlterObjectSchemaStmt):
        if node.object_type in RELATIONS:
            return f"{RELATIONS[node.object_type]} {node.relation.relname}"
        return _function(node.object_type, node.object)
    return None


def _renamed(node: pb.RenameStmt) -> str | None:
    if node.rename_type == pb.OBJECT_SCHEMA:
        return f"schema {node.subname}"
    if node.rename_type == pb.OBJECT_FOREIGN_TABLE:
        return f"foreign table {node.relation.relname}"
    if node.rename_type == pb.OBJECT_COLUMN and node.relation_type != pb.OBJECT_TABLE:
        kind = RELATIONS.get(node.relation_type)
        return f"column {node.subname} of {kind} {node.relation.relname}" if kind else None
    return _function(node.rename_type, node.object)


def _function(kind: int, written: pb.Node) -> str | None:
    if kind not in FUNCTIONS:
        return None
    return f"{FUNCTIONS[kind]} {'.'.join(strings(written.object_with_args.objname))}"
