"""ATTACH PARTITION: what PostgreSQL would read or build under its locks is made before, beside users of both tables.

A CHECK of the bound, the indexes and foreign keys of the table, and a CHECK on the default partition that the bound
excludes; then a moment, in which the CHECKs go again.
https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-MAINTENANCE
"""

from collections.abc import Iterator
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts, Index, Relation
from holdfast.rewrite.hazards import Hazard, LongWork, hazard, hazard_of_default_partition
from holdfast.rewrite.partitions.bounds import (
    check_steps,
    default_partition,
    drop_check,
    has_check,
    is_refused,
)
from holdfast.rewrite.partitions.foreign_key import (
    NOT_VALID_ON_PARTITIONED,
    foreign_key_of_partition,
    foreign_key_on_partitions,
    same_foreign_keys,
)
from holdfast.rewrite.partitions.index import index_of_partition
from holdfast.rewrite.partitions.names import names_of_partition
from holdfast.rewrite.rewriting import (
    Action,
    ActionOperation,
    NewObject,
    Split,
    as_written_action,
    transaction,
)
from holdfast.rewrite.steps import Step
from holdfast.rewrite.tree import definition, parsed_constraint, qualify

ATTACH_PARTITION = LongWork(
    rows=(36,),
    work="reads every row of the new partition",
    instead="Add a CHECK equal to the bounds of the partition to the table before (for the default partition: that"
    " excludes those of all others), and the table's indexes and foreign keys: then nothing is read, and you can allow"
    " it. That is done for you where the role may make temporary tables (GRANT TEMPORARY ON DATABASE); for a default"
    " partition beside at most 200 others.",
)


def attach_partition(action: Action) -> Split | None:
    """Give the steps; None if there is nothing to read, or PostgreSQL refuses at once."""
    if action.command.subtype != pb.AT_AttachPartition:
        return None
    command = definition(action.command).partition_cmd
    partition = action.facts.relation(command.name)
    is_used = partition is not None and not partition.is_new
    if partition is not None and is_used and (not action.table.oid or partition.partition_of):
        # The table is still to be created, or it is detached before: what there is to do is planned when that is done.
        return Split(after=(transaction(as_written_action(action), facts=action.facts),))
    bound = action.facts.bound_of(action.table, partition=command.name.relname)
    if partition is None or bound is None or _is_under_way(partition):
        return None
    if is_refused(action.table, partition):
        return None
    facts = action.facts.with_partitions_of(action.table)
    steps: list[Step] = []
    drops: list[str] = []
    if not partition.is_new:
        if not has_check(partition, condition=bound.whole):
            steps += check_steps(partition, condition=bound.whole, facts=facts)
            drops.append(drop_check(partition, facts=facts))
        steps += _indexes(action.table, partition, facts=facts)
        steps += _foreign_keys(action.table, partition, facts=facts)
    default = default_partition(action.table, facts=facts)
    if default is not None:
        steps += check_steps(default, condition=bound.excluded, facts=facts)
        drops.append(drop_check(default, facts=facts))
    if not steps:
        return None
    attach = transaction(as_written_action(action), facts=facts)
    return Split(after=(*steps, replace(attach, sql=(*attach.sql, *drops))))


def _is_under_way(partition: Relation) -> bool:
    """Whether the open transaction has made it, perhaps with rows that must be visible only with the ATTACH."""
    return partition.is_new and bool(partition.oid)


def _indexes(parent: Relation, partition: Relation, *, facts: Facts) -> Iterator[Step]:
    """Give the indexes that PostgreSQL would build, by the names that it would choose."""
    taken: set[str] = set()
    used: list[Index] = []
    for index in parent.indexes:
        if not index.definition:
            continue  # it waits in the queue itself: when the turn of this statement comes it is known
        steps, found = index_of_partition(
            index, of=parent, partition=partition, facts=facts, taken=taken, used=used
        )
        yield from steps
        if found is not None:
            used.append(found)


def _foreign_keys(parent: Relation, partition: Relation, *, facts: Facts) -> Iterator[Step]:
    by_parts = partition.is_partitioned and facts.server_major < NOT_VALID_ON_PARTITIONED
    for found in parent.foreign_keys():
        if not found.definition:
            continue
        key = parsed_constraint(found.definition, name=found.name)
        if found.references is not None:
            qualify(key.pktable, found.references)
        same = same_foreign_keys(key, partition=partition, facts=facts)
        if not key.is_enforced or any(own.is_validated for own in same):
            continue
        if by_parts:
            yield from foreign_key_on_partitions(key, table=partition, facts=facts)
        else:
            yield from foreign_key_of_partition(key, partition=partition, facts=facts)


def hazards(action: Action) -> Iterator[Hazard]:
    """Give the hazard of a default partition, and of a bound that PostgreSQL has not told."""
    command = definition(action.command).partition_cmd
    partition = action.facts.relation(command.name)
    if partition is not None and (_is_under_way(partition) or is_refused(action.table, partition)):
        return
    yield from hazard(partition, ATTACH_PARTITION)
    if not command.bound.is_default:
        yield from hazard_of_default_partition(action.table, facts=action.facts)


def names(new: NewObject) -> Iterator[str]:
    """Give the names of what is made for the partition."""
    if new.relations:
        yield from names_of_partition(
            definition(new.node).partition_cmd.name.relname, new.relations
        )


OPERATION = ActionOperation(
    name="attach_partition",
    rows=(36,),
    actions=frozenset([pb.AT_AttachPartition]),
    apply=attach_partition,
    names=names,
    hazards=hazards,
    looks_at_partitions=True,
)
