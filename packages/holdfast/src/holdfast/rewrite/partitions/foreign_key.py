"""Makes a foreign key on a partitioned table before PostgreSQL 18, which does not take NOT VALID there.

Partition by partition NOT VALID, then VALIDATE; the foreign key of the table takes these over without reading a row.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Constraint, ConstraintKind, Facts, Relation, RelationKind
from holdfast.rewrite.index_build import joined
from holdfast.rewrite.locks import Lock, LockMode, lock_name, strongest
from holdfast.rewrite.names import QualifiedName, free_name
from holdfast.rewrite.rewriting import (
    add_constraint,
    alter_table,
    drop_constraint_if_exists,
    not_valid,
    transaction,
    validate,
)
from holdfast.rewrite.steps import (
    PartitionOf,
    PartitionsStep,
    Step,
    TransactionStep,
    ValidateStep,
)
from holdfast.rewrite.tree import copy, parsed_constraint, qualify, sql, strings

NOT_VALID_ON_PARTITIONED = 18  # the first major version that takes it


def foreign_key_on_partitions(
    constraint: pb.Constraint, *, table: Relation, facts: Facts
) -> tuple[Step, ...]:
    """Give all steps of a named foreign key: the partitions, another look at them, and the table."""
    whole = alter_table(table.name, add_constraint(constraint))
    add = transaction(
        whole, facts=facts, undo=(drop_constraint_if_exists(table.name, name=constraint.conname),)
    )
    referenced = facts.in_use(constraint.pktable)
    if referenced is not None:
        held = Lock(mode=LockMode.ACCESS_EXCLUSIVE, relation=referenced.name)
        add = replace(add, locks=strongest((*add.locks, held)))
    look = PartitionsStep(table=table.name, sql=sql(whole))
    return (*lacking_foreign_keys(constraint, table=table, facts=facts), look, add)


def lacking_foreign_keys(
    constraint: pb.Constraint, *, table: Relation, facts: Facts
) -> tuple[Step, ...]:
    """Give the steps for partitions that have no such foreign key yet, or none that is valid."""
    facts = facts.with_partitions_of(table)
    return tuple(
        step
        for partition in table.partitions
        if partition.kind is RelationKind.TABLE
        for step in _only_for(
            PartitionOf(partition=partition.name, table=table.name),
            foreign_key_of_partition(constraint, partition=partition, facts=facts),
        )
    )


def name_of_foreign_key(
    constraint: pb.Constraint, *, table: QualifiedName, taken: frozenset[str]
) -> str:
    """Give the name that PostgreSQL chooses for an unnamed one."""
    columns = joined(strings(constraint.fk_attrs))
    return constraint.conname or free_name(table.name, second=columns, label="fkey", taken=taken)


def same_foreign_keys(
    constraint: pb.Constraint, *, partition: Relation, facts: Facts
) -> Iterator[Constraint]:
    """Give the partition's foreign keys that PostgreSQL would take as a part of this one."""
    wanted = _essence(constraint, facts=facts)
    for found in partition.foreign_keys():
        if not found.definition:
            continue
        own = parsed_constraint(found.definition, name=found.name)
        if found.references is not None:
            qualify(own.pktable, found.references)
        if not found.is_of_parent and _essence(own, facts=facts) == wanted:
            yield found


def _only_for(
    below: PartitionOf, steps: Iterable[TransactionStep | ValidateStep]
) -> Iterator[Step]:
    for step in steps:
        yield replace(step, only_for=below)


def foreign_key_of_partition(
    constraint: pb.Constraint, *, partition: Relation, facts: Facts
) -> Iterator[TransactionStep | ValidateStep]:
    """Give the steps for one partition; none if it has such a valid foreign key.

    Before 18 PostgreSQL leaves one that is NOT VALID where it is, and wants another beside it.
    """
    same = list(same_foreign_keys(constraint, partition=partition, facts=facts))
    if any(found.is_validated for found in same):
        return
    if facts.server_major < NOT_VALID_ON_PARTITIONED:
        same = []
    name = same[0].name if same else _name_on(constraint, partition, facts=facts)
    if not same:
        key = not_valid(constraint)
        key.conname = name
        add = transaction(
            alter_table(partition.name, add_constraint(key)),
            facts=facts,
            undo=(drop_constraint_if_exists(partition.name, name=name),),
        )
        referenced = QualifiedName(schema=key.pktable.schemaname, name=key.pktable.relname)
        held = lock_name(referenced, mode=LockMode.SHARE_ROW_EXCLUSIVE, facts=facts)
        yield replace(add, locks=strongest((*add.locks, *held)))
    yield validate(partition, table=partition.name, constraint=name)


def _name_on(constraint: pb.Constraint, partition: Relation, *, facts: Facts) -> str:
    """Choose the name on the partition: that of the table's own, unless a constraint of the partition has it."""
    if partition.constraint(constraint.conname) is None:
        return str(constraint.conname)
    unnamed = copy(constraint)
    unnamed.conname = ""
    taken = facts.taken_in(partition.name.schema)
    return name_of_foreign_key(unnamed, table=partition.name, taken=taken)


def _essence(constraint: pb.Constraint, *, facts: Facts) -> tuple[object, ...]:
    referenced = facts.relation(constraint.pktable)
    theirs = strings(constraint.pk_attrs) or (_primary_key(referenced) if referenced else ())
    return (
        strings(constraint.fk_attrs),
        (constraint.pktable.schemaname, constraint.pktable.relname),
        theirs,
        constraint.fk_matchtype,
        constraint.fk_upd_action,
        constraint.fk_del_action,
        strings(constraint.fk_del_set_cols),
        constraint.deferrable,
        constraint.initdeferred,
    )


def _primary_key(table: Relation) -> tuple[str, ...]:
    keys = (c.columns for c in table.constraints if c.kind is ConstraintKind.PRIMARY_KEY)
    return next(keys, ())
