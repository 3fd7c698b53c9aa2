"""One operation, one file, one record: its locks, its hazards, what it breaks, and its online form.

Only the records: `rewrite.online` asks them, in this order.
"""

from google.protobuf.message import Message

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
    momentary,
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
from holdfast.rewrite.rewriting import ActionOperation, StatementOperation

STATEMENT_OPERATIONS: tuple[StatementOperation, ...] = (
    create_index.OPERATION,
    drop_index.OPERATION,
    create_partition.OPERATION,
    create_table.OPERATION,
    create_table.OF_A_QUERY,
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
    *momentary.OPERATIONS,
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
