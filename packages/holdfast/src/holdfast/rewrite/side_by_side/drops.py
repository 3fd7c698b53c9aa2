"""Drops that an old release would notice: made harmless to the new one at once, dropped by `finish`.

A row of the new release has no value in a column that it does not know; and it deletes rows that a foreign key of such
a column or table would keep.
"""

from collections.abc import Iterator, Sequence

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.column_copy.facts import ChangedTable, ChangingColumn, DependentIndex
from holdfast.rewrite.facts import ConstraintKind, Facts, Relation
from holdfast.rewrite.locks import Lock, LockMode, strongest
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.rewriting import Action, Split, alter_table
from holdfast.rewrite.side_by_side.refusal import NeedsOneRelease
from holdfast.rewrite.statement import Statement, shortened
from holdfast.rewrite.steps import BatchStep, Step
from holdfast.rewrite.tree import (
    add_strings,
    column_of,
    copy,
    definition,
    find,
    parsed_constraint,
    sql,
    strings,
)
from holdfast.rewrite.type_names import type_of_tree
from holdfast.rewrite.waiting import Suspended, Waiting

OBJECTS = {
    pb.OBJECT_AGGREGATE: "aggregate",
    pb.OBJECT_DOMAIN: "domain",
    pb.OBJECT_EXTENSION: "extension",
    pb.OBJECT_FOREIGN_TABLE: "foreign table",
    pb.OBJECT_FUNCTION: "function",
    pb.OBJECT_MATVIEW: "materialized view",
    pb.OBJECT_PROCEDURE: "procedure",
    pb.OBJECT_ROUTINE: "routine",
    pb.OBJECT_SCHEMA: "schema",
    pb.OBJECT_SEQUENCE: "sequence",
    pb.OBJECT_TYPE: "type",
    pb.OBJECT_VIEW: "view",
}
OF_RELATIONS = (
    pb.OBJECT_VIEW,
    pb.OBJECT_MATVIEW,
    pb.OBJECT_SEQUENCE,
    pb.OBJECT_FOREIGN_TABLE,
)
VALUE = "until then the value is '{name}' for both releases: the new one has to write that, and may read either"
RULE_OF_VIEW = '"_RETURN" on '
KEYS = (ConstraintKind.PRIMARY_KEY, ConstraintKind.UNIQUE)
UNCHECKED_OPERATORS = frozenset(["=", "<>", "<", ">", "<=", ">=", "~~", "!~~", "~", "!~", "~*"])


def expanded_drop(action: Action) -> Split | None:
    """Keep a column, a key or a default until `finish`; None for any other action."""
    if action.table.is_new:
        return None
    match action.command.subtype:
        case pb.AT_DropColumn:
            return _column(action)
        case pb.AT_DropConstraint:
            return _key(action)
        case pb.AT_ColumnDefault if not definition(action.command).WhichOneof("node"):
            return _default(action)
        case pb.AT_DropIdentity:
            return _default(action)
        case _:
            return None


def expanded_drop_statement(statement: Statement, facts: Facts) -> tuple[Step, ...] | None:
    """Keep a table, a unique index or another object until `finish`; None if nobody uses it."""
    node = statement.node
    if not isinstance(node, pb.DropStmt):
        return None
    if node.remove_type == pb.OBJECT_TABLE:
        return _tables(statement, node, facts)
    if node.remove_type == pb.OBJECT_INDEX:
        return _indexes(statement, node, facts)
    if node.remove_type not in OBJECTS:
        return None
    names = [_object_name(item) for item in node.objects]
    if all(_is_new(parts, facts) for parts, _ in names):
        return None
    kind = OBJECTS[node.remove_type]
    is_relation = node.missing_ok and node.remove_type in OF_RELATIONS
    if is_relation and all(facts.relation_named(parts) is None for parts, _ in names):
        return None  # they are not there
    return (
        _waits(
            *(
                Waiting(what="object", kind=kind, name=written, sql=_one(statement, node, place))
                for place, (_, written) in enumerate(names)
            )
        ),
    )


def _waits(
    *waiting: Waiting,
    sql: tuple[str, ...] = (),
    locks: tuple[Lock, ...] = (),
    undo: tuple[str, ...] = (),
) -> BatchStep:
    listed = ", ".join(map(str, waiting))
    verb = "waits" if len(waiting) == 1 else "wait"
    return BatchStep(
        what=f"{listed} {verb} for holdfast finish", sql=sql, locks=locks, waits=waiting, undo=undo
    )


def _sql(action: Action) -> str:
    """Write the author's action alone, on the table by its qualified name."""
    return sql(alter_table(action.table.name, action.command))


# A column.


def _column(action: Action) -> Split | None:
    name, table = action.command.name, action.table
    column = table.column(name)
    if column is None or column.is_new or table.partition_of is not None:
        return None  # PostgreSQL says what it thinks of it
    waiting_views = _waiting_views(action.facts)
    needed_by = [
        view
        for view in table.dependent_views
        if name in view.columns and not {str(view.name), view.name.name} & waiting_views
    ]
    is_referenced = any(name in found.columns for found in table.referenced_by)
    if action.command.behavior != pb.DROP_CASCADE and (needed_by or is_referenced):
        return None
    known = action.facts.side_by_side.table(table.name)
    if known is None:
        provisional = Waiting(what="column", name=name, relation=table.name, sql=_sql(action))
        return Split(after=(_waits(provisional),))
    if _is_added_again(action):
        refusal = NeedsOneRelease(
            relation=str(table.name),
            what=f"drop of column {name}",
            reasons=(
                "The same statement adds a column of that name: do that behind holdfast finish.",
            ),
        )
        return Split(stays=(action.command,), refusals=(refusal,))
    if action.command.behavior != pb.DROP_CASCADE and _is_needed(known, action.facts):
        return None
    reasons = tuple(_against_column(known, known.column(name), default=_default_of(known, name)))
    if reasons:
        refusal = NeedsOneRelease(
            relation=str(table.name), what=f"drop of column {name}", reasons=reasons
        )
        return Split(stays=(action.command,), refusals=(refusal,))
    return _column_waits(action, known)


def _is_added_again(action: Action) -> bool:
    commands = [item.alter_table_cmd for item in action.statement.cmds]
    return any(
        each.subtype == pb.AT_AddColumn and column_of(each).colname == action.command.name
        for each in commands
    )


def _is_needed(known: ChangedTable, facts: Facts) -> bool:
    """Whether a policy, publication or function depends on it, so that PostgreSQL refuses the drop."""
    going = {found.name.split("(")[0].split(".")[-1] for found in facts.side_by_side.waiting}
    return any(
        not found.identity.startswith(RULE_OF_VIEW)
        and not any(name in found.identity for name in going)
        for found in known.dependents
    )


def _waiting_views(facts: Facts) -> set[str]:
    """Give the views that go at `finish`: dropped ones, and those with the old name of a table."""
    return {
        str(QualifiedName(schema=found.relation.schema, name=found.name))
        if found.what == "table name" and found.relation is not None
        else found.name
        for found in facts.side_by_side.waiting
        if found.kind or found.what == "table name"
    }


def _default_of(known: ChangedTable, name: str) -> str | None:
    change = known.conversion(name)
    return change.default if change is not None else None


def _against_column(
    known: ChangedTable, column: ChangingColumn, *, default: str | None
) -> Iterator[str]:
    fills_itself = bool(column.identity) or default is not None or column.is_generated
    if fills_itself:
        return
    for index in known.indexes:
        if index.is_primary:
            yield (
                f"{column.name} is part of the primary key, and the new release gives it no value:"
                " change the primary key in a revision before."
            )
        elif index.is_unique and "NULLS NOT DISTINCT" in index.definition:
            yield (
                f"{index.name} is UNIQUE NULLS NOT DISTINCT, so that only one row of the new release"
                " could be without a value: drop it in a revision before."
            )
    change = known.conversion(column.name)
    if change is not None and change.is_constrained_domain and column.not_null:
        yield f"{change.new_type} is a domain with a constraint, and rows of the new release have no value."


def _column_waits(action: Action, known: ChangedTable) -> Split:
    """Drop at once what would fail rows of the new release: no value given, or a value that nobody maintains."""
    name, table = action.command.name, action.table.name
    column, default = known.column(name), _default_of(known, name)
    drops_default = default is not None and "(" not in default and _in_unique_key(known)
    has_value = bool(column.identity) or column.is_generated
    has_value = has_value or (default is not None and not drops_default)
    actions, back = [], []
    if column.not_null and not has_value:
        actions.append(f"ALTER COLUMN {quote(name)} DROP NOT NULL")
        back.append(f"ALTER COLUMN {quote(name)} SET NOT NULL")
    if drops_default:
        actions.append(f"ALTER COLUMN {quote(name)} DROP DEFAULT")
        back.append(f"ALTER COLUMN {quote(name)} SET DEFAULT {default}")
    checks = [
        Suspended(
            table=table,
            name=check.name,
            definition=check.definition,
            is_validated=check.is_validated,
        )
        for check in known.checks
        if not _is_harmless(check.definition, column=name, has_value=has_value)
    ]
    actions += [f"DROP CONSTRAINT {quote(check.name)}" for check in checks]
    back += [f"ADD CONSTRAINT {quote(check.name)} {check.definition}" for check in checks]
    keys = tuple(
        Suspended(
            table=key.table,
            name=key.name,
            definition=key.definition,
            references=key.references,
            is_validated=key.is_validated,
        )
        for key in known.foreign_keys
        if key.is_own
    )
    waiting = Waiting(
        what="column",
        name=name,
        relation=table,
        sql=_sql(action),
        was_not_null=column.not_null and not has_value,
        default=default if drops_default else None,
        suspended=(*keys, *checks),
        notes=tuple(_notes(known, name, has_value=has_value)),
    )
    alter = (f"ALTER TABLE {table} {', '.join(actions)}",) if actions else ()
    undo = (f"ALTER TABLE {table} {', '.join(back)}",) if back else ()
    locks = (Lock(mode=LockMode.ACCESS_EXCLUSIVE, relation=table),) if actions else ()
    return Split(
        before=tuple(suspend(key) for key in keys),
        after=(_waits(waiting, sql=alter, locks=locks, undo=undo),),
    )


def _in_unique_key(known: ChangedTable) -> bool:
    return any(index.is_unique for index in known.indexes)


def _is_harmless(check: str, *, column: str, has_value: bool) -> bool:
    """Whether a CHECK passes rows of the new release: only on this column, and not false without a value."""
    expression = parsed_constraint(check, name="check").raw_expr
    columns = {strings(found.fields)[-1] for found in find(expression, pb.ColumnRef)}
    if columns != {column}:
        return False
    if has_value:
        return True
    kinds = (pb.FuncCall, pb.NullTest, pb.CaseExpr, pb.CoalesceExpr, pb.BooleanTest, pb.SubLink)
    asks_more = any(True for kind in kinds for _ in find(expression, kind))
    operators = {
        strings(found.name)[-1] for found in find(expression, pb.A_Expr) if len(found.name)
    }
    distinct = (pb.AEXPR_DISTINCT, pb.AEXPR_NOT_DISTINCT)
    asks_more = asks_more or any(f.kind in distinct for f in find(expression, pb.A_Expr))
    return not asks_more and operators <= UNCHECKED_OPERATORS


def _notes(known: ChangedTable, name: str, *, has_value: bool) -> Iterator[str]:
    if not has_value:
        yield (
            f"rows of the new release have NULL in {name}, and the old one reads it: give the column a"
            " default in a revision before, if it cannot"
        )
    for index in known.indexes:
        if _is_of_several(index):
            yield (
                f"{index.name} is unique with {name}, which is NULL in rows of the new release: it keeps"
                " nothing apart in these"
            )


def _is_of_several(index: DependentIndex) -> bool:
    return index.is_unique and "," in index.definition


def suspend(key: Suspended) -> BatchStep:
    """Drop a foreign key at once: the new release deletes and inserts rows without knowing of it."""
    tables = (key.table, *((key.references,) if key.references is not None else ()))
    valid = "" if key.is_validated or key.definition.endswith("NOT VALID") else " NOT VALID"
    again = f"ALTER TABLE {key.table} ADD CONSTRAINT {quote(key.name)} {key.definition}{valid}"
    return BatchStep(
        what=f"drop foreign key {key.name} of {key.table}",
        undo=(again,),
        sql=(f"ALTER TABLE {key.table} DROP CONSTRAINT IF EXISTS {quote(key.name)}",),
        locks=strongest(
            tuple(Lock(mode=LockMode.ACCESS_EXCLUSIVE, relation=table) for table in tables)
        ),
    )


# A key, a default.


def _key(action: Action) -> Split | None:
    constraint = action.table.constraint(action.command.name)
    if constraint is None or constraint.kind not in KEYS:
        return None
    waiting = Waiting(
        what="unique key",
        name=constraint.name,
        relation=action.table.name,
        sql=_sql(action),
        notes=(
            f"until then a row against {constraint.name} is refused, whichever release writes it",
        ),
    )
    return Split(after=(_waits(waiting),))


def _default(action: Action) -> Split | None:
    column = action.table.column(action.command.name)
    if column is None or column.is_new or not (column.has_default or column.is_identity):
        return None
    waiting = Waiting(
        what="default",
        name=action.command.name,
        column=action.command.name,
        relation=action.table.name,
        sql=_sql(action),
    )
    return Split(after=(_waits(waiting),))


# A statement.


def _tables(statement: Statement, node: pb.DropStmt, facts: Facts) -> tuple[Step, ...] | None:
    named = [facts.relation_named(strings(item.list.items)) for item in node.objects]
    tables = [table for table in named if table is not None and not table.is_new]
    if not tables or len(tables) < len(named):
        return None
    dropped = {table.name for table in tables}
    if node.behavior != pb.DROP_CASCADE and _are_needed(tables, dropped, facts):
        return None  # PostgreSQL refuses it
    keys = {table.name: tuple(_keys_of(table, dropped)) for table in tables}
    places = {table.name: place for place, table in enumerate(named) if table is not None}
    return (
        *(suspend(key) for key in dict.fromkeys(key for found in keys.values() for key in found)),
        _waits(
            *(
                Waiting(
                    what="table",
                    name=table.name.name,
                    relation=table.name,
                    sql=_one(statement, node, places[table.name], name=table.name),
                    suspended=keys[table.name],
                )
                for table in tables
            )
        ),
    )


def _are_needed(tables: Sequence[Relation], dropped: set[QualifiedName], facts: Facts) -> bool:
    waiting = facts.side_by_side.waiting
    going = {found.relation for found in waiting if found.what == "table"} | dropped
    views = _waiting_views(facts)
    return any(
        {reference.table for reference in table.referenced_by} - going
        or [v for v in table.dependent_views if not {str(v.name), v.name.name} & views]
        for table in tables
    )


def _keys_of(table: Relation, dropped: set[QualifiedName]) -> Iterator[Suspended]:
    """Give foreign keys from and to the table; those of partitions go with their parents."""
    if table.partition_of is None:
        for key in table.foreign_keys():
            if key.references not in (None, table.name):
                yield Suspended(
                    table=table.name,
                    name=key.name,
                    definition=key.definition,
                    references=key.references,
                    is_validated=key.is_validated,
                )
    for reference in table.referenced_by:
        if reference.table not in (dropped | {table.name}):
            yield Suspended(
                table=reference.table,
                name=reference.constraint,
                definition=reference.definition,
                references=table.name,
            )


def _indexes(statement: Statement, node: pb.DropStmt, facts: Facts) -> tuple[Step, ...] | None:
    """Drop unique indexes at `finish`: the old release may name their columns in ON CONFLICT."""
    if len(node.objects) != 1:
        return None
    index = facts.index_named(strings(node.objects[0].list.items))
    if index is None or not index.is_unique:
        return None
    table = facts.relations.get((index.table.schema, index.table.name))
    if table is None or table.is_new:
        return None
    waiting = Waiting(
        what="unique key",
        name=index.name.name,
        relation=index.table,
        sql=statement.sql,
        notes=(
            f"until then a row against {index.name.name} is refused, whichever release writes it",
        ),
    )
    return (_waits(waiting),)


def expanded_value(statement: Statement) -> tuple[Step, ...] | None:
    """Let all of ALTER TYPE .. RENAME VALUE wait: a value has only one name."""
    node = statement.node
    if not isinstance(node, pb.AlterEnumStmt) or not node.old_val:
        return None
    waiting = Waiting(
        what="value",
        name=node.old_val,
        new_name=node.new_val,
        kind=strings(node.type_name)[-1],
        sql=shortened(statement.sql, to=10_000),
        notes=(VALUE.format(name=node.old_val),),
    )
    return (_waits(waiting),)


def _object_name(item: pb.Node) -> tuple[tuple[str, ...], str]:
    """Give the parts of a name, and the name as written."""
    if item.HasField("object_with_args"):
        parts = strings(item.object_with_args.objname)
        arguments = [type_of_tree(each.type_name) for each in item.object_with_args.objargs]
        return parts, f"{'.'.join(parts)}({', '.join(arguments)})"
    if item.HasField("type_name"):
        parts = strings(item.type_name.names)
    elif item.HasField("list"):
        parts = strings(item.list.items)
    else:
        parts = (item.string.sval,)
    return parts, ".".join(parts)


def _is_new(parts: tuple[str, ...], facts: Facts) -> bool:
    relation = facts.relation_named(parts)
    return relation is not None and relation.is_new


def _one(
    statement: Statement, node: pb.DropStmt, place: int, *, name: QualifiedName | None = None
) -> str:
    """Write the DROP of one of the objects that the statement names."""
    if len(node.objects) == 1 and name is None:
        return statement.sql
    one = copy(node)
    del one.objects[:]
    one.objects.add().CopyFrom(node.objects[place])
    if name is not None:
        del one.objects[0].list.items[:]
        add_strings(one.objects[0].list.items, (name.schema, name.name))
    return sql(one)
