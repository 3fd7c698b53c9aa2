"""VACUUM FULL, CLUSTER, SET TABLESPACE and SET UNLOGGED copy every row or index entry under a lock: refused."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.hazards import Hazard, LongWork, hazard
from holdfast.rewrite.locks import Lock, LockMode, lock
from holdfast.rewrite.rewriting import Action, ActionOperation, StatementOperation
from holdfast.rewrite.tree import has_option

REPACK = LongWork(
    rows=(44,),
    work="copies every row into a new file",
    instead="A plain VACUUM makes the space free for new rows, beside users. If it has to be given back to the disk, or"
    " the rows have to be in an order, repack the table with pg_repack, outside of the migrations.",
)
MOVE = replace(
    REPACK,
    instead="Move the table with pg_repack --tablespace, outside of the migrations.",
)
MOVE_INDEX = LongWork(
    rows=(44,),
    work="copies the index into a new file",
    instead="Build a second index CONCURRENTLY with TABLESPACE, then drop the first one.",
)
OTHER_FILE = replace(
    REPACK,
    instead="Create a second table that is so from the beginning, and move the rows; there is no other way beside"
    " users.",
)
REPACKING = {
    pb.AT_SetAccessMethod: OTHER_FILE,
    pb.AT_SetLogged: OTHER_FILE,
    pb.AT_SetTableSpace: MOVE,
    pb.AT_SetUnLogged: OTHER_FILE,
}
# For a partitioned table these only change the catalog, for future partitions.
OF_PARTITIONS_TO_COME = frozenset([pb.AT_SetAccessMethod, pb.AT_SetTableSpace])
Repacking: TypeAlias = pb.AlterTableMoveAllStmt | pb.AlterTableStmt | pb.ClusterStmt | pb.VacuumStmt


def hazards(node: Repacking, facts: Facts) -> Iterator[Hazard]:
    """Give the hazard of each table that is named, or of all if none is."""
    match node:
        case pb.ClusterStmt() if node.HasField("relation"):
            yield from hazard(facts.relation(node.relation), REPACK)
        case pb.VacuumStmt() if not has_option(node.options, name="full"):
            return
        case pb.VacuumStmt() if node.rels:
            for item in node.rels:
                yield from hazard(facts.relation(item.vacuum_relation.relation), REPACK)
        case pb.AlterTableStmt():
            yield from _of_index_or_view(node, facts)
        case _:
            doing = MOVE if isinstance(node, pb.AlterTableMoveAllStmt) else REPACK
            yield Hazard(relation=None, rows=0, mode=LockMode.ACCESS_EXCLUSIVE, doing=doing)


def _of_index_or_view(node: pb.AlterTableStmt, facts: Facts) -> Iterator[Hazard]:
    """Give the hazard of ALTER INDEX and ALTER MATERIALIZED VIEW; a partitioned index has no file to move."""
    kinds = {item.alter_table_cmd.subtype for item in node.cmds} & REPACKING.keys()
    if not kinds:
        return
    index = facts.index_named((node.relation.schemaname, node.relation.relname))
    if index is None:
        yield from hazard(facts.relation(node.relation), REPACKING[kinds.pop()])
    elif not index.is_partitioned:
        for found in hazard(
            facts.relations.get((index.table.schema, index.table.name)), MOVE_INDEX
        ):
            yield replace(found, relation=index.name)  # which every query of the table asks for


def hazards_of_action(action: Action) -> Iterator[Hazard]:
    """Give the hazards of actions of ALTER TABLE that copy the table."""
    subtype = action.command.subtype
    if not (action.table.is_partitioned and subtype in OF_PARTITIONS_TO_COME):
        yield from hazard(action.table, REPACKING[subtype])


def locks(node: Repacking, facts: Facts) -> Iterator[Lock]:
    """Give the locks, of VACUUM and ANALYZE, too; those of ALTER TABLE are in its actions."""
    if isinstance(node, pb.ClusterStmt):
        yield from lock(facts.in_use(node.relation), mode=LockMode.ACCESS_EXCLUSIVE)
    elif isinstance(node, pb.VacuumStmt):
        is_full = has_option(node.options, name="full")
        mode = LockMode.ACCESS_EXCLUSIVE if is_full else LockMode.SHARE_UPDATE_EXCLUSIVE
        for item in node.rels:
            yield from lock(facts.in_use(item.vacuum_relation.relation), mode=mode)


def is_outside(node: Repacking) -> bool:
    """Whether it must run outside a transaction: VACUUM, and CLUSTER of all tables; not ANALYZE."""
    if isinstance(node, pb.ClusterStmt):
        return not node.HasField("relation")
    return isinstance(node, pb.VacuumStmt) and bool(node.is_vacuumcmd)


OPERATION = StatementOperation(
    name="repack",
    rows=(44,),
    statements=(pb.AlterTableMoveAllStmt, pb.AlterTableStmt, pb.ClusterStmt, pb.VacuumStmt),
    locks=locks,
    hazards=hazards,
    is_outside=is_outside,
)
ACTION = ActionOperation(
    name="repack", rows=(44,), actions=frozenset(REPACKING), hazards=hazards_of_action
)
