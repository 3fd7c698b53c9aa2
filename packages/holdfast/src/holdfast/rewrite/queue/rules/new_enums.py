"""Rule: giving a column of a partitioned table an enum that the queue makes is refused before anything has run.

By itself the statement could be judged only when the enum is there, and the revision would be half-way.
"""

from collections.abc import Sequence
from datetime import date

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.hazards import Hazard, LongWork
from holdfast.rewrite.locks import LockMode
from holdfast.rewrite.online import is_exempted
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.type_change import partitioned_with_new_enum
from holdfast.rewrite.type_names import created_type

NEW_ENUM = LongWork(
    rows=(24,),
    work="rewrites every row and builds every index of the table anew",
    instead="An enum gets more values by ALTER TYPE .. ADD VALUE, and so does one that is made anew with all of its"
    " values and more. Without a value, or in another order, no column of a table with partitions becomes another enum"
    " beside its users: leave the value where it is, and forbid it with a CHECK.",
)


def refuse_new_enums_on_partitions(entries: Sequence[QueueEntry], *, today: date) -> None:
    """Raise LongStatement, unless the author allows it."""
    nodes = (entry.statement.node for entry in entries)
    enums = {created_type(node) for node in nodes if isinstance(node, pb.CreateEnumStmt)}
    if not enums:
        return
    for entry in entries:
        if entry.facts is None or is_exempted(entry.statement, today=today):
            continue
        table = partitioned_with_new_enum(entry.statement, facts=entry.facts, enums=enums)
        if table is not None:
            mode = LockMode.ACCESS_EXCLUSIVE
            hazard = Hazard(relation=table.name, rows=table.rows, mode=mode, doing=NEW_ENUM)
            raise hazard.error(entry.statement)
