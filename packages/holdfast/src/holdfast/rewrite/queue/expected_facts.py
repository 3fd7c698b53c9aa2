"""Computes the facts as they will be once the waiting statements have run, without running them.

So a statement behind them is judged by the tables as it will find them. What a statement does that is not listed here
changes nothing in the facts; when its turn comes, the catalog is asked again.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial, reduce
from typing import Any

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.column_copy.facts import ChangedTable
from holdfast.rewrite.facts import (
    Column,
    Constraint,
    ConstraintKind,
    Facts,
    Index,
    Relation,
    RelationKind,
    Releases,
)
from holdfast.rewrite.filled_column import SERIAL, is_serial
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.new_relations import created_relation
from holdfast.rewrite.online import draft_of
from holdfast.rewrite.operations import BY_STATEMENT
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.side_by_side.expand import waiting_in
from holdfast.rewrite.side_by_side.taken_back import taken_back
from holdfast.rewrite.tree import column_of, constraint_of, expression_sql, find, strings
from holdfast.rewrite.type_names import type_of_tree
from holdfast.rewrite.waiting import Waiting

KINDS: dict[int, ConstraintKind] = {
    pb.CONSTR_CHECK: ConstraintKind.CHECK,
    pb.CONSTR_EXCLUSION: ConstraintKind.EXCLUSION,
    pb.CONSTR_FOREIGN: ConstraintKind.FOREIGN_KEY,
    pb.CONSTR_NOTNULL: ConstraintKind.NOT_NULL,
    pb.CONSTR_PRIMARY: ConstraintKind.PRIMARY_KEY,
    pb.CONSTR_UNIQUE: ConstraintKind.UNIQUE,
}
# Statements that change nothing but the relations they name.
OF_ONE_TABLE = (pb.AlterTableStmt, pb.CommentStmt, pb.CreateStmt, pb.GrantStmt, pb.IndexStmt)
CHANGING_COLUMNS = frozenset(
    [pb.AT_AddColumn, pb.AT_AlterColumnType, pb.AT_ColumnDefault, pb.AT_DropColumn]
)
KEYS = frozenset([ConstraintKind.PRIMARY_KEY, ConstraintKind.UNIQUE])

ON_UPDATE = 1 << 4  # TRIGGER_TYPE_UPDATE in PostgreSQL's pg_trigger.h


def expected(facts: Facts, waiting: Iterable[QueueEntry]) -> Facts:
    """Give the facts after these statements, in their order."""
    return reduce(_after_with_names, waiting, facts)


def _after_with_names(facts: Facts, entry: QueueEntry) -> Facts:
    """Give the facts after a statement, with the names that it frees available again."""
    later = _after(facts, entry)
    if not facts.taken_names:
        return later
    before, after = _names_in(facts), _names_in(later)
    taken = {
        schema: (names - {n.name for n in before - after if n.schema == schema})
        | {n.name for n in after - before if n.schema == schema}
        for schema, names in later.taken_names.items()
    }
    return replace(later, taken_names=taken)


def _names_in(facts: Facts) -> frozenset[QualifiedName]:
    """Give the names of the known relations, their indexes and their constraints."""
    relations = {relation.name: relation for relation in facts.relations.values()}.values()
    return frozenset(
        QualifiedName(schema=relation.name.schema, name=name)
        for relation in relations
        for name in (
            relation.name.name,
            *(index.name.name for index in relation.indexes),
            *(constraint.name for constraint in relation.constraints),
        )
    )


def _after(facts: Facts, entry: QueueEntry) -> Facts:
    facts = _to_be_tried_again(facts, entry)
    statement = entry.statement
    node = statement.node
    waits = _waits(entry)
    if waits:
        return _with_what_waits(facts, entry, waits)
    if entry.facts is not None and taken_back(statement, facts=entry.facts) is not None:
        return facts  # it is there already
    created = created_relation(node)
    if created is not None:
        return _with_new_table(facts, created, node)
    if isinstance(node, pb.AlterTableStmt):
        name = _name(node.relation, entry)
        for item in node.cmds:
            change = _change_of(item.alter_table_cmd, node)
            facts = _changed(facts, name, change) if change else facts
        return facts
    if isinstance(node, pb.RenameStmt):
        return _renamed(facts, node, entry)
    if isinstance(node, pb.CreateTrigStmt):
        name = _name(node.relation, entry)
        return _changed(facts, name, lambda table: _with_trigger(table, node))
    if isinstance(node, pb.DropStmt):
        return _dropped(facts, node, entry)
    return _as_recorded(facts, node, entry)


def _as_recorded(facts: Facts, node: Any, entry: QueueEntry) -> Facts:
    """Apply the change of facts in the record of the operation."""
    left = [each.leaves for each in BY_STATEMENT.get(type(node), ()) if each.leaves is not None]
    for leaves in left:
        facts = _changed(
            facts, _name(node.relation, entry), partial(_left, leaves=leaves, node=node)
        )
    return facts


def _left(table: Relation, *, leaves: Callable[[Relation, Any], Relation], node: Any) -> Relation:
    return leaves(table, node)


def _waits(entry: QueueEntry) -> tuple[Waiting, ...]:
    """Add what the statement leaves waiting for `holdfast finish`."""
    facts = entry.facts
    if facts is None or facts.side_by_side.releases is not Releases.TWO:
        return ()
    return waiting_in(draft_of(entry.statement, facts=facts).steps)


def _with_what_waits(facts: Facts, entry: QueueEntry, waits: tuple[Waiting, ...]) -> Facts:
    """Keep an old column or table that waits; what is renamed has its new name, too."""
    facts = replace(
        facts, side_by_side=replace(facts.side_by_side, ahead=(*facts.side_by_side.ahead, *waits))
    )
    node = entry.statement.node
    for waiting in waits:
        if waiting.what == "table name" and isinstance(node, pb.RenameStmt):
            facts = _renamed(facts, node, entry)
        elif waiting.relation is not None:
            change = partial(_expanded, waiting=waiting)
            facts = _changed(facts, waiting.relation, change)
        facts = facts.without_constraints([(each.table, each.name) for each in waiting.suspended])
    return facts


def _expanded(table: Relation, *, waiting: Waiting) -> Relation:
    column = table.column(waiting.name)
    if column is None:
        return table
    if waiting.what == "column name":
        shadow = replace(column, name=waiting.new_name, not_null=False, has_default=False)
        return replace(table, columns=(*table.columns, shadow))
    if waiting.what == "column" and waiting.was_not_null:
        nullable = tuple(
            replace(each, not_null=False) if each == column else each for each in table.columns
        )
        return replace(table, columns=nullable)
    return table


def _to_be_tried_again(facts: Facts, entry: QueueEntry) -> Facts:
    """Mark what PostgreSQL said of a type change as stale if a waiting statement may change the answer."""
    node = entry.statement.node
    changes = isinstance(node, pb.AlterTableStmt) and any(
        item.alter_table_cmd.subtype in CHANGING_COLUMNS for item in node.cmds
    )

    def after(change: ChangedTable) -> ChangedTable:
        is_about = change.table in entry.tables or not isinstance(node, OF_ONE_TABLE)
        rewrites = any(each.rewrites or each.error for each in change.changes)
        is_stale = is_about and (rewrites or changes or not isinstance(node, OF_ONE_TABLE))
        return replace(change, is_stale=True) if is_stale else change

    return replace(facts, type_changes=tuple(map(after, facts.type_changes)))


def _name(written: pb.RangeVar, entry: QueueEntry) -> QualifiedName:
    """Give the relation that a waiting statement has named."""
    facts = entry.facts
    known = facts.relation(written) if facts is not None else None
    if known is not None:
        return known.name
    schema = written.schemaname or (facts.current_schema if facts is not None else "public")
    return QualifiedName(schema=schema, name=written.relname)


def _changed(facts: Facts, name: QualifiedName, change: Callable[[Relation], Relation]) -> Facts:
    found = next((each for each in facts.relations.values() if each.name == name), None)
    if found is None:
        return facts
    changed = change(found)  # once, by however many names it is known
    relations = {
        key: changed if relation.name == name else relation
        for key, relation in facts.relations.items()
    }
    return replace(facts, relations=relations)


def _with_new_table(facts: Facts, created: pb.RangeVar, node: Message) -> Facts:
    schema = created.schemaname or facts.current_schema
    name = QualifiedName(schema=schema, name=created.relname)
    keys = [(schema, name.name), *([("", name.name)] if schema == facts.current_schema else [])]
    if created.relpersistence == "t" or any(key in facts.relations for key in keys):
        return facts
    elements = node.table_elts if isinstance(node, pb.CreateStmt) else ()
    columns = [element.column_def for element in elements if element.HasField("column_def")]
    is_partitioned = isinstance(node, pb.CreateStmt) and node.HasField("partspec")
    table = Relation(
        oid=0,
        name=name,
        kind=RelationKind.PARTITIONED_TABLE if is_partitioned else RelationKind.TABLE,
        is_new=True,
        columns=tuple(_column(column) for column in columns),
    )
    return replace(facts, relations={**facts.relations, **dict.fromkeys(keys, table)})


def _change_of(
    command: pb.AlterTableCmd, node: pb.AlterTableStmt
) -> Callable[[Relation], Relation] | None:
    change = CHANGES.get(command.subtype)
    if command.subtype == pb.AT_DropConstraint:
        return lambda table: _without_constraints(table, {command.name})
    return (lambda table: change(table, command)) if change else None


def _with_column(table: Relation, command: pb.AlterTableCmd) -> Relation:
    column = column_of(command)
    if table.column(column.colname) is not None:
        return table
    added = replace(table, columns=(*table.columns, _column(column)))
    for item in column.constraints:
        if item.constraint.contype in KINDS:
            added = _with_constraint(added, item.constraint, columns=(column.colname,))
    return added


def _column(column: pb.ColumnDef) -> Column:
    kinds = {item.constraint.contype for item in column.constraints}
    kind = strings(column.type_name.names)[-1] if column.HasField("type_name") else ""
    written = type_of_tree(column.type_name)
    numbered = is_serial(column) or pb.CONSTR_IDENTITY in kinds
    return Column(
        name=column.colname,
        type={"int2": "smallint", "int4": "integer", "int8": "bigint"}[SERIAL[kind]]
        if kind in SERIAL
        else written,
        not_null=numbered or bool(kinds & {pb.CONSTR_NOTNULL, pb.CONSTR_PRIMARY}),
        has_default=is_serial(column) or pb.CONSTR_DEFAULT in kinds,
        is_generated=pb.CONSTR_GENERATED in kinds,
        is_identity=pb.CONSTR_IDENTITY in kinds,
        is_new=True,
    )


def _without_column(table: Relation, command: pb.AlterTableCmd) -> Relation:
    name = command.name
    return replace(
        table,
        columns=tuple(column for column in table.columns if column.name != name),
        indexes=tuple(index for index in table.indexes if name not in index.columns),
        constraints=tuple(found for found in table.constraints if name not in found.columns),
    )


def _with_added_constraint(table: Relation, command: pb.AlterTableCmd) -> Relation:
    constraint = constraint_of(command)
    if constraint.contype not in KINDS:
        return table
    named = [*strings(constraint.keys), *strings(constraint.fk_attrs)]
    if constraint.contype == pb.CONSTR_CHECK:
        found = find(constraint.raw_expr, pb.ColumnRef)
        named = list(dict.fromkeys(strings(column.fields)[-1] for column in found))
    return _with_constraint(table, constraint, columns=tuple(named))


def _with_constraint(
    table: Relation, constraint: pb.Constraint, *, columns: tuple[str, ...]
) -> Relation:
    kind = KINDS[constraint.contype]
    if kind is ConstraintKind.NOT_NULL:
        return _not_null(table, columns)
    is_check = kind is ConstraintKind.CHECK
    added = Constraint(
        name=constraint.conname,
        kind=kind,
        columns=columns,
        definition=f"CHECK (({expression_sql(constraint.raw_expr)}))" if is_check else "",
        is_validated=not constraint.skip_validation,
    )
    table = replace(table, constraints=(*table.constraints, added))
    if kind is ConstraintKind.PRIMARY_KEY:
        table = _not_null(table, columns)
    if kind not in KEYS:
        return table
    index = Index(
        name=QualifiedName(schema=table.name.schema, name=constraint.conname),
        table=table.name,
        columns=columns,
        keys=columns,
        definition="",
        is_unique=True,
        constraint=constraint.conname,
    )
    return replace(table, indexes=(*table.indexes, index))


def _not_null(table: Relation, columns: tuple[str, ...]) -> Relation:
    return replace(
        table,
        columns=tuple(replace(c, not_null=True) if c.name in columns else c for c in table.columns),
    )


def _without_constraints(table: Relation, names: set[str]) -> Relation:
    """Remove constraints and their indexes; a column whose NOT NULL goes may be NULL."""
    dropped = [found for found in table.constraints if found.name in names]
    left = table.without_constraints([(table.name, name) for name in names])
    left = left.without_indexes([i.name for i in table.indexes if i.constraint in names])
    for found in dropped:
        if found.kind is ConstraintKind.NOT_NULL:
            left = _with_column_changed(left, found.columns[0], not_null=False)
    return left


def _set_not_null(table: Relation, command: pb.AlterTableCmd) -> Relation:
    return _not_null(table, (command.name,))


def _with_column_changed(table: Relation, name: str, **changes: Any) -> Relation:
    columns = (replace(c, **changes) if c.name == name else c for c in table.columns)
    return replace(table, columns=tuple(columns))


def _nullable(table: Relation, command: pb.AlterTableCmd) -> Relation:
    """Make columns nullable: since PostgreSQL 18 NOT NULL is a constraint, which goes with its name."""
    left = tuple(
        found
        for found in table.constraints
        if found.kind is not ConstraintKind.NOT_NULL or found.columns != (command.name,)
    )
    return _with_column_changed(replace(table, constraints=left), command.name, not_null=False)


def _retyped(table: Relation, command: pb.AlterTableCmd) -> Relation:
    kind = type_of_tree(column_of(command).type_name)
    return _with_column_changed(table, command.name, type=kind)


def _validated(table: Relation, command: pb.AlterTableCmd) -> Relation:
    constraints = (
        replace(found, is_validated=True) if found.name == command.name else found
        for found in table.constraints
    )
    return replace(table, constraints=tuple(constraints))


CHANGES: dict[int, Callable[[Relation, pb.AlterTableCmd], Relation]] = {
    pb.AT_AddColumn: _with_column,
    pb.AT_AddConstraint: _with_added_constraint,
    pb.AT_AlterColumnType: _retyped,
    pb.AT_DropColumn: _without_column,
    pb.AT_DropNotNull: _nullable,
    pb.AT_SetNotNull: _set_not_null,
    pb.AT_ValidateConstraint: _validated,
}


def _renamed(facts: Facts, node: pb.RenameStmt, entry: QueueEntry) -> Facts:
    if not node.HasField("relation"):
        return facts
    name = _name(node.relation, entry)
    if node.rename_type == pb.OBJECT_COLUMN:
        return _changed(facts, name, lambda table: _with_renamed_column(table, node))
    if node.rename_type not in (pb.OBJECT_TABLE, pb.OBJECT_MATVIEW, pb.OBJECT_VIEW):
        return facts
    relation = entry.facts.relation(node.relation) if entry.facts is not None else None
    left = {key: found for key, found in facts.relations.items() if found.name != name}
    if relation is None:
        return replace(facts, relations=left)
    to = QualifiedName(schema=name.schema, name=node.newname)
    keys = [(to.schema, to.name), *([("", to.name)] if to.schema == facts.current_schema else [])]
    moved = replace(relation, name=to, is_new=to in facts.new)
    return replace(facts, relations={**left, **dict.fromkeys(keys, moved)})


def _with_renamed_column(table: Relation, node: pb.RenameStmt) -> Relation:
    def new_name(name: str) -> str:
        return str(node.newname) if name == node.subname else name

    return replace(
        table,
        columns=tuple(replace(c, name=new_name(c.name)) for c in table.columns),
        constraints=tuple(
            replace(c, columns=tuple(map(new_name, c.columns))) for c in table.constraints
        ),
        indexes=tuple(
            replace(
                i,
                columns=tuple(map(new_name, i.columns)),
                keys=tuple(map(new_name, i.keys)),
            )
            for i in table.indexes
        ),
    )


def _dropped(facts: Facts, node: pb.DropStmt, entry: QueueEntry) -> Facts:
    for parts in _dropped_names(node):
        written = pb.RangeVar(schemaname=parts[-2] if len(parts) > 1 else "", relname=parts[-1])
        if node.remove_type == pb.OBJECT_INDEX:
            known = entry.facts.index_named(parts) if entry.facts is not None else None
            schema = written.schemaname or facts.current_schema
            name = known.name if known else QualifiedName(schema=schema, name=parts[-1])
            facts = facts.without_indexes([name])
        elif node.remove_type in (pb.OBJECT_TABLE, pb.OBJECT_VIEW, pb.OBJECT_MATVIEW):
            gone = _name(written, entry)
            left = {key: found for key, found in facts.relations.items() if found.name != gone}
            relations = {key: _without_view(found, gone) for key, found in left.items()}
            facts = replace(facts, relations=relations)
        elif node.remove_type == pb.OBJECT_TRIGGER:
            trigger = parts[-1]
            table = pb.RangeVar(schemaname=parts[-3] if len(parts) > 2 else "", relname=parts[-2])
            facts = _changed(
                facts,
                _name(table, entry),
                lambda t, trigger=trigger: replace(  # type: ignore[misc]  # bound at once
                    t,
                    triggers=tuple(name for name in t.triggers if name != trigger),
                    update_triggers=tuple(name for name in t.update_triggers if name != trigger),
                ),
            )
    return facts


def _with_trigger(table: Relation, node: pb.CreateTrigStmt) -> Relation:
    fires = bool(node.events & ON_UPDATE) and not node.columns
    return replace(
        table,
        triggers=(*table.triggers, node.trigname),
        update_triggers=(*table.update_triggers, *((node.trigname,) if fires else ())),
    )


def _dropped_names(node: pb.DropStmt) -> Iterator[tuple[str, ...]]:
    for item in node.objects:
        if item.HasField("list"):
            yield strings(item.list.items)


def _without_view(relation: Relation, view: QualifiedName) -> Relation:
    views = tuple(found for found in relation.dependent_views if found.name != view)
    return replace(relation, dependent_views=views)
