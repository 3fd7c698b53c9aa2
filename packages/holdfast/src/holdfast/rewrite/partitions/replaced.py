"""Replaces an index or UNIQUE of a partitioned table by another of its name, in one moment.

It is made partition by partition before, under another name; in the moment in which its forerunner goes it gets the
names that PostgreSQL would have chosen then, on the table and on each partition.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.index_build import index_name, index_of, joined
from holdfast.rewrite.literals import literal
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName, free_name, quote
from holdfast.rewrite.partitions.index import WantedIndex, index_steps, names_of_indexes
from holdfast.rewrite.queue.parts_of_unit import MadeBefore
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import TransactionStep, do_block
from holdfast.rewrite.tree import constraint_of, copy, qualify, strings

# One row: an index below INDEX_OF_TABLE, its schema, and its name without the number.
LATE = (
    "DECLARE late record; BEGIN FOR late IN SELECT c.oid::regclass AS index, relnamespace AS schema,"
    " substring(relname FROM '^(.*_(?:idx|key))[0-9]+$') AS free"
    " FROM pg_catalog.pg_partition_tree(INDEX_OF_TABLE) JOIN pg_catalog.pg_class c ON c.oid = relid"
    " WHERE relname NOT IN (KNOWN) LOOP"
    " IF late.free IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_class"
    " WHERE relname = late.free AND relnamespace = late.schema) THEN"
    " EXECUTE format('ALTER INDEX %s RENAME TO %I', late.index, late.free); END IF; END LOOP; END"
)


def is_built_on_partitions(statement: Statement, *, facts: Facts) -> bool:
    """Whether it makes one on a partitioned table all partitions of which are ours."""
    return _wanted(statement, facts=facts) is not None


def built_on_partitions(
    statement: Statement, *, facts: Facts, at_first: Facts, built: Collection[str]
) -> MadeBefore | None:
    """Give what is built; None for other statements. `facts`: without what is replaced; `at_first`: with it."""
    found = _wanted(statement, facts=facts)
    if found is None:
        return None
    wanted, table = found
    name = QualifiedName(schema=table.name.schema, name=wanted.node.idxname)
    there = {index.name for each in at_first.relations.values() for index in each.indexes}
    if name not in there:
        return MadeBefore(before=index_steps(wanted, table=table, facts=facts))
    taken = facts.taken_in(name.schema) | {each.name for each in there} | set(built)
    new = _called(wanted, free_name(name.name, label="new", taken=taken))
    qualify(new.node.relation, table.name)
    gone = _parts_of(name, table=table)
    now_names = names_of_indexes(new, table=table, facts=facts)
    then_names = names_of_indexes(
        wanted, table=_without(table, gone), facts=_without_taken(facts, gone)
    )
    return MadeBefore(
        before=index_steps(new, table=table, facts=facts),
        moment=(
            TransactionStep(
                sql=(_of_late_partitions(new, now_names), *_renamed(now_names, then_names)),
                locks=(Lock(mode=LockMode.ACCESS_EXCLUSIVE, relation=table.name),),
            ),
        ),
    )


def _wanted(statement: Statement, *, facts: Facts) -> tuple[WantedIndex, Relation] | None:
    node = statement.node
    if not isinstance(node, pb.IndexStmt | pb.AlterTableStmt) or not node.relation.inh:
        return None
    table = facts.in_use(node.relation)
    if table is None or not table.is_partitioned:
        return None
    if table.has_foreign_partition or table.partition_of_another is not None:
        return None
    taken = facts.taken_in(table.name.schema)
    if isinstance(node, pb.IndexStmt):
        if node.concurrent or node.if_not_exists:
            return None
        return _called(WantedIndex(node=node), node.idxname or index_name(node, taken=taken)), table
    if len(node.cmds) != 1 or node.cmds[0].alter_table_cmd.subtype != pb.AT_AddConstraint:
        return None
    constraint = constraint_of(node.cmds[0].alter_table_cmd)
    if (
        constraint.contype != pb.CONSTR_UNIQUE
        or constraint.indexname
        or constraint.without_overlaps
    ):
        return None
    columns = joined([*strings(constraint.keys), *strings(constraint.including)])
    name = constraint.conname or free_name(
        table.name.name, second=columns, label="key", taken=taken
    )
    index = index_of(constraint, relation=node.relation, name=name)
    return _called(WantedIndex(node=index, constraint=constraint), name), table


def _called(wanted: WantedIndex, name: str) -> WantedIndex:
    node = copy(wanted.node)
    node.idxname = name
    constraint = copy(wanted.constraint) if wanted.constraint is not None else None
    if constraint is not None:
        constraint.conname = name
    return WantedIndex(node=node, constraint=constraint)


def _parts_of(index: QualifiedName, *, table: Relation) -> frozenset[QualifiedName]:
    """Give the index, and those of partitions that belong to it."""
    names = {index}
    for partition in table.partitions:
        names |= {each.name for each in partition.indexes if each.parent in names}
    return frozenset(names)


def _without(table: Relation, gone: Collection[QualifiedName]) -> Relation:
    partitions = tuple(part.without_indexes(gone) for part in table.partitions)
    return replace(table, partitions=partitions)


def _without_taken(facts: Facts, gone: Collection[QualifiedName]) -> Facts:
    left = {
        schema: names - {each.name for each in gone if each.schema == schema}
        for schema, names in facts.taken_names.items()
    }
    return replace(facts, taken_names=left)


def _of_late_partitions(new: WantedIndex, known: dict[QualifiedName, QualifiedName]) -> str:
    """Rename indexes on partitions created meanwhile, which PostgreSQL has given a number."""
    index = QualifiedName(schema=new.node.relation.schemaname, name=new.node.idxname)
    names = ", ".join(literal(name.name) for name in known.values())
    return do_block((LATE.replace("INDEX_OF_TABLE", literal(str(index))).replace("KNOWN", names),))


def _renamed(
    now: dict[QualifiedName, QualifiedName], then: dict[QualifiedName, QualifiedName]
) -> Iterator[str]:
    """Rename an index; the constraint of an index is renamed with it."""
    for table, name in now.items():
        if then[table] != name:
            yield f"ALTER INDEX IF EXISTS {name} RENAME TO {quote(then[table].name)}"
