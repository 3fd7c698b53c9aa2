"""What a step takes away from a release that still runs: said by `plan` and `check`, not refused."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.side_by_side.drops import OBJECTS
from holdfast.rewrite.statement import Statement, parse
from holdfast.rewrite.steps import BatchStep, Step, TransactionStep
from holdfast.rewrite.tree import strings


def breaks(step: Step) -> tuple[str, ...]:
    """What the step breaks, a line each; nothing of a step that leaves it to `holdfast finish`."""
    if not isinstance(step, TransactionStep) or isinstance(step, BatchStep) or step.waits:
        return ()
    statements = [statement for text in step.sql for statement in parse(text)]
    made = {each for statement in statements for each in _made(statement)}
    return tuple(
        words for statement in statements for name, words in _gone(statement) if name not in made
    )


def _gone(statement: Statement) -> Iterator[tuple[str, str]]:
    """What the step takes away, by its name, and what of it a release may be using."""
    node = statement.node
    if isinstance(node, pb.DropStmt) and (
        node.remove_type in OBJECTS or node.remove_type == pb.OBJECT_TABLE
    ):
        kind = OBJECTS.get(node.remove_type, "table")
        for item in node.objects:
            name = _name(item)
            yield name, f"it may use the {kind} {name}"
    if isinstance(node, pb.AlterTableStmt):
        for item in node.cmds:
            command = item.alter_table_cmd
            if command.subtype == pb.AT_DropColumn:
                name = f"{node.relation.relname}.{command.name}"
                yield name, f"it may use the column {command.name} of {node.relation.relname}"


def _made(statement: Statement) -> Iterator[str]:
    """The names that the step makes in the same moment, in the place of what it takes away."""
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
