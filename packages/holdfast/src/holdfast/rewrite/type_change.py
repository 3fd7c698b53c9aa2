"""Decides how ALTER COLUMN TYPE runs: in a moment, by a copy of the column, or not at all.

From what PostgreSQL said of it (`observe.changed_table`): which conversions are free is not a list of names, but
decided by casts without a function, domains, lengths that grow and time zones.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.citus import NOT_COPIED
from holdfast.rewrite.column_copy.facts import ChangedTable
from holdfast.rewrite.column_copy.refusals import all_dependents, refusals
from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.rewriting import Action
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.tree import column_of, strings

# Actions that the same ALTER TABLE may take on other columns, before the copy.
BESIDE = frozenset([pb.AT_ColumnDefault, pb.AT_DropNotNull, pb.AT_SetNotNull])
TANGLED = (
    "Write the change of the type as a statement of its own: this one also changes other things."
)


def is_untried(action: Action) -> bool:
    """Whether a column in use gets a type that PostgreSQL could not be asked about: it does not exist yet."""
    return (
        action.command.subtype == pb.AT_AlterColumnType
        and not action.table.is_new
        and action.table.column(action.command.name) is not None
        and changed_table_of(action) is None
    )


def partitioned_with_new_enum(
    statement: Statement, *, facts: Facts, enums: Collection[str]
) -> Relation | None:
    """Give the table if it has partitions and a column gets one of these enums: every row is written.

    The enums are made by the same queue, so that PostgreSQL could not be asked yet.
    """
    node = statement.node
    table = facts.in_use(node.relation) if isinstance(node, pb.AlterTableStmt) else None
    if table is None or not table.is_partitioned or not isinstance(node, pb.AlterTableStmt):
        return None
    types = [
        strings(column_of(item.alter_table_cmd).type_name.names)[-1]
        for item in node.cmds
        if item.alter_table_cmd.subtype == pb.AT_AlterColumnType
    ]
    return table if set(types) & set(enums) else None


def changed_table_of(action: Action) -> ChangedTable | None:
    """Give what PostgreSQL said of the type change, if it was asked: for a table in use."""
    name = action.command.name
    commands = (item.alter_table_cmd for item in action.statement.cmds)
    if not any(c.subtype == pb.AT_AlterColumnType and c.name == name for c in commands):
        return None  # of its default only; another statement of the unit changes the type
    return next(
        (
            found
            for found in action.facts.type_changes
            if found.table == action.table.name and found.conversion(name)
        ),
        None,
    )


def is_refused_by_postgresql(table: ChangedTable) -> bool:
    """Whether the statement fails as written, before it does anything; or will be tried anew."""
    fails = any(change.is_postgresqls for change in table.changes) or bool(all_dependents(table))
    is_key = any(each.partition_key for each in (table, *table.below))
    return fails or is_key or table.is_stale


def rewrites_rows(table: ChangedTable) -> bool:
    """Whether PostgreSQL would rewrite every row or an index, or nobody knows."""
    return table.is_stale or any(change.lasts or change.error for change in table.changes)


def reasons_against_copy(action: Action, table: ChangedTable) -> tuple[str, ...]:
    """Say why the columns cannot be copied; nothing if they can."""
    of_citus = (NOT_COPIED,) if action.table.placement is not None else ()
    return (*of_citus, *refusals(table), *((TANGLED,) if any(_tangled(action, table)) else ()))


def is_tangled_copy(action: Action, table: ChangedTable) -> bool:
    """Whether rows would be written and the statement does more than a copy can, whatever comes before it."""
    return any(change.lasts for change in table.changes) and any(_tangled(action, table))


def belongs_to_copy(action: Action, table: ChangedTable) -> bool:
    """Whether the copy does what this action says: a new type, and the default of such a column."""
    changing = {change.column for change in table.changes}
    kinds = (pb.AT_AlterColumnType, pb.AT_ColumnDefault)
    return action.command.subtype in kinds and action.command.name in changing


def without_copies(facts: Facts) -> Facts:
    """Give the facts for a statement allowed as written: as if it were over in a moment."""
    allowed = (
        replace(
            found,
            is_stale=False,
            changes=tuple(
                replace(change, rewrites=False, error=None, rebuilt_indexes=())
                for change in found.changes
            ),
        )
        for found in facts.type_changes
    )
    return replace(facts, type_changes=tuple(allowed))


def may_write_rows(statement: Statement, *, facts: Facts) -> bool:
    """Whether it changes a type for which PostgreSQL would write every row, or nobody knows yet."""
    node = statement.node
    table = facts.relation(node.relation) if isinstance(node, pb.AlterTableStmt) else None
    if table is None or not isinstance(node, pb.AlterTableStmt):
        return False
    for item in node.cmds:
        action = Action(command=item.alter_table_cmd, statement=node, table=table, facts=facts)
        found = changed_table_of(action)
        if is_untried(action) or (found is not None and rewrites_rows(found)):
            return True
    return False


def table_written_by_change(statement: Statement, *, facts: Facts) -> Relation | None:
    """Give the table in use for which PostgreSQL has said that the statement rewrites rows or an index."""
    node = statement.node
    table = facts.in_use(node.relation) if isinstance(node, pb.AlterTableStmt) else None
    if table is None or not isinstance(node, pb.AlterTableStmt):
        return None
    for item in node.cmds:
        action = Action(command=item.alter_table_cmd, statement=node, table=table, facts=facts)
        found = changed_table_of(action)
        if found is not None and any(change.lasts for change in found.changes):
            return table
    return None


def _tangled(action: Action, table: ChangedTable) -> Iterator[pb.AlterTableCmd]:
    """Give the actions that change what the copy is made from."""
    changing = {change.column for change in table.changes}
    for item in action.statement.cmds:
        command = item.alter_table_cmd
        kinds = (pb.AT_AlterColumnType, pb.AT_ColumnDefault)
        if command.subtype in kinds and command.name in changing:
            continue
        is_plain_column = command.subtype == pb.AT_AddColumn and not column_of(command).constraints
        if is_plain_column or (command.subtype in BESIDE and command.name not in changing):
            continue
        yield command
