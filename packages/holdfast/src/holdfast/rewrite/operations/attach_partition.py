"""ATTACH PARTITION reads a table in use, to see that its rows belong to it: refused; of a new one it is a moment."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.hazards import Hazard, LongWork, hazard, hazard_of_default_partition
from holdfast.rewrite.rewriting import Action, ActionOperation
from holdfast.rewrite.tree import definition

ATTACH_PARTITION = LongWork(
    rows=(36,),
    work="reads every row of the new partition",
    instead="Add a CHECK equal to the bounds of the partition to the table before: then nothing is"
    " read, and you can allow it.",
)


def hazards(action: Action) -> Iterator[Hazard]:
    """Of the table that is attached, and of the default partition."""
    command = definition(action.command).partition_cmd
    yield from hazard(action.facts.relation(command.name), ATTACH_PARTITION)
    if not command.bound.is_default:
        yield from hazard_of_default_partition(action.table, facts=action.facts)


OPERATION = ActionOperation(
    name="attach_partition",
    rows=(36,),
    actions=frozenset([pb.AT_AttachPartition]),
    hazards=hazards,
)
