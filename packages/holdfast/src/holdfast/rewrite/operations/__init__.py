"""One operation, one file, one record: what it reads, what it breaks, how it is executed online.

`rewrite.online` asks the records in this order. What a statement locks as written: `rewrite.statement_locks`.
"""

from google.protobuf.message import Message

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.hazards import BreakingChange, Hazard
from holdfast.rewrite.operations import (
    add_check,
    add_column,
    add_exclusion,
    add_foreign_key,
    add_primary_key,
    add_unique,
    alter_column_type,
    alter_constraint,
    alter_domain,
    attach_partition,
    create_index,
    create_partition,
    create_table,
    detach_partition,
    drop_column,
    drop_foreign_key,
    drop_index,
    drop_table,
    outside_transaction,
    refresh_materialized_view,
    reindex,
    rename,
    rename_enum_value,
    repack,
    set_expression,
    set_not_null,
    validate_constraint,
    write_all_rows,
)
from holdfast.rewrite.rewriting import Action, ActionOperation, Split, StatementOperation
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import Step

STATEMENT_OPERATIONS: tuple[StatementOperation, ...] = (
    create_index.OPERATION,
    drop_index.OPERATION,
    create_partition.OPERATION,
    create_table.OPERATION,
    drop_table.OPERATION,
    refresh_materialized_view.OPERATION,
    detach_partition.OPERATION,
    reindex.OPERATION,
    outside_transaction.OPERATION,
    write_all_rows.OPERATION,
    repack.OPERATION,
    alter_domain.OPERATION,
    rename.OPERATION,
    rename_enum_value.OPERATION,
)

ACTION_OPERATIONS: tuple[ActionOperation, ...] = (
    add_check.OPERATION,
    add_foreign_key.OPERATION,
    add_unique.OPERATION,
    add_primary_key.OPERATION,
    add_exclusion.OPERATION,
    add_column.OPERATION,
    alter_column_type.OPERATION,
    set_not_null.OPERATION,
    validate_constraint.OPERATION,
    drop_column.OPERATION,
    drop_foreign_key.OPERATION,
    attach_partition.OPERATION,
    alter_constraint.OPERATION,
    set_expression.OPERATION,
    repack.ACTION,
)

# Nobody waits for a new table; but its foreign keys lock and read the tables they reference, and a partition of it may
# be a table in use.
OF_NEW_TABLES = (add_foreign_key.OPERATION, attach_partition.OPERATION)


def online_form(statement: Statement, *, facts: Facts) -> tuple[Step, ...] | None:
    """The steps of a statement that is no ALTER TABLE; None where it runs as it is written."""
    for operation in _of(statement.node):
        steps = operation.apply(statement, facts) if operation.apply is not None else None
        if steps is not None:
            return steps
    return None


def online_form_of_action(action: Action) -> Split | None:
    """What becomes of an action of ALTER TABLE; None where it is fine as it is."""
    operations = OF_NEW_TABLES if action.table.is_new else _of_action(action)
    splits = (each.apply(action) for each in operations if each.apply is not None)
    return next((split for split in splits if split is not None), None)


def hazards_of_statement(statement: Statement, *, facts: Facts) -> tuple[Hazard, ...]:
    """Of a statement that is run as it is written."""
    return tuple(
        hazard
        for each in _of(statement.node)
        if each.hazards is not None
        for hazard in each.hazards(statement.node, facts)
    )


def hazards_of_action(action: Action) -> tuple[Hazard, ...]:
    """Of an action that stays in its ALTER TABLE."""
    return tuple(
        hazard
        for each in _of_action(action)
        if each.hazards is not None
        for hazard in each.hazards(action)
    )


def breaking_changes_of_statement(
    statement: Statement, *, facts: Facts
) -> tuple[BreakingChange, ...]:
    """Names that the statement takes away."""
    return tuple(
        change
        for each in _of(statement.node)
        if each.breaks is not None
        for change in each.breaks(statement.node, facts)
    )


def _of(node: Message) -> tuple[StatementOperation, ...]:
    return BY_STATEMENT.get(type(node), ())


def _of_action(action: Action) -> tuple[ActionOperation, ...]:
    return BY_ACTION.get(action.command.subtype, ())


BY_STATEMENT: dict[type[Message], tuple[StatementOperation, ...]] = {
    kind: tuple(each for each in STATEMENT_OPERATIONS if kind in each.statements)
    for operation in STATEMENT_OPERATIONS
    for kind in operation.statements
}
BY_ACTION: dict[int, tuple[ActionOperation, ...]] = {
    subtype: tuple(each for each in ACTION_OPERATIONS if subtype in each.actions)
    for operation in ACTION_OPERATIONS
    for subtype in operation.actions
}
