"""Handles tables of a Citus cluster: refuses in advance what Citus would refuse, and splits what it wants apart.

From what Citus 14 answers on PostgreSQL 18; on a table that it does not know nothing is different. A refusal is a hint
of what to write instead: https://docs.citusdata.com/en/stable/develop/reference_ddl.html
"""

from collections.abc import Iterator, Sequence

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.errors.statement import CitusRefuses
from holdfast.rewrite.alter_table_locks import TRIGGER_SWITCHES
from holdfast.rewrite.facts import (
    ConstraintKind,
    Facts,
    Placement,
    PlacementKind,
    Relation,
)
from holdfast.rewrite.statement import Statement, function_names, shortened
from holdfast.rewrite.tree import column_of, constraint_of, definition, find, strings

# The actions of ALTER TABLE that Citus executes. Adding and dropping constraints is checked action by action.
EXECUTED = frozenset(
    [
        pb.AT_AddColumn,
        pb.AT_AddConstraint,
        pb.AT_AlterColumnType,
        pb.AT_AttachPartition,
        pb.AT_ChangeOwner,
        pb.AT_ColumnDefault,
        pb.AT_DetachPartition,
        pb.AT_DisableRowSecurity,
        pb.AT_DropColumn,
        pb.AT_DropConstraint,
        pb.AT_DropNotNull,
        pb.AT_EnableRowSecurity,
        pb.AT_ForceRowSecurity,
        pb.AT_NoForceRowSecurity,
        pb.AT_ReplicaIdentity,
        pb.AT_ResetRelOptions,
        pb.AT_SetLogged,
        pb.AT_SetNotNull,
        pb.AT_SetRelOptions,
        pb.AT_SetUnLogged,
        pb.AT_ValidateConstraint,
    ]
)
KEYS = frozenset([pb.CONSTR_PRIMARY, pb.CONSTR_UNIQUE, pb.CONSTR_EXCLUSION])
OF_A_COLUMN = {
    pb.AT_AlterColumnType: "changes its type",
    pb.AT_ColumnDefault: "changes its default",
    pb.AT_DropColumn: "drops it",
}
NOT_COPIED = (
    "It is a table of a Citus cluster, whose rows are in shards, and a column is copied by triggers and block after"
    " block. Add a column of the new type, have the application write both, fill it with an UPDATE, and drop the old"
    " one a release later."
)
NOT_FILLED = (
    "It is a table of a Citus cluster, where no UPDATE may call a function that gives each row another value. Add the"
    " column without its default and without NOT NULL, set the default in a second statement, and let the application"
    " fill the rows that are there."
)
NOT_NUMBERED = (
    "It is a table of a Citus cluster, whose columns cannot be numbered afterwards. Add a plain bigint column, CREATE"
    " SEQUENCE, SET DEFAULT nextval(..) for the rows to come, and let the application number the rows that are there."
)
TWO_NAMES = (
    "It is a table of a Citus cluster, where neither a trigger nor a view can keep two names. Add what is to have the"
    " new name, have the application write both, and drop the old one a release later."
)

Reason = tuple[str, str]  # why it fails, and what to write instead


def refuse_on_citus(statement: Statement, *, facts: Facts) -> None:
    """Raise CitusRefuses for what would fail, perhaps after steps that are committed by then."""
    found = next(_reasons(statement.node, facts=facts), None)
    if found is None:
        return
    relation, (reason, instead) = found
    raise CitusRefuses(
        statement=shortened(statement.sql), relation=relation, reason=reason, instead=instead
    )


def needs_a_name(table: Relation) -> bool:
    """Whether we must name a constraint: otherwise each shard would name it after itself."""
    return table.placement is not None


def one_by_one(
    commands: Sequence[pb.AlterTableCmd], *, table: Relation
) -> tuple[tuple[pb.AlterTableCmd, ...], ...]:
    """Split the actions of an ALTER TABLE in groups: on Citus an ADD CONSTRAINT stands alone.

    Behind the others, as PostgreSQL does it: it may need a column that comes with the same statement.
    """
    if table.placement is None:
        return (tuple(commands),)
    constraints = [each for each in commands if each.subtype == pb.AT_AddConstraint]
    others = tuple(each for each in commands if each.subtype != pb.AT_AddConstraint)
    return (*((others,) if others else ()), *((each,) for each in constraints))


def is_dropped_alone(table: Relation) -> bool:
    """Whether DROP TABLE must drop the foreign keys along: otherwise Citus makes the table plain, and fails."""
    return _is_bound_by_keys(table)


def _reasons(node: Message, *, facts: Facts) -> Iterator[tuple[str, Reason]]:
    if isinstance(node, pb.AlterTableStmt):
        yield from _of_alter_table(node, facts=facts)
    elif isinstance(node, pb.CreateStmt):
        for constraint in find(node, pb.Constraint):
            if constraint.contype == pb.CONSTR_FOREIGN:
                yield from _of_foreign_key(constraint, table=None, columns=(), facts=facts)
    elif isinstance(node, pb.IndexStmt | pb.CreateTrigStmt | pb.UpdateStmt):
        table = facts.relation(node.relation)
        if table is not None and table.placement is not None:
            yield from _named(table, _of_one_table(node, table, table.placement, facts))


def _of_one_table(
    node: Message, table: Relation, placement: Placement, facts: Facts
) -> Iterator[Reason]:
    if isinstance(node, pb.CreateTrigStmt):
        yield from _of_trigger(table)
    elif isinstance(node, pb.UpdateStmt):
        yield from _of_update(node, table, placement, facts)
    elif isinstance(node, pb.IndexStmt) and node.unique:
        yield from _of_key(table, tuple(item.index_elem.name for item in node.index_params))


def _of_alter_table(node: pb.AlterTableStmt, *, facts: Facts) -> Iterator[tuple[str, Reason]]:
    table = facts.relation(node.relation)
    if table is None:
        return
    for item in node.cmds:
        command = item.alter_table_cmd
        for constraint in _constraints(command):
            if constraint.contype == pb.CONSTR_FOREIGN:
                columns = strings(constraint.fk_attrs) or _own_column(command)
                yield from _of_foreign_key(constraint, table=table, columns=columns, facts=facts)
            elif constraint.contype in KEYS and not constraint.indexname:
                keys = _keys(constraint) or _own_column(command)
                yield from _named(table, _of_key(table, keys))
        if table.placement is not None and node.objtype == pb.OBJECT_TABLE:
            yield from _named(table, _of_action(command, table, table.placement, facts))


def _of_action(
    command: pb.AlterTableCmd, table: Relation, placement: Placement, facts: Facts
) -> Iterator[Reason]:
    if command.subtype in TRIGGER_SWITCHES:
        yield from _of_trigger(table)
    elif command.subtype not in EXECUTED:
        yield (
            f"Citus executes no such action on {table.name}",
            "Take the action out of the migration.",
        )
    if command.name == placement.column and command.subtype in OF_A_COLUMN:
        yield (
            (
                f"{command.name} decides on which shard of {table.name} a row lives, and this"
                f" {OF_A_COLUMN[command.subtype]}"
            ),
            (
                "Make a table as it is to be, distribute it, copy the rows, and rename both in one revision; or"
                " undistribute_table() and distribute it anew, while nobody uses it."
            ),
        )
    if command.subtype == pb.AT_DetachPartition and definition(command).partition_cmd.concurrent:
        yield ("Citus detaches no partition CONCURRENTLY", "Write it without CONCURRENTLY.")
    if placement.kind is PlacementKind.REFERENCE and _is_different_everywhere(command, facts):
        yield (
            f"each node would give the rows of its own copy of {table.name} other values",
            NOT_FILLED.partition(". ")[2],
        )
    if _turns_plain(command, table):
        yield (
            (
                f"{table.name} would have no foreign key to a reference table left: Citus would make it a plain table,"
                " and cannot where there is an identity column"
            ),
            f"Once, before the migration: SELECT citus_add_local_table_to_metadata('{table.name}');",
        )


def _is_different_everywhere(command: pb.AlterTableCmd, facts: Facts) -> bool:
    if command.subtype != pb.AT_AddColumn:
        return False
    defaults = (
        item.constraint
        for item in column_of(command).constraints
        if item.constraint.contype == pb.CONSTR_DEFAULT
    )
    return any(function_names(each.raw_expr) & facts.volatile_functions for each in defaults)


def _turns_plain(command: pb.AlterTableCmd, table: Relation) -> bool:
    if not _is_bound_by_keys(table):
        return False
    left = [
        key
        for key in table.foreign_keys()
        if not (command.subtype == pb.AT_DropConstraint and key.name == command.name)
        and not (command.subtype == pb.AT_DropColumn and command.name in key.columns)
    ]
    return not left


def _is_bound_by_keys(table: Relation) -> bool:
    """Whether Citus knows the table only because of its foreign keys, and cannot forget it."""
    placement = table.placement
    return (
        placement is not None
        and placement.is_automatic
        and any(column.is_identity for column in table.columns)
        and bool(table.foreign_keys())
    )


def _of_key(table: Relation, keys: Sequence[str]) -> Iterator[Reason]:
    placement = table.placement
    if placement is None or placement.kind is not PlacementKind.DISTRIBUTED:
        return
    if placement.column and placement.column not in keys:
        yield (
            (
                f"{table.name} is distributed by {placement.column}, and a key without that column would have to be"
                " compared between shards"
            ),
            f"Put {placement.column} into the key; or keep what has to be unique everywhere in a reference table.",
        )


def _of_trigger(table: Relation) -> Iterator[Reason]:
    placement = table.placement
    kinds = (PlacementKind.DISTRIBUTED, PlacementKind.REFERENCE)
    if placement is not None and placement.kind in kinds and not placement.has_triggers:
        yield (
            f"{table.name} is a {placement.kind.value} table, and Citus has no triggers on it",
            (
                "Have the application do it, or take the step that the manual of Citus calls unsafe:"
                " citus.enable_unsafe_triggers."
            ),
        )


def _of_update(
    node: pb.UpdateStmt, table: Relation, placement: Placement, facts: Facts
) -> Iterator[Reason]:
    volatile = sorted(function_names(node) & facts.volatile_functions)
    if volatile:
        yield (
            f"{', '.join(volatile)} gives each row of {table.name} another value, which Citus executes in no UPDATE",
            "Let the application fill the rows, or make the values from other columns.",
        )
    if placement.column in {item.res_target.name for item in node.target_list} - {""}:
        yield (
            f"{placement.column} decides on which shard of {table.name} a row lives",
            "Delete the rows and insert them with their new values.",
        )


def _of_foreign_key(
    constraint: pb.Constraint, *, table: Relation | None, columns: Sequence[str], facts: Facts
) -> Iterator[tuple[str, Reason]]:
    """Say why Citus refuses a foreign key: it must lead to a reference table, or between co-located rows."""
    target = facts.relation(constraint.pktable)
    if target is None or (target.placement is None and (table is None or table.placement is None)):
        return
    own, other = table.placement if table is not None else None, target.placement
    name = str(table.name) if table is not None else "the table"
    is_spread = own is not None and own.kind is PlacementKind.DISTRIBUTED
    if other is not None and other.kind is PlacementKind.DISTRIBUTED:
        if own is None or not is_spread:
            yield (
                name,
                (
                    f"{target.name} is distributed and {name} is not: a key between them would lead to other nodes",
                    f"Distribute {name} by the same column first, in a revision of its own; or leave the key out.",
                ),
            )
        elif not _live_together(constraint, columns, own=own, other=other, target=target):
            yield (
                name,
                (
                    f"rows of {name} and of {target.name} do not live on the same shard by this key",
                    f"Put {own.column} into it, at the place of {other.column}; both tables have to be colocated.",
                ),
            )
    elif is_spread and (other is None or other.kind is not PlacementKind.REFERENCE):
        yield (
            name,
            (
                f"{name} is distributed and {target.name} is not a reference table",
                f"SELECT create_reference_table('{target.name}') first, in a revision of its own.",
            ),
        )
    if is_spread and own is not None and own.column in columns and _sets_values(constraint):
        yield (
            name,
            (
                f"SET NULL and SET DEFAULT would change {own.column}, which decides on which shard a row lives",
                "Write ON DELETE CASCADE, or nothing.",
            ),
        )


def _live_together(
    constraint: pb.Constraint,
    columns: Sequence[str],
    *,
    own: Placement,
    other: Placement,
    target: Relation,
) -> bool:
    keys = [c for c in target.constraints if c.kind is ConstraintKind.PRIMARY_KEY]
    named = strings(constraint.pk_attrs) or (keys[0].columns if keys else ())
    pairs = zip(columns, named, strict=False)
    return own.colocation == other.colocation and (own.column, other.column) in pairs


def _sets_values(constraint: pb.Constraint) -> bool:
    return bool({constraint.fk_del_action, constraint.fk_upd_action} & {"n", "d"})


def _constraints(command: pb.AlterTableCmd) -> tuple[pb.Constraint, ...]:
    if command.subtype == pb.AT_AddConstraint:
        return (constraint_of(command),)
    if command.subtype == pb.AT_AddColumn:
        return tuple(item.constraint for item in column_of(command).constraints)
    return ()


def _own_column(command: pb.AlterTableCmd) -> tuple[str, ...]:
    return (column_of(command).colname,) if command.subtype == pb.AT_AddColumn else ()


def _keys(constraint: pb.Constraint) -> tuple[str, ...]:
    """Give the columns that tell rows apart; of an exclusion only those compared with = tell shards apart."""
    if constraint.contype != pb.CONSTR_EXCLUSION:
        return strings(constraint.keys)
    pairs = (item.list.items for item in constraint.exclusions)
    return tuple(
        element.index_elem.name
        for element, operator in pairs
        if strings(operator.list.items)[-1] == "="
    )


def _named(table: Relation, reasons: Iterator[Reason]) -> Iterator[tuple[str, Reason]]:
    return ((str(table.name), reason) for reason in reasons)
