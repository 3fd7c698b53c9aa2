"""Which relations, types and functions a statement mentions: what its facts are asked for."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.statement import Statement
from holdfast.rewrite.statement_kind import function_names
from holdfast.rewrite.tree import find, strings

WrittenName = tuple[str, str]  # the schema, or nothing, and the name

RELATIONS = frozenset(
    [
        pb.OBJECT_FOREIGN_TABLE,
        pb.OBJECT_INDEX,
        pb.OBJECT_MATVIEW,
        pb.OBJECT_SEQUENCE,
        pb.OBJECT_TABLE,
        pb.OBJECT_VIEW,
    ]
)
# Named by their table's name and their own.
PARTS_OF_RELATIONS = frozenset(
    [pb.OBJECT_COLUMN, pb.OBJECT_POLICY, pb.OBJECT_RULE, pb.OBJECT_TABCONSTRAINT, pb.OBJECT_TRIGGER]
)


def relations_in(statement: Statement) -> frozenset[WrittenName]:
    """Relations and indexes, each as it is written."""
    return frozenset([*_range_variables(statement), *_objects(statement), *_indexes(statement)])


def types_in(statement: Statement) -> frozenset[str]:
    """Types that are not built in, as SQL would quote them."""
    names = (strings(name.names) for name in find(statement.node, pb.TypeName))
    return frozenset(name[-1] for name in names if name and name[0] != "pg_catalog")


def functions_in(statement: Statement) -> frozenset[str]:
    """The names of the functions that a statement calls, without their schemas."""
    return function_names(statement.node)


def operators_in(statement: Statement) -> frozenset[str]:
    """Operators of its expressions, without their schemas."""
    return frozenset(
        expression.name[-1].string.sval
        for expression in find(statement.node, pb.A_Expr)
        if expression.name
    )


def written_name(parts: tuple[str, ...]) -> WrittenName:
    """From the parts of a name: the last is the name, the one before it the schema."""
    return (parts[-2] if len(parts) > 1 else "", parts[-1])


def object_relation(kind: int, parts: tuple[str, ...]) -> WrittenName | None:
    """The relation that DROP or COMMENT speaks of: the object, or what it is a part of."""
    if kind in RELATIONS:
        return written_name(parts)
    if kind in PARTS_OF_RELATIONS:
        return written_name(parts[:-1])
    return None


def _range_variables(statement: Statement) -> Iterator[WrittenName]:
    for relation in find(statement.node, pb.RangeVar):
        yield relation.schemaname, relation.relname


def _objects(statement: Statement) -> Iterator[WrittenName]:
    node = statement.node
    if isinstance(node, pb.DropStmt):
        found = [
            object_relation(node.remove_type, strings(item.list.items)) for item in node.objects
        ]
    elif isinstance(node, pb.CommentStmt):
        found = [object_relation(node.objtype, strings(node.object.list.items))]
    else:
        return
    yield from (name for name in found if name is not None)


def _indexes(statement: Statement) -> Iterator[WrittenName]:
    """An index lives in the schema of its table."""
    node = statement.node
    if isinstance(node, pb.IndexStmt) and node.idxname:
        yield node.relation.schemaname, node.idxname
    if isinstance(node, pb.AlterTableStmt):
        for constraint in find(node, pb.Constraint):
            if constraint.indexname:
                yield node.relation.schemaname, constraint.indexname
