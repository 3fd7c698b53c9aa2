"""VACUUM FULL, CLUSTER, SET UNLOGGED and SET TABLESPACE copy every row into a new file, under a lock: refused."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.hazards import Hazard, LongWork, hazard
from holdfast.rewrite.locks import Lock, LockMode, lock
from holdfast.rewrite.rewriting import Action, ActionOperation, StatementOperation
from holdfast.rewrite.tree import has_option

REPACK = LongWork(
    rows=(44,),
    work="copies every row into a new file",
    instead="Repack the table with pg_repack, outside of the migrations.",
)
REPACKING = frozenset(
    [pb.AT_SetAccessMethod, pb.AT_SetLogged, pb.AT_SetTableSpace, pb.AT_SetUnLogged]
)


def hazards(node: pb.ClusterStmt | pb.VacuumStmt, facts: Facts) -> Iterator[Hazard]:
    """Of each table that is named."""
    if isinstance(node, pb.ClusterStmt):
        yield from hazard(facts.relation(node.relation), REPACK)
    elif has_option(node.options, name="full"):
        for item in node.rels:
            yield from hazard(facts.relation(item.vacuum_relation.relation), REPACK)


def hazards_of_action(action: Action) -> Iterator[Hazard]:
    """Of the actions of ALTER TABLE that do the same."""
    yield from hazard(action.table, REPACK)


def locks(node: pb.ClusterStmt | pb.VacuumStmt, facts: Facts) -> Iterator[Lock]:
    """Of VACUUM and ANALYZE, too."""
    if isinstance(node, pb.ClusterStmt):
        yield from lock(facts.in_use(node.relation), mode=LockMode.ACCESS_EXCLUSIVE)
        return
    is_full = has_option(node.options, name="full")
    mode = LockMode.ACCESS_EXCLUSIVE if is_full else LockMode.SHARE_UPDATE_EXCLUSIVE
    for item in node.rels:
        yield from lock(facts.in_use(item.vacuum_relation.relation), mode=mode)


def is_outside(node: pb.ClusterStmt | pb.VacuumStmt) -> bool:
    """VACUUM; not ANALYZE, and not what holdfast would refuse anyway."""
    is_vacuum = isinstance(node, pb.VacuumStmt) and bool(node.is_vacuumcmd)
    return is_vacuum and not has_option(node.options, name="full")


OPERATION = StatementOperation(
    name="repack",
    rows=(44,),
    statements=(pb.ClusterStmt, pb.VacuumStmt),
    locks=locks,
    hazards=hazards,
    is_outside=is_outside,
)
ACTION = ActionOperation(name="repack", rows=(44,), actions=REPACKING, hazards=hazards_of_action)
