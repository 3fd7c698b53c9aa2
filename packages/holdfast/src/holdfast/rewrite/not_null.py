"""Makes a column NOT NULL without a scan under a lock, for SET NOT NULL and for primary keys.

PostgreSQL 18 has NOT NULL constraints that are NOT VALID at first; before it, a CHECK that is
validated proves to SET NOT NULL that there is nothing to look for.
https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DESC-SET-DROP-NOT-NULL
"""

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.citus import needs_a_name
from holdfast.rewrite.facts import ConstraintKind
from holdfast.rewrite.names import free_name, quote
from holdfast.rewrite.rewriting import (
    Action,
    add_constraint,
    alter_table,
    drop_constraint,
    drop_constraint_if_exists,
    names_taken,
    not_valid,
    transaction,
    validate,
)
from holdfast.rewrite.steps import Step
from holdfast.rewrite.tree import add_strings, column_of

NATIVE = 18  # the first major version with NOT NULL .. NOT VALID


def not_null_steps(action: Action, *, column: str, name: str = "") -> tuple[Step, ...] | None:
    """Give the steps: none if the column is NOT NULL already; None if PostgreSQL itself knows better.

    `name` is that of the constraint, where its author gave it one.
    """
    known = action.table.column(column)
    if known is None and not _is_added(action, column=column):
        return None
    if known is not None and known.not_null:
        return _only_validated(action, column=column)
    if known is None and _is_added_not_null(action, column=column):
        return ()
    return nullable_to_not_null(action, column=column, name=name)


def nullable_to_not_null(action: Action, *, column: str, name: str = "") -> tuple[Step, ...]:
    """Give the steps for a column that may be NULL."""
    if action.facts.server_major >= NATIVE:
        return _native(action, column=column, name=name)
    return _by_check(action, column=column)


def proofs(action: Action, *, column: str) -> tuple[str, ...]:
    """Give the valid CHECKs that prove the column is never NULL: with one, SET NOT NULL reads no row."""
    proof = f"CHECK (({quote(column)} IS NOT NULL))"
    return tuple(
        constraint.name
        for constraint in action.table.constraints
        if constraint.is_validated and constraint.definition == proof
    )


def _only_validated(action: Action, *, column: str) -> tuple[Step, ...]:
    """Validate alone: PostgreSQL 18 calls a column NOT NULL before its rows were checked."""
    return tuple(
        validate(action.table, table=action.table.name, constraint=constraint.name)
        for constraint in action.table.constraints
        if constraint.kind is ConstraintKind.NOT_NULL
        and constraint.columns == (column,)
        and not constraint.is_validated
    )


def _native(action: Action, *, column: str, name: str) -> tuple[Step, ...]:
    """Add a NOT NULL constraint NOT VALID, and validate it; PostgreSQL chooses its name, except on Citus."""
    table = action.table.name
    if not name and needs_a_name(action.table):
        name = free_name(table.name, second=column, label="not_null", taken=names_taken(action))
    constraint = pb.Constraint(contype=pb.CONSTR_NOTNULL, conname=name, skip_validation=True)
    add_strings(constraint.keys, (column,))
    command = pb.AlterTableCmd(subtype=pb.AT_DropNotNull, name=column, behavior=pb.DROP_RESTRICT)
    add = transaction(
        alter_table(table, add_constraint(constraint)),
        facts=action.facts,
        captures_constraint_on=None if name else table,
        undo=tuple(transaction(alter_table(table, command), facts=action.facts).sql),
    )
    return add, validate(action.table, table=table, constraint=name)


def _by_check(action: Action, *, column: str) -> tuple[Step, ...]:
    """Prove NOT NULL by a CHECK, which is dropped in the transaction of SET NOT NULL.

    The drop is a statement of its own after it: in one ALTER TABLE it would come first, and nothing would be proved.
    """
    table, facts = action.table.name, action.facts
    name = free_name(table.name, second=column, label="not_null", taken=names_taken(action))
    check = not_valid(pb.Constraint(contype=pb.CONSTR_CHECK, conname=name, is_enforced=True))
    check.raw_expr.null_test.nulltesttype = pb.IS_NOT_NULL
    add_strings(check.raw_expr.null_test.arg.column_ref.fields, (column,))
    set_not_null = pb.AlterTableCmd(
        subtype=pb.AT_SetNotNull, name=column, behavior=pb.DROP_RESTRICT
    )
    undo = (drop_constraint_if_exists(table, name=name),)
    return (
        transaction(alter_table(table, add_constraint(check)), facts=facts, undo=undo),
        validate(action.table, table=table, constraint=name),
        transaction(
            alter_table(table, set_not_null), alter_table(table, drop_constraint(name)), facts=facts
        ),
    )


def _is_added(action: Action, *, column: str) -> bool:
    return any(column_of(command).colname == column for command in _added_columns(action))


def _is_added_not_null(action: Action, *, column: str) -> bool:
    return any(
        item.constraint.contype in (pb.CONSTR_NOTNULL, pb.CONSTR_IDENTITY)
        for command in _added_columns(action)
        if column_of(command).colname == column
        for item in column_of(command).constraints
    )


def _added_columns(action: Action) -> list[pb.AlterTableCmd]:
    commands = [item.alter_table_cmd for item in action.statement.cmds]
    return [command for command in commands if command.subtype == pb.AT_AddColumn]
