"""DROP CONSTRAINT of a foreign key locks both tables: it gets a transaction of its own, before the rest."""

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import ConstraintKind
from holdfast.rewrite.rewriting import Action, ActionOperation, Split, drop_foreign_keys
from holdfast.rewrite.tree import constraint_of


def drop_foreign_key(action: Action) -> Split | None:
    """Split it off, unless it stands alone anyway, or is replaced, where there must be no gap."""
    if action.command.subtype != pb.AT_DropConstraint or action.is_alone:
        return None
    constraint = action.table.constraint(action.command.name)
    if constraint is None or constraint.kind is not ConstraintKind.FOREIGN_KEY:
        return None
    if constraint.name in _added_names(action.statement):
        return None
    key = (action.table.name, constraint.name)
    return Split(before=drop_foreign_keys([key], facts=action.facts), dropped_keys=(key,))


def _added_names(statement: pb.AlterTableStmt) -> frozenset[str]:
    commands = (item.alter_table_cmd for item in statement.cmds)
    return frozenset(
        constraint_of(command).conname
        for command in commands
        if command.subtype == pb.AT_AddConstraint
    )


OPERATION = ActionOperation(
    name="drop_foreign_key",
    rows=(31,),
    actions=frozenset([pb.AT_DropConstraint]),
    apply=drop_foreign_key,
)
