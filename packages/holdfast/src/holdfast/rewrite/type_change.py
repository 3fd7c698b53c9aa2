"""What becomes of ALTER COLUMN TYPE: over in a moment, a copy of the column, or refused; from what PostgreSQL said of it.

Which conversions are free is not a list of names: casts without a function, domains, lengths that grow and time zones
decide it, and PostgreSQL has tried the statement on an empty copy of the table (`observe.changed_table`).
"""

from collections.abc import Iterator
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.column_copy.facts import ChangedTable, Conversion
from holdfast.rewrite.column_copy.refusals import refusals
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.rewriting import Action
from holdfast.rewrite.tree import column_of

# What the same ALTER TABLE may do to other columns, before the copy.
BESIDE = frozenset([pb.AT_ColumnDefault, pb.AT_DropNotNull, pb.AT_SetNotNull])
TANGLED = "Write the change of the type as a statement of its own: this one also changes other things."


def conversion_of(action: Action) -> Conversion | None:
    """What PostgreSQL said of this action, where it was asked: the table is in use and has the column."""
    found = action.facts.type_change
    if found is None or found.table != action.table.name:
        return None
    return found.conversion(action.command.name)


def is_refused_by_postgresql(table: ChangedTable) -> bool:
    """Whether the statement fails as it is written, before it does anything."""
    return any(change.is_postgresqls for change in table.changes) or bool(table.dependents)


def rewrites_rows(action: Action) -> bool:
    """Whether PostgreSQL would write every row anew for this statement, or nobody knows."""
    found = action.facts.type_change
    if found is None or found.table != action.table.name:
        return False
    return any(change.rewrites or change.error for change in found.changes)


def reasons_against_copy(action: Action, table: ChangedTable) -> tuple[str, ...]:
    """Why the columns cannot be copied; none where they can."""
    return (*(refusals(table)), *((TANGLED,) if any(_tangled(action, table)) else ()))


def belongs_to_copy(action: Action, table: ChangedTable) -> bool:
    """Whether the copy does what this action says: a new type, and the default of such a column."""
    changing = {change.column for change in table.changes}
    kinds = (pb.AT_AlterColumnType, pb.AT_ColumnDefault)
    return action.command.subtype in kinds and action.command.name in changing


def without_copies(facts: Facts) -> Facts:
    """For a statement whose author allows it as it is written."""
    found = facts.type_change
    rewrites = found is not None and any(c.rewrites or c.error for c in found.changes)
    return replace(facts, type_change=None) if rewrites else facts


def _tangled(action: Action, table: ChangedTable) -> Iterator[pb.AlterTableCmd]:
    """Actions that change what the copy is made from."""
    changing = {change.column for change in table.changes}
    for item in action.statement.cmds:
        command = item.alter_table_cmd
        kinds = (pb.AT_AlterColumnType, pb.AT_ColumnDefault)
        if command.subtype in kinds and command.name in changing:
            continue
        is_plain_column = (
            command.subtype == pb.AT_AddColumn and not column_of(command).constraints
        )
        if is_plain_column or (command.subtype in BESIDE and command.name not in changing):
            continue
        yield command
