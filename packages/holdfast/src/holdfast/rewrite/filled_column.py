"""A new column whose existing rows each get a value: added empty, given its default, filled in batches.

As one ADD COLUMN it rewrites the table: https://www.postgresql.org/docs/current/sql-altertable.html
(Notes). For serial columns see datatype-numeric.html#DATATYPE-SERIAL, for identity columns
ddl-identity-columns.html.
"""

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.backfill import backfill_step
from holdfast.rewrite.citus import NOT_FILLED, NOT_NUMBERED
from holdfast.rewrite.facts import RelationKind
from holdfast.rewrite.names import QualifiedName, free_name, quote
from holdfast.rewrite.not_null import nullable_to_not_null
from holdfast.rewrite.rewriting import (
    Action,
    Split,
    alter_table,
    dropped_constraints,
    names_taken,
    set_default,
    transaction,
)
from holdfast.rewrite.statement import function_names
from holdfast.rewrite.steps import FillRowsStep, Step
from holdfast.rewrite.tree import add_strings, column_of, copy, parsed_expression, strings

SERIAL = {
    "bigserial": "int8",
    "serial": "int4",
    "serial2": "int2",
    "serial4": "int4",
    "serial8": "int8",
    "smallserial": "int2",
}


def filled_column(action: Action) -> Split | None:
    """Give the steps for volatile defaults, serial and identity; None if `why_not_filled` has a reason."""
    column = column_of(action.command)
    if why_not_filled(action) is not None:
        return None
    if _first(column, pb.CONSTR_PRIMARY) or _first(column, pb.CONSTR_GENERATED):
        return None
    if is_serial(column):
        return _serial(action, column)
    if _first(column, pb.CONSTR_IDENTITY):
        return _identity(action, column)
    if has_volatile_default(column, volatile=action.facts.volatile_functions):
        return _defaulted(action, column)
    return None


def why_not_filled(action: Action) -> str | None:
    """Say why the rows cannot be given their values in batches, and what makes it possible."""
    table = action.table
    if table.placement is not None:
        return NOT_NUMBERED if _is_numbered(column_of(action.command)) else NOT_FILLED
    if table.kind is not RelationKind.TABLE or table.descendants:
        return (
            f"{table.name} has partitions or inheriting tables. Add the column without its default, set the default in"
            " a second statement, and fill each partition with an UPDATE of its own."
        )
    if table.update_triggers:
        names = ", ".join(table.update_triggers)
        return (
            f"{table.name} has a trigger that each UPDATE fires ({names}), so its rows are not written in batches. Let"
            " it fire for its own columns only, in a revision before this one: CREATE OR REPLACE TRIGGER ... UPDATE OF"
            " its columns."
        )
    return None


def _is_numbered(column: pb.ColumnDef) -> bool:
    return is_serial(column) or _first(column, pb.CONSTR_IDENTITY) is not None


def is_serial(column: pb.ColumnDef) -> bool:
    """Whether the column is serial, which is no type but shorthand for a sequence, a default and NOT NULL."""
    return strings(column.type_name.names)[-1] in SERIAL


def has_volatile_default(column: pb.ColumnDef, *, volatile: frozenset[str]) -> bool:
    """Whether each row gets another value."""
    default = _first(column, pb.CONSTR_DEFAULT)
    return default is not None and bool(function_names(default.raw_expr) & volatile)


def _defaulted(action: Action, column: pb.ColumnDef) -> Split | None:
    default = _first(column, pb.CONSTR_DEFAULT)
    if default is None:
        return None
    command = set_default(column.colname, to=default.raw_expr)
    return Split(
        stays=(_without(action, pb.CONSTR_DEFAULT, pb.CONSTR_NOTNULL),),
        also=(alter_table(action.table.name, command),),
        after=(_fill(action, column.colname), *_not_null(action, column)),
    )


def _serial(action: Action, column: pb.ColumnDef) -> Split:
    """Give the three things that serial stands for, and NOT NULL."""
    kind = SERIAL[strings(column.type_name.names)[-1]]
    stays = _without(action, pb.CONSTR_NOTNULL)
    name = column_of(stays).type_name.names
    del name[:]
    add_strings(name, ("pg_catalog", kind))
    sequence = _sequence_name(action, column.colname, label="seq")
    return Split(
        stays=(stays,),
        also=_sequence(action, column.colname, sequence=sequence, kind=kind, options=[]),
        after=(_fill(action, column.colname), *_not_null(action, column)),
        chosen_names=frozenset([sequence.name]),
    )


def _identity(action: Action, column: pb.ColumnDef) -> Split | None:
    """Number the rows by a temporary sequence; once all have a number, the column's own continues."""
    identity = _first(column, pb.CONSTR_IDENTITY)
    if identity is None:
        return None
    kind = strings(column.type_name.names)[-1]
    sequence = _sequence_name(action, column.colname, label="filling")
    start = _sequence(
        action, column.colname, sequence=sequence, kind=kind, options=list(identity.options)
    )
    return Split(
        stays=(_without(action, pb.CONSTR_IDENTITY, pb.CONSTR_NOTNULL),),
        also=start,
        after=(
            _fill(action, column.colname),
            *_not_null(action, column),
            _hand_over(action, column.colname, identity=identity, sequence=sequence),
        ),
        chosen_names=frozenset([sequence.name]),
    )


def _hand_over(
    action: Action, column: str, *, identity: pb.Constraint, sequence: QualifiedName
) -> Step:
    """Make the column an identity whose own sequence continues from the other one, which is dropped."""
    table = action.table.name
    drop_default = pb.AlterTableCmd(
        subtype=pb.AT_ColumnDefault, name=column, behavior=pb.DROP_RESTRICT
    )
    add_identity = pb.AlterTableCmd(
        subtype=pb.AT_AddIdentity, name=column, behavior=pb.DROP_RESTRICT
    )
    getattr(add_identity, "def").constraint.CopyFrom(identity)
    drop = pb.DropStmt(remove_type=pb.OBJECT_SEQUENCE, behavior=pb.DROP_RESTRICT)
    add_strings(drop.objects.add().list.items, (sequence.schema, sequence.name))
    setval = pb.SelectStmt(limit_option=pb.LIMIT_OPTION_DEFAULT, op=pb.SETOP_NONE)
    setval.target_list.add().res_target.val.CopyFrom(
        parsed_expression(
            f"setval(pg_get_serial_sequence({_literal(str(table))}, {_literal(column)}),"
            f" nextval({_literal(str(sequence))}), false)"
        )
    )
    return transaction(
        alter_table(table, drop_default),
        alter_table(table, add_identity),
        setval,
        drop,
        facts=action.facts,
    )


def _sequence(
    action: Action, column: str, *, sequence: QualifiedName, kind: str, options: list[pb.Node]
) -> tuple[Message, ...]:
    """Make a sequence that belongs to the column, and the default that draws from it."""
    create = pb.CreateSeqStmt(sequence=pb.RangeVar(relpersistence="p", inh=True))
    create.sequence.schemaname, create.sequence.relname = sequence.schema, sequence.name
    create.options.extend(options)
    kind_option = create.options.add().def_elem
    kind_option.defname = "as"
    type_name = pb.TypeName(typemod=-1)
    add_strings(type_name.names, ("pg_catalog", kind))
    kind_option.arg.type_name.CopyFrom(type_name)
    owner = create.options.add().def_elem
    owner.defname = "owned_by"
    table = action.table.name
    add_strings(owner.arg.list.items, (table.schema, table.name, column))
    default = set_default(
        column, to=parsed_expression(f"nextval({_literal(str(sequence))}::regclass)")
    )
    return create, alter_table(table, default)


def _sequence_name(action: Action, column: str, *, label: str) -> QualifiedName:
    table = action.table.name
    name = free_name(table.name, second=column, label=label, taken=names_taken(action))
    return QualifiedName(schema=table.schema, name=name)


def _fill(action: Action, column: str) -> Step:
    """Fill the old rows; new ones have their default. Without a key: block after block of the table."""
    if not _keeps_row_key(action):
        name = quote(column)
        return FillRowsStep(
            table=action.table.name,
            sql=f"UPDATE ONLY {action.table.name} SET {name} = DEFAULT WHERE {name} IS NULL",  # noqa: S608  # quoted
            scans=(action.table.name,),
        )
    write = pb.UpdateStmt()
    write.relation.CopyFrom(pb.RangeVar(inh=True, relpersistence="p", relname="t"))
    target = write.target_list.add().res_target
    target.name = column
    target.val.set_to_default.SetInParent()
    write.where_clause.CopyFrom(_is_null(column))
    return backfill_step(write, table=action.table)


def _is_null(column: str) -> pb.Node:
    node = pb.Node(null_test=pb.NullTest(nulltesttype=pb.IS_NULL))
    add_strings(node.null_test.arg.column_ref.fields, (column,))
    return node


def _not_null(action: Action, column: pb.ColumnDef) -> tuple[Step, ...]:
    """Make the column NOT NULL, where that is written or implied (serial, identity)."""
    found = _first(column, pb.CONSTR_NOTNULL)
    if found is None and not is_serial(column) and not _first(column, pb.CONSTR_IDENTITY):
        return ()
    name = found.conname if found is not None else ""
    return nullable_to_not_null(action, column=column.colname, name=name)


def _keeps_row_key(action: Action) -> bool:
    """Whether the table has a key to batch along that the same statement does not drop."""
    key = {column.name for column in action.table.row_key()}
    keys = {index.constraint for index in action.table.indexes}
    commands = [item.alter_table_cmd for item in action.statement.cmds]
    dropped = {command.name for command in commands if command.subtype == pb.AT_DropColumn}
    return bool(key) and not dropped & key and not dropped_constraints(action.statement) & keys


def _first(column: pb.ColumnDef, kind: int) -> pb.Constraint | None:
    constraints = (item.constraint for item in column.constraints)
    return next((found for found in constraints if found.contype == kind), None)


def _without(action: Action, *kinds: int) -> pb.AlterTableCmd:
    """Give the ADD COLUMN without these of its constraints."""
    command = copy(action.command)
    column = column_of(command)
    kept = [item for item in column.constraints if item.constraint.contype not in kinds]
    del column.constraints[:]
    column.constraints.extend(kept)
    return command


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
