"""DROP COLUMN: its indexes are dropped CONCURRENTLY first, then its foreign keys, then the column."""

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Relation
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.operations.drop_index import can_be_dropped, drop_index_step
from holdfast.rewrite.rewriting import Action, ActionOperation, Split, drop_foreign_keys
from holdfast.rewrite.steps import Step


def drop_column(action: Action) -> Split | None:
    """Give the steps; nothing is dropped ahead of a column that PostgreSQL will refuse to drop."""
    if action.command.subtype != pb.AT_DropColumn:
        return None
    column, cascade = action.command.name, action.command.behavior == pb.DROP_CASCADE
    if action.table.column(column) is None or (
        not cascade and _is_needed(action.table, column=column)
    ):
        return None
    indexes = [
        index for index in action.table.indexes if column in index.columns and can_be_dropped(index)
    ]
    keys = _foreign_keys(action.table, column=column)
    before: tuple[Step, ...] = (
        *(drop_index_step(index, facts=action.facts) for index in indexes),
        *drop_foreign_keys(keys, facts=action.facts),
    )
    return Split(before=before, stays=(action.command,), dropped_keys=keys) if before else None


def _is_needed(table: Relation, *, column: str) -> bool:
    return any(column in view.columns for view in table.dependent_views) or any(
        column in reference.columns for reference in table.referenced_by
    )


def _foreign_keys(table: Relation, *, column: str) -> tuple[tuple[QualifiedName, str], ...]:
    """Give its own foreign keys, and with CASCADE those that reference it."""
    own = [(table.name, key.name) for key in table.foreign_keys() if column in key.columns]
    pointing = [
        (reference.table, reference.constraint)
        for reference in table.referenced_by
        if column in reference.columns and reference.table != table.name
    ]
    return (*own, *pointing)


OPERATION = ActionOperation(
    name="drop_column", rows=(29,), actions=frozenset([pb.AT_DropColumn]), apply=drop_column
)
