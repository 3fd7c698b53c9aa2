"""Takes what makes a column NOT NULL out of a unit, in front of it, so that nobody waits while the rows are read."""

from collections.abc import Iterator, Sequence

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.online import draft_of
from holdfast.rewrite.queue.parts_of_unit import MadeBefore
from holdfast.rewrite.statement import WRITES, Statement
from holdfast.rewrite.steps import TransactionStep, ValidateStep
from holdfast.rewrite.tree import constraint_of, strings


def not_null_proved_before(statement: Statement, *, facts: Facts) -> MadeBefore | None:
    """Give the CHECK that proves a lone SET NOT NULL, until PostgreSQL 17; None if it has another form."""
    node = statement.node
    if not isinstance(node, pb.AlterTableStmt) or len(node.cmds) != 1:
        return None
    if node.cmds[0].alter_table_cmd.subtype != pb.AT_SetNotNull:
        return None
    match draft_of(statement, facts=facts).steps:
        case TransactionStep() as check, ValidateStep() as validation, TransactionStep() as moment:
            return MadeBefore(before=(check, validation), moment=(moment,))
        case _:
            return None


def not_null_made_before(statement: Statement, *, facts: Facts) -> MadeBefore | None:
    """Give all steps of the statement, to run in front of the unit; None if none of them reads the rows."""
    steps = draft_of(statement, facts=facts).steps
    if not any(isinstance(step, ValidateStep) for step in steps):
        return None
    return MadeBefore(before=steps)


def was_not_null(statement: Statement, facts: Facts) -> bool:
    """Whether the column of a SET NOT NULL is NOT NULL in these facts."""
    node = statement.node
    if not isinstance(node, pb.AlterTableStmt) or (table := facts.relation(node.relation)) is None:
        return False
    column = table.column(node.cmds[0].alter_table_cmd.name)
    return column is not None and column.not_null


def is_needed_at_once(statement: Statement, behind: Sequence[Statement]) -> bool:
    """Whether a later statement needs a NOT NULL of this one for a primary key or an identity.

    PostgreSQL 18 refuses both over one that is not validated; before, the key would read the table under its lock.
    """
    node = statement.node
    columns = list(_made_not_null(statement))
    return isinstance(node, pb.AlterTableStmt) and any(
        _needs(command.alter_table_cmd, columns=columns)
        for later in behind
        if isinstance(later.node, pb.AlterTableStmt)
        and later.node.relation.relname == node.relation.relname
        for command in later.node.cmds
    )


def is_as_before(statement: Statement, ahead: Sequence[Statement], facts: Facts) -> bool:
    """Whether a statement does no more than make NOT NULL a column that is there, with its rows, before the unit."""
    node = statement.node
    if not isinstance(node, pb.AlterTableStmt) or len(node.cmds) != 1:
        return False
    table = facts.relation(node.relation)
    columns = [table.column(name) for name in _made_not_null(statement)] if table else []
    return not any(each.kind in WRITES for each in ahead) and any(
        column is not None and not column.not_null for column in columns
    )


def _made_not_null(statement: Statement) -> Iterator[str]:
    """Give the columns that a statement makes NOT NULL."""
    node = statement.node
    for each in node.cmds if isinstance(node, pb.AlterTableStmt) else ():
        command = each.alter_table_cmd
        if command.subtype == pb.AT_SetNotNull:
            yield command.name
        elif command.subtype == pb.AT_AddConstraint:
            constraint = constraint_of(command)
            if constraint.contype == pb.CONSTR_NOTNULL and not constraint.skip_validation:
                yield strings(constraint.keys)[0]


def _needs(command: pb.AlterTableCmd, *, columns: Sequence[str]) -> bool:
    if command.subtype == pb.AT_AddIdentity:
        return command.name in columns
    if not columns or command.subtype != pb.AT_AddConstraint:
        return False
    constraint = constraint_of(command)
    # The columns of an index may be those that a statement in between has chosen.
    is_among = bool(constraint.indexname) or not set(columns).isdisjoint(strings(constraint.keys))
    return constraint.contype == pb.CONSTR_PRIMARY and is_among
