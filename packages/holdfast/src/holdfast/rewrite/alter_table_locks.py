"""The locks of ALTER TABLE: the strongest that any of its actions needs, and those on other tables.

After AlterTableGetLockLevel() in PostgreSQL's src/backend/commands/tablecmds.c.
"""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Constraint, ConstraintKind, Facts, Relation
from holdfast.rewrite.locks import Lock, LockMode, lock, lock_each
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.tree import column_of, constraint_of, definition

SHARE_UPDATE_EXCLUSIVE_ACTIONS = frozenset(
    [
        pb.AT_AttachPartition,
        pb.AT_ClusterOn,
        pb.AT_DetachPartitionFinalize,
        pb.AT_DropCluster,
        pb.AT_ResetOptions,
        pb.AT_ResetRelOptions,
        pb.AT_SetOptions,
        pb.AT_SetRelOptions,
        pb.AT_SetStatistics,
        pb.AT_ValidateConstraint,
    ]
)
TRIGGER_SWITCHES = frozenset(
    [
        pb.AT_DisableTrig,
        pb.AT_DisableTrigAll,
        pb.AT_DisableTrigUser,
        pb.AT_EnableAlwaysTrig,
        pb.AT_EnableReplicaTrig,
        pb.AT_EnableTrig,
        pb.AT_EnableTrigAll,
        pb.AT_EnableTrigUser,
    ]
)
# Actions that lock only the named table, not those that inherit from it.
NOT_INHERITED = frozenset(
    [
        pb.AT_AttachPartition,
        pb.AT_ChangeOwner,
        pb.AT_ClusterOn,
        pb.AT_DetachPartition,
        pb.AT_DropCluster,
        pb.AT_ReplicaIdentity,
        pb.AT_SetRelOptions,
        pb.AT_ResetRelOptions,
    ]
)


def locks_of_alter_table(node: pb.AlterTableStmt, facts: Facts) -> Iterator[Lock]:
    """Give the locks of ALTER TABLE, and of its forms for views and sequences."""
    if node.objtype == pb.OBJECT_INDEX:
        return
    relation = facts.relation(node.relation)
    commands = [item.alter_table_cmd for item in node.cmds]
    mode = max((mode_of_action(command) for command in commands), key=lambda mode: mode.strength)
    yield from lock(relation, mode=mode)
    if node.relation.inh and any(command.subtype not in NOT_INHERITED for command in commands):
        below = relation.descendants if relation else ()
        yield from lock_each(below, mode=mode, facts=facts)
    for command in commands:
        yield from _on_other_tables(command, relation=relation, facts=facts)


def mode_of_action(command: pb.AlterTableCmd) -> LockMode:
    """Give the lock mode that one action needs on the table itself."""
    if command.subtype in SHARE_UPDATE_EXCLUSIVE_ACTIONS:
        return LockMode.SHARE_UPDATE_EXCLUSIVE
    if command.subtype in TRIGGER_SWITCHES:
        return LockMode.SHARE_ROW_EXCLUSIVE
    if command.subtype == pb.AT_DetachPartition and definition(command).partition_cmd.concurrent:
        return LockMode.SHARE_UPDATE_EXCLUSIVE
    if (
        command.subtype == pb.AT_AddConstraint
        and constraint_of(command).contype == pb.CONSTR_FOREIGN
    ):
        return LockMode.SHARE_ROW_EXCLUSIVE
    return LockMode.ACCESS_EXCLUSIVE


def _on_other_tables(
    command: pb.AlterTableCmd, *, relation: Relation | None, facts: Facts
) -> Iterator[Lock]:
    if command.subtype in (pb.AT_AddConstraint, pb.AT_AddColumn):
        yield from _of_new_foreign_keys(command, relation=relation, facts=facts)
    elif command.subtype in (pb.AT_AttachPartition, pb.AT_DetachPartition):
        partition = definition(command).partition_cmd.name
        yield from lock(facts.in_use(partition), mode=LockMode.ACCESS_EXCLUSIVE)
        if command.subtype == pb.AT_AttachPartition and relation is not None:
            # Foreign keys of the partition become a part of those of the table.
            referenced = [key.references for key in relation.foreign_keys() if key.references]
            yield from lock_each(referenced, mode=LockMode.ACCESS_EXCLUSIVE, facts=facts)
        # DETACH is over in a moment, as measured by `test_instant` in tests/rewrite/test_duration.py (row 38).
        if relation is not None and relation.default_partition:
            default = relation.default_partition.name
            yield from lock_each([default], mode=LockMode.ACCESS_EXCLUSIVE, facts=facts)
    elif command.subtype == pb.AT_AddInherit:
        parent = definition(command).range_var
        yield from lock(facts.in_use(parent), mode=LockMode.SHARE_UPDATE_EXCLUSIVE)
    elif relation is not None:
        touched = _tables_of_touched_foreign_keys(command, relation=relation)
        yield from lock_each(touched, mode=LockMode.ACCESS_EXCLUSIVE, facts=facts)


def _of_new_foreign_keys(
    command: pb.AlterTableCmd, *, relation: Relation | None, facts: Facts
) -> Iterator[Lock]:
    """Give the locks of new foreign keys; taking over a partition's key drops triggers on the referenced table."""
    adds_column = command.subtype == pb.AT_AddColumn
    constraints = (
        [item.constraint for item in column_of(command).constraints]
        if adds_column
        else [constraint_of(command)]
    )
    for constraint in constraints:
        if constraint.contype == pb.CONSTR_FOREIGN:
            referenced = facts.in_use(constraint.pktable)
            is_taken_over = (
                relation is not None
                and referenced is not None
                and any(
                    key.references == referenced.name and not key.is_of_parent
                    for partition in relation.partitions
                    for key in partition.foreign_keys()
                )
            )
            mode = LockMode.ACCESS_EXCLUSIVE if is_taken_over else LockMode.SHARE_ROW_EXCLUSIVE
            yield from lock(referenced, mode=mode)


def _tables_of_touched_foreign_keys(
    command: pb.AlterTableCmd, *, relation: Relation
) -> list[QualifiedName]:
    """Give the tables at the other end of foreign keys that the action drops or makes anew."""
    cascade = command.behavior == pb.DROP_CASCADE
    if command.subtype == pb.AT_DropConstraint:
        constraint = relation.constraint(command.name)
        return _other_ends_of(constraint, relation=relation) if constraint else []
    if command.subtype not in (pb.AT_DropColumn, pb.AT_AlterColumnType):
        return []
    touched = [
        key.references
        for key in relation.foreign_keys()
        if key.references and command.name in key.columns
    ]
    if cascade or command.subtype == pb.AT_AlterColumnType:
        touched += [
            reference.table
            for reference in relation.referenced_by
            if command.name in reference.columns
        ]
    if cascade:
        touched += [view.name for view in relation.dependent_views if command.name in view.columns]
    return touched


def _other_ends_of(constraint: Constraint, *, relation: Relation) -> list[QualifiedName]:
    if constraint.references:
        return [constraint.references]
    if constraint.kind not in (ConstraintKind.PRIMARY_KEY, ConstraintKind.UNIQUE):
        return []
    return [
        reference.table
        for reference in relation.referenced_by
        if set(reference.columns) == set(constraint.columns)
    ]
