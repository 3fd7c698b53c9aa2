"""Finds what the partitions of a table still lack of a statement, by what is known of them now."""

from collections.abc import Sequence

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.index_build import index_of
from holdfast.rewrite.partitions.foreign_key import lacking_foreign_keys
from holdfast.rewrite.partitions.index import WantedIndex, is_valid, lacking_indexes
from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import PartitionsStep, Step
from holdfast.rewrite.tree import constraint_of


def lacking(step: PartitionsStep, *, facts: Facts) -> tuple[Step, ...]:
    """Give the lacking steps, and after an index another look; none if all partitions have it."""
    node = _node(step)
    table = facts.relation(node.relation)
    if table is None:
        return ()
    wanted = _wanted_index(node)
    if wanted is not None:
        return lacking_indexes(wanted, table=table, facts=facts)
    assert isinstance(node, pb.AlterTableStmt)  # noqa: S101  # it is an index otherwise
    constraint = constraint_of(node.cmds[0].alter_table_cmd)
    left = lacking_foreign_keys(constraint, table=table, facts=facts)
    return (*left, step) if left else ()


def is_there(step: PartitionsStep, *, facts: Facts) -> bool:
    """Whether the wanted object is valid as a whole, if that can be said before the last step."""
    node = _node(step)
    wanted, table = _wanted_index(node), facts.relation(node.relation)
    if wanted is None or table is None or table.has_foreign_partition:
        return True
    return is_valid(wanted, table=table)


def planned_anew(steps: Sequence[Step], *, at: int, left: Sequence[Step]) -> tuple[Step, ...]:
    """Put the remaining steps in the place of those planned between this look and the last of its kind."""
    look = steps[at]
    last = max(place for place, step in enumerate(steps) if step == look)
    return (*steps[: at + 1], *left, *steps[last + 1 :])


def _node(step: PartitionsStep) -> pb.AlterTableStmt | pb.IndexStmt:
    (statement,) = parse(step.sql)
    assert isinstance(statement.node, pb.AlterTableStmt | pb.IndexStmt)  # noqa: S101  # see its makers
    return statement.node


def _wanted_index(node: pb.AlterTableStmt | pb.IndexStmt) -> WantedIndex | None:
    if isinstance(node, pb.IndexStmt):
        return WantedIndex(node=node)
    constraint = constraint_of(node.cmds[0].alter_table_cmd)
    if constraint.contype not in (pb.CONSTR_PRIMARY, pb.CONSTR_UNIQUE):
        return None
    index = index_of(constraint, relation=node.relation, name=constraint.conname)
    return WantedIndex(node=index, constraint=constraint)
