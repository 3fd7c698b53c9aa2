"""One operation, one file: REWRITES lists them, and `plan.online` asks them in this order."""

from holdfast.rewrite.operations import (
    add_check,
    add_column,
    add_foreign_key,
    add_primary_key,
    add_unique,
    alter_column_type,
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
    set_not_null,
    validate_constraint,
    write_all_rows,
)
from holdfast.rewrite.rewriting import ActionRewrite, StatementRewrite

STATEMENT_REWRITES: tuple[StatementRewrite, ...] = (
    create_index.REWRITE,
    drop_index.REWRITE,
    create_partition.REWRITE,
    create_table.REWRITE,
    drop_table.REWRITE,
    refresh_materialized_view.REWRITE,
    detach_partition.REWRITE,
    reindex.REWRITE,
    outside_transaction.REWRITE,
    write_all_rows.REWRITE,
)

ACTION_REWRITES: tuple[ActionRewrite, ...] = (
    add_check.REWRITE,
    add_foreign_key.REWRITE,
    add_unique.REWRITE,
    add_primary_key.REWRITE,
    add_column.REWRITE,
    alter_column_type.REWRITE,
    set_not_null.REWRITE,
    validate_constraint.REWRITE,
    drop_column.REWRITE,
    drop_foreign_key.REWRITE,
    attach_partition.REWRITE,
)

# Nobody waits for a new table; but its foreign keys lock and read the tables they reference.
NEW_TABLE_REWRITES: tuple[ActionRewrite, ...] = (add_foreign_key.REWRITE,)
