"""Says what a step takes away from a running release: `plan` and `check` report it, nothing is refused."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.side_by_side.drops import OBJECTS
from holdfast.rewrite.side_by_side.one_name import renamed_object
from holdfast.rewrite.statement import Statement, parse
from holdfast.rewrite.steps import BatchStep, Step, TransactionStep
from holdfast.rewrite.tree import strings

WAITS = "with --expand the drop waits until that release is gone"
KEEP = "keep the old name, too, until that release is gone"
RELATIONS = (pb.OBJECT_TABLE, pb.OBJECT_VIEW, pb.OBJECT_MATVIEW, pb.OBJECT_SEQUENCE)


def breaks(step: Step) -> tuple[str, ...]:
    """Give what a running release may use of it, a line each; nothing if the step leaves it to `holdfast finish`."""
    if not isinstance(step, TransactionStep) or isinstance(step, BatchStep) or step.waits:
        return ()
    statements = [statement for text in step.sql for statement in parse(text)]
    made = {each for statement in statements for each in _made(statement)}
    used = frozenset(lock.relation for lock in step.locks)
    return tuple(
        words
        for statement in statements
        for name, words in _gone(statement, used=used)
        if name not in made
    )


def _gone(statement: Statement, *, used: frozenset[QualifiedName]) -> Iterator[tuple[str, str]]:
    """Give what is gone, by name, and what of it a release may be using. `used`: tables that others know already."""
    node = statement.node
    if isinstance(node, pb.DropStmt) and (
        node.remove_type in OBJECTS or node.remove_type == pb.OBJECT_TABLE
    ):
        kind = OBJECTS.get(node.remove_type, "table")
        for item in node.objects:
            name = _name(item)
            if node.remove_type not in RELATIONS or name in {each.name for each in used}:
                yield name, f"it may use the {kind} {name}; {WAITS}"
    if isinstance(node, pb.AlterTableStmt) and used:
        for item in node.cmds:
            command = item.alter_table_cmd
            if command.subtype == pb.AT_DropColumn:
                name = f"{node.relation.relname}.{command.name}"
                words = f"it may use the column {command.name} of {node.relation.relname}; {WAITS}"
                yield name, words
    if (renamed := renamed_object(statement)) is not None:
        yield renamed, f"it may use the {renamed}; {KEEP}"


def _made(statement: Statement) -> Iterator[str]:
    """Give the names that are made in the same moment."""
    node = statement.node
    if isinstance(node, pb.ViewStmt):
        yield node.view.relname
    if isinstance(node, pb.CreateFunctionStmt):
        yield strings(node.funcname)[-1]
    if isinstance(node, pb.RenameStmt) and node.rename_type == pb.OBJECT_COLUMN:
        yield f"{node.relation.relname}.{node.newname}"


def _name(item: pb.Node) -> str:
    if item.HasField("object_with_args"):
        return strings(item.object_with_args.objname)[-1]
    if item.HasField("type_name"):
        return strings(item.type_name.names)[-1]
    return strings(item.list.items)[-1] if item.HasField("list") else item.string.sval
