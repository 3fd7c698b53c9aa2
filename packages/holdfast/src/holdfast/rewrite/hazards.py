"""What is refused on a table in use, and what to write instead of it.

Either it holds a lock for as long as the table is large, or it breaks the application that runs.

The rows are those of the table of operations in docs/operations.md.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.errors import HoldfastError
from holdfast.errors.statement import BreaksRunningCode, LongStatement
from holdfast.rewrite.domains import reads_tables_of_domain
from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.locks import LockMode
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.queued_changes import QueuedChange
from holdfast.rewrite.statement import Statement, shortened
from holdfast.rewrite.tree import has_option, strings


@dataclass(frozen=True, slots=True, kw_only=True)
class LongWork:
    """A kind of work under a lock: what it does, and what to write instead of it.

    `lifted_by`: after such a change to the table the same statement may have an online form.
    """

    rows: tuple[int, ...]
    work: str
    instead: str
    lifted_by: frozenset[QueuedChange] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hazard:
    """A lock on a relation in use that lasts as long as its rows are many."""

    relation: QualifiedName
    rows: int
    mode: LockMode
    doing: LongWork

    @property
    def lifted_by(self) -> frozenset[QueuedChange]:
        """What may take the reason away."""
        return self.doing.lifted_by

    def error(self, statement: Statement) -> HoldfastError:
        """The error that refuses a statement with this hazard."""
        return LongStatement(
            statement=shortened(statement.sql),
            relation=str(self.relation),
            mode=self.mode.value,
            work=self.doing.work,
            blocks=self.mode.blocks,
            rows=self.rows,
            instead=self.doing.instead,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakingChange:
    """A name that running code uses and that will be gone."""

    relation: str
    breaks: str
    instead: str
    lifted_by: frozenset[QueuedChange] = frozenset()

    def error(self, statement: Statement) -> HoldfastError:
        """The error that refuses a statement with this hazard."""
        return BreaksRunningCode(
            statement=shortened(statement.sql),
            relation=self.relation,
            breaks=self.breaks,
            instead=self.instead,
        )


def hazard(
    relation: Relation | None, doing: LongWork, *, mode: LockMode = LockMode.ACCESS_EXCLUSIVE
) -> Iterator[Hazard]:
    """The hazard of a relation in use; none on one that is not there or new."""
    if relation is not None and not relation.is_new:
        yield Hazard(relation=relation.name, rows=relation.rows, mode=mode, doing=doing)


REINDEX = LongWork(
    rows=(6,),
    work="builds the index anew",
    instead="PostgreSQL builds the index of an exclusion constraint only under this lock. Name the other indexes one by"
    " one, and allow this one in a quiet hour.",
)
REPACK = LongWork(
    rows=(44,),
    work="copies every row into a new file",
    instead="Repack the table with pg_repack, outside of the migrations.",
)
DOMAIN_CHECK = LongWork(
    rows=(42,),
    work="reads every row of each table that uses the domain",
    instead="Write NOT VALID, which holds for new rows at once, and allow VALIDATE CONSTRAINT in a"
    " quiet hour.",
    lifted_by=frozenset([QueuedChange.LESS]),
)
REFRESH = LongWork(
    rows=(45,),
    work="computes the view anew",
    instead="Create a unique index on columns of the view: then it is refreshed CONCURRENTLY.",
    lifted_by=frozenset([QueuedChange.KEY]),
)


DEFAULT_PARTITION = LongWork(
    rows=(36, 37),
    work="reads every row of the default partition, some of which may belong to the new one,",
    instead="Add a CHECK that excludes the bounds of the new partition to the default partition"
    " before: then nothing is read, and you can allow it. Where the role may make temporary tables (GRANT TEMPORARY ON"
    " DATABASE) that is done for you.",
)


def hazard_of_default_partition(parent: Relation | None, *, facts: Facts) -> Iterator[Hazard]:
    """Of a partition that is added to the parent, if that has a default partition in use."""
    default = parent.default_partition if parent is not None else None
    if default is not None and default.name not in facts.new:
        mode = LockMode.ACCESS_EXCLUSIVE
        yield Hazard(relation=default.name, rows=default.rows, mode=mode, doing=DEFAULT_PARTITION)


def hazards_of_statement(statement: Statement, *, facts: Facts) -> tuple[Hazard, ...]:
    """Of a statement that is run as it is written. ALTER TABLE: see `alter_table_hazards`."""
    hazards = HAZARDS_OF.get(type(statement.node))
    return tuple(hazards(statement.node, facts)) if hazards else ()


def breaking_changes_of_statement(
    statement: Statement, *, facts: Facts
) -> tuple[BreakingChange, ...]:
    """Names that the statement takes away (rows 27, 28 and 40)."""
    node = statement.node
    if isinstance(node, pb.RenameStmt):
        return tuple(_of_rename(node, facts))
    if isinstance(node, pb.AlterEnumStmt) and node.old_val:
        return (
            BreakingChange(
                relation=f"the type {strings(node.type_name)[-1]}",
                breaks=f"every query that names the value '{node.old_val}'",
                instead="Let it wait until the old release is gone: holdfast run --expand, and then holdfast"
                " finish. Or add the new value, write it from then on, change the rows that have the old one,"
                " and leave the old value where it is.",
            ),
        )
    return ()


def _of_rename(node: pb.RenameStmt, facts: Facts) -> Iterator[BreakingChange]:
    relation = facts.in_use(node.relation) if node.HasField("relation") else None
    if relation is None:
        return
    column = relation.column(node.subname)
    if node.rename_type == pb.OBJECT_COLUMN and column is not None and column.is_new:
        return  # no query can name what the revision itself has added
    if node.rename_type == pb.OBJECT_COLUMN and node.relation_type == pb.OBJECT_TABLE:
        yield BreakingChange(
            relation=str(relation.name),
            breaks=f"every query that names the column {node.subname}",
            instead="Run with both names until the old release is gone: holdfast run --expand, and then"
            " holdfast finish.",
        )
    elif node.rename_type == pb.OBJECT_TABLE:
        yield BreakingChange(
            relation=str(relation.name),
            breaks=f"every query that names the table {node.relation.relname}",
            instead="Run with both names until the old release is gone: holdfast run --expand, and then"
            " holdfast finish.",
        )


def _of_domain(node: pb.AlterDomainStmt, facts: Facts) -> Iterator[Hazard]:
    """The tables that use the domain are all that its facts know."""
    if reads_tables_of_domain(node):
        for table in {relation.oid: relation for relation in facts.relations.values()}.values():
            yield from hazard(table, DOMAIN_CHECK, mode=LockMode.SHARE)


def _of_reindex(node: pb.ReindexStmt, facts: Facts) -> Iterator[Hazard]:
    if has_option(node.params, name="concurrently"):
        return
    written = (node.relation.schemaname, node.relation.relname)
    index = facts.index_named(written)
    table = facts.relations.get((index.table.schema, index.table.name) if index else written)
    yield from hazard(table, REINDEX, mode=LockMode.SHARE)


def _of_vacuum(node: pb.VacuumStmt, facts: Facts) -> Iterator[Hazard]:
    if has_option(node.options, name="full"):
        for item in node.rels:
            yield from hazard(facts.relation(item.vacuum_relation.relation), REPACK)


def _of_cluster(node: pb.ClusterStmt, facts: Facts) -> Iterator[Hazard]:
    yield from hazard(facts.relation(node.relation), REPACK)


def _of_refresh(node: pb.RefreshMatViewStmt, facts: Facts) -> Iterator[Hazard]:
    if not node.concurrent:
        yield from hazard(facts.relation(node.relation), REFRESH)


def _of_create_table(node: pb.CreateStmt, facts: Facts) -> Iterator[Hazard]:
    """A partition takes ACCESS EXCLUSIVE on its parent, but for a moment: as measured by `test_instant`
    in tests/plan/test_duration.py, no row is read without a default partition (row 37)."""
    if node.HasField("partbound") and not node.partbound.is_default:
        parent = facts.relation(node.inh_relations[0].range_var)
        name = node.relation.relname
        if parent is None or facts.bound_of(parent, partition=name) is None:
            yield from hazard_of_default_partition(parent, facts=facts)


HAZARDS_OF: dict[type[Message], Callable[[Any, Facts], Iterator[Hazard]]] = {
    pb.AlterDomainStmt: _of_domain,
    pb.ClusterStmt: _of_cluster,
    pb.CreateStmt: _of_create_table,
    pb.RefreshMatViewStmt: _of_refresh,
    pb.ReindexStmt: _of_reindex,
    pb.VacuumStmt: _of_vacuum,
}
