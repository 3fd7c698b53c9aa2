"""VACUUM FULL, CLUSTER, SET UNLOGGED and SET TABLESPACE copy every row into a new file, under a lock: refused."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.hazards import Hazard, LongWork, hazard
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


OPERATION = StatementOperation(
    name="repack", rows=(44,), statements=(pb.ClusterStmt, pb.VacuumStmt), hazards=hazards
)
ACTION = ActionOperation(name="repack", rows=(44,), actions=REPACKING, hazards=hazards_of_action)
