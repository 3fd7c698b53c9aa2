"""Reverts a revision before `finish`: what was kept is used again, and no row is lost.

A statement of downgrade() that is the inverse of what waits takes that back: ADD COLUMN of a column that is still
there, CREATE TABLE of a table that is still there, the rename back.
"""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts, Relation, Releases
from holdfast.rewrite.locks import Lock, LockMode, strongest
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.not_null import nullable_to_not_null
from holdfast.rewrite.rewriting import Action, Split, alter_table
from holdfast.rewrite.side_by_side.created import created_object
from holdfast.rewrite.side_by_side.refusal import NeedsOneRelease
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import (
    BatchStep,
    CopyRowsStep,
    Step,
    TransactionStep,
    ValidateStep,
)
from holdfast.rewrite.tree import column_of, constraint_of, definition, expression_sql, sql, strings
from holdfast.rewrite.type_names import type_of_tree
from holdfast.rewrite.waiting import Recorded, Suspended

SERIAL = {"serial": "integer", "bigserial": "bigint", "smallserial": "smallint"}
KEYS = (pb.CONSTR_PRIMARY, pb.CONSTR_UNIQUE)


def taken_back(
    statement: Statement, *, facts: Facts
) -> tuple[tuple[Step, ...], NeedsOneRelease | None] | None:
    """Give the steps of a statement that takes back something that waits; None for any other."""
    if facts.side_by_side.releases is not Releases.BACK:
        return None
    for recorded in facts.side_by_side.recorded:
        if _is_inverse(statement, recorded, facts):
            return tuple(_steps(statement, recorded)), None
    return None


def takes_back(statement: Statement, *, facts: Facts, revision: str) -> bool:
    """Whether it is the inverse of something that this revision has left waiting."""
    recorded = (each for each in facts.side_by_side.recorded if each.revision == revision)
    return any(_is_inverse(statement, each, facts) for each in recorded)


def taken_back_action(action: Action) -> Split | None:
    """Give the steps of one action of an ALTER TABLE that takes back something; None for any other."""
    if action.facts.side_by_side.releases is not Releases.BACK:
        return None
    for recorded in action.facts.side_by_side.recorded:
        if recorded.waiting.relation == action.table.name:
            split = _split(action, recorded)
            if split is not None:
                return split
    return None


def is_there_already(statement: Statement, *, facts: Facts) -> bool:
    """Whether it would make what belongs to a kept column or table: its index, its constraint, its view."""
    if facts.side_by_side.releases is not Releases.BACK:
        return False
    kept = [
        recorded.waiting
        for recorded in facts.side_by_side.recorded
        if recorded.waiting.what in ("column", "table")
    ]
    node = statement.node
    if isinstance(node, pb.ViewStmt) and not any(
        _is_inverse(statement, each, facts) for each in facts.side_by_side.recorded
    ):
        return not node.replace and _goes_along(node.view, {each.relation for each in kept}, facts)
    if isinstance(node, pb.CreateTrigStmt) and not node.replace:
        table = _kept_table(node.relation, {each.relation for each in kept}, facts)
        return table is not None and node.trigname in table.triggers
    if isinstance(node, pb.IndexStmt):
        table = _kept_table(node.relation, {each.relation for each in kept}, facts)
        return table is not None and any(i.name.name == node.idxname for i in table.indexes)
    if not isinstance(node, pb.AlterTableStmt) or len(node.cmds) != 1:
        return False
    command = node.cmds[0].alter_table_cmd
    if command.subtype != pb.AT_AddConstraint:
        return False
    name = constraint_of(command).conname
    suspended = {(s.table, s.name) for each in kept for s in each.suspended}
    named = facts.relation(node.relation)
    if named is not None and (named.name, name) in suspended:
        return True
    table = _kept_table(node.relation, {each.relation for each in kept}, facts)
    is_key = any(
        r.waiting.what == "unique key" and r.waiting.name == name
        for r in facts.side_by_side.recorded
    )
    return table is not None and bool(name) and table.constraint(name) is not None and not is_key


def _goes_along(written: pb.RangeVar, kept: set[QualifiedName | None], facts: Facts) -> bool:
    """Whether it is a view that the CASCADE of what was kept would have dropped."""
    schema = written.schemaname or facts.current_schema
    name = QualifiedName(schema=schema, name=written.relname)
    return any(
        name == view.name
        for table in facts.relations.values()
        if table.name in kept
        for view in table.dependent_views
    )


def _kept_table(
    written: pb.RangeVar, kept: set[QualifiedName | None], facts: Facts
) -> Relation | None:
    relation = facts.relation(written)
    return relation if relation is not None and relation.name in kept else None


def _is_inverse(statement: Statement, recorded: Recorded, facts: Facts) -> bool:
    node, waiting = statement.node, recorded.waiting
    match waiting.what:
        case "column name" if isinstance(node, pb.RenameStmt):
            relation = facts.relation(node.relation) if node.HasField("relation") else None
            names = (node.newname, node.subname) == (waiting.name, waiting.new_name)
            is_column = node.rename_type == pb.OBJECT_COLUMN
            return (
                is_column and names and relation is not None and relation.name == waiting.relation
            )
        case "table name" if isinstance(node, pb.RenameStmt):
            relation = facts.relation(node.relation) if node.HasField("relation") else None
            is_column = node.rename_type == pb.OBJECT_COLUMN
            is_this = relation is not None and relation.name == waiting.relation
            return is_this and not is_column and node.newname == waiting.name
        case "table" if isinstance(node, pb.CreateStmt):
            schema = node.relation.schemaname or facts.current_schema
            name = QualifiedName(schema=schema, name=node.relation.relname)
            return name == waiting.relation
        case "unique key" if isinstance(node, pb.IndexStmt):
            return bool(node.idxname == waiting.name)
        case "value" if isinstance(node, pb.AlterEnumStmt):
            values = (node.old_val, node.new_val) == (waiting.new_name, waiting.name)
            return values and strings(node.type_name)[-1] == waiting.kind
        case "object":
            created = created_object(statement)
            return created is not None and created.is_object(waiting.kind, waiting.name)
        case _:
            return False


def _steps(statement: Statement, recorded: Recorded) -> Iterator[Step]:
    waiting, ends = recorded.waiting, (recorded.id,)
    if waiting.back:
        assert waiting.relation is not None  # noqa: S101  # a rename is one of a table
        yield BatchStep(
            what=f"take back {waiting}",
            sql=waiting.back,
            locks=(Lock(mode=LockMode.ACCESS_EXCLUSIVE, relation=waiting.relation),),
            ends=ends,
        )
        return
    created = created_object(statement)
    if created is not None and created.replaces:
        yield TransactionStep(sql=(statement.sql,), ends=ends)
        return
    yield from _added_again(waiting.suspended)
    yield BatchStep(what=f"keep {waiting}", sql=(), ends=ends)


def _added_again(suspended: tuple[Suspended, ...]) -> Iterator[Step]:
    for each in suspended:
        tables = (each.table, *((each.references,) if each.references is not None else ()))
        text = each.definition.removesuffix(" NOT VALID")
        yield BatchStep(
            what=f"add constraint {each.name} to {each.table} again",
            sql=(f"ALTER TABLE {each.table} ADD CONSTRAINT {quote(each.name)} {text} NOT VALID",),
            locks=strongest(
                tuple(Lock(mode=LockMode.SHARE_ROW_EXCLUSIVE, relation=t) for t in tables)
                if each.references is not None
                else (Lock(mode=LockMode.ACCESS_EXCLUSIVE, relation=each.table),)
            ),
        )
        if each.is_validated:
            yield ValidateStep(
                table=each.table,
                constraint=each.name,
                locks=(Lock(mode=LockMode.SHARE_UPDATE_EXCLUSIVE, relation=each.table),),
                scans=(each.table,),
            )


def _split(action: Action, recorded: Recorded) -> Split | None:
    waiting, command, ends = recorded.waiting, action.command, (recorded.id,)
    match command.subtype:
        case pb.AT_AddColumn if waiting.what == "column":
            if column_of(command).colname != waiting.name:
                return None
            return _column_again(action, recorded)
        case pb.AT_AddConstraint if waiting.what == "unique key":
            constraint = constraint_of(command)
            is_same = constraint.contype in KEYS and constraint.conname == waiting.name
            step = BatchStep(what=f"keep {waiting}", sql=(), ends=ends)
            return Split(after=(step,)) if is_same else None
        case pb.AT_ColumnDefault | pb.AT_AddIdentity if waiting.what == "default":
            if command.name != waiting.column:
                return None
            if command.subtype == pb.AT_AddIdentity:
                return Split(after=(BatchStep(what=f"keep {waiting}", sql=(), ends=ends),))
            if not definition(command).WhichOneof("node"):
                return None
            table = action.table.name
            return Split(
                after=(
                    TransactionStep(
                        sql=(sql(alter_table(table, command)),),
                        locks=(Lock(mode=LockMode.ACCESS_EXCLUSIVE, relation=table),),
                        ends=ends,
                    ),
                )
            )
        case _:
            return None


def _column_again(action: Action, recorded: Recorded) -> Split | None:
    """Restore what the first half took from the column; rows of the new release get the default."""
    waiting, table = recorded.waiting, action.table.name
    column = action.table.column(waiting.name)
    if column is None:
        return None
    written = type_of_tree(column_of(action.command).type_name)
    written = SERIAL.get(written, written)
    if written and written != column.type and "." not in column.type:
        reason = (
            f"Column {waiting.name} is still there, as {column.type}; downgrade() adds it as {written}."
            " Write the type that it has; or let it go for good first: holdfast finish."
        )
        what = f"revert of the drop of column {waiting.name}"
        refusal = NeedsOneRelease(relation=str(table), what=what, reasons=(reason,))
        return Split(stays=(action.command,), refusals=(refusal,))
    return Split(
        after=(
            *_filled(action, recorded),
            *(
                nullable_to_not_null(action, column=waiting.name)
                if waiting.was_not_null and not column.not_null
                else ()
            ),
            *_added_again(waiting.suspended),
            BatchStep(what=f"keep {waiting}", sql=(), ends=(recorded.id,)),
        )
    )


def _filled(action: Action, recorded: Recorded) -> Iterator[Step]:
    waiting, table = recorded.waiting, action.table.name
    name, lock = quote(waiting.name), Lock(mode=LockMode.ACCESS_EXCLUSIVE, relation=table)
    if waiting.default is not None:
        default = f"ALTER TABLE {table} ALTER COLUMN {name} SET DEFAULT {waiting.default}"
        yield BatchStep(what=f"give {waiting} its default again", sql=(default,), locks=(lock,))
    value = waiting.default or _default_in(action.command)
    if waiting.was_not_null and value is not None:
        for each in (table, *action.table.descendants):
            yield CopyRowsStep(
                table=each,
                sql=f"UPDATE ONLY {each} SET {name} = {value} WHERE {name} IS NULL",
                settings=(("row_security", "off"),),
                scans=(each,),
            )


def _default_in(command: pb.AlterTableCmd) -> str | None:
    for item in column_of(command).constraints:
        if item.constraint.contype == pb.CONSTR_DEFAULT:
            return expression_sql(item.constraint.raw_expr)
    return None
