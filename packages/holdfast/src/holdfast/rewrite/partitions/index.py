"""Makes an index or key on a partitioned table: ON ONLY the table, CONCURRENTLY on each partition, then attached.

The index of the table turns valid by itself with the last ATTACH. A partition that is created meanwhile gets its index
from PostgreSQL. https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-MAINTENANCE
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import ConstraintKind, Facts, Index, Relation, RelationKind
from holdfast.rewrite.index_build import (
    build_index,
    column_names,
    joined,
    locks_of_build,
    over_index,
)
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName, free_name
from holdfast.rewrite.partitions.same_index import is_same_index, parsed_index
from holdfast.rewrite.rewriting import (
    add_constraint,
    alter_table,
    drop_constraint_if_exists,
    transaction,
)
from holdfast.rewrite.steps import PartitionOf, PartitionsStep, Step, TransactionStep
from holdfast.rewrite.tree import constraint_of, copy, parsed_constraint, qualify, sql

KINDS = {
    pb.CONSTR_PRIMARY: (ConstraintKind.PRIMARY_KEY, "pkey"),
    pb.CONSTR_UNIQUE: (ConstraintKind.UNIQUE, "key"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedIndex:
    """The index that the author wants on the whole table, by its final name, with its constraint if it has one."""

    node: pb.IndexStmt
    constraint: pb.Constraint | None = None

    @property
    def label(self) -> str:
        """The end of the names that PostgreSQL chooses for the indexes of the partitions."""
        return KINDS[self.constraint.contype][1] if self.constraint is not None else "idx"

    def statement(self, table: QualifiedName) -> pb.AlterTableStmt | pb.IndexStmt:
        """Write the statement that makes it on this table and all its partitions."""
        if self.constraint is not None:
            return alter_table(table, add_constraint(self.constraint))
        node = copy(self.node)
        node.concurrent, node.if_not_exists = False, False
        qualify(node.relation, table)
        return node

    def same_on(self, partition: Relation, *, node: pb.IndexStmt) -> Index | None:
        """Find the partition's index that PostgreSQL would take as a part of this one; `node` is the model."""
        constraints = {found.name: found.kind for found in partition.constraints}
        for index in partition.indexes:
            if index.parent is not None or not index.is_valid:
                continue
            kind = constraints.get(index.constraint or "")
            if self.constraint is not None and kind is not KINDS[self.constraint.contype][0]:
                continue
            if is_same_index(index, node):
                return index
        return None

    def name_on(self, partition: Relation, *, taken: frozenset[str]) -> str:
        """Give the name that PostgreSQL would choose for the index on this partition."""
        second = "" if self.label == "pkey" else joined(column_names(self.node))
        return free_name(partition.name.name, second=second, label=self.label, taken=taken)


def index_steps(wanted: WantedIndex, *, table: Relation, facts: Facts) -> tuple[Step, ...]:
    """Give the lacking steps on the table and its partitions, and another look at the end; none if all is there."""
    plan = _Plan(wanted=wanted, table=table, facts=facts.with_partitions_of(table))
    look = PartitionsStep(table=table.name, sql=sql(wanted.statement(table.name)))
    if table.has_foreign_partition:
        return () if is_valid(wanted, table=table) else (*plan.builds(), look, plan.taking_over())
    steps = [*plan.at_the_top()]
    below = [*plan.below()]
    if steps and below:
        steps.append(look)  # its index tells from now on which one of a partition is the same
    return (*steps, *below, look) if steps or below else ()


def lacking_indexes(wanted: WantedIndex, *, table: Relation, facts: Facts) -> tuple[Step, ...]:
    """Give the lacking steps at a look; only the builds, if the last step takes over the partitions' indexes."""
    if not table.has_foreign_partition:
        return index_steps(wanted, table=table, facts=facts)
    plan = _Plan(wanted=wanted, table=table, facts=facts.with_partitions_of(table))
    look = PartitionsStep(table=table.name, sql=sql(wanted.statement(table.name)))
    builds = tuple(plan.builds())
    return (*builds, look) if builds else ()


def names_of_indexes(
    wanted: WantedIndex, *, table: Relation, facts: Facts
) -> dict[QualifiedName, QualifiedName]:
    """Give the name of the index on the table and on each partition, existing or planned."""
    plan = _Plan(wanted=wanted, table=table, facts=facts.with_partitions_of(table))
    for _ in (*plan.at_the_top(), *plan.below()):
        pass  # names are chosen where steps are planned
    return plan.indexes


def is_valid(wanted: WantedIndex, *, table: Relation) -> bool:
    """Whether PostgreSQL says that it exists on all partitions."""
    return any(index.name.name == wanted.node.idxname and index.is_valid for index in table.indexes)


def index_of_partition(
    index: Index,
    *,
    of: Relation,
    partition: Relation,
    facts: Facts,
    taken: set[str],
    used: list[Index],
) -> tuple[tuple[Step, ...], Index | None]:
    """Give the steps for an index that a partition must have when it is attached; or its own that serves.

    `taken` are names that were chosen for it before, `used` the indexes that serve others.
    """
    node = parsed_index(index)
    constraint = _constraint_of(index, of=of, node=node)
    wanted = WantedIndex(node=node, constraint=constraint)
    left = tuple(own for own in partition.indexes if own not in used)
    same = wanted.same_on(replace(partition, indexes=left), node=node)
    if same is not None:
        return (), same
    schema = partition.name.schema
    name = wanted.name_on(partition, taken=facts.taken_in(schema) | taken)
    taken.add(name)
    node.idxname, node.relation.inh = name, True
    if partition.is_partitioned:
        if constraint is not None:
            constraint.conname = name
        return index_steps(wanted, table=partition, facts=facts), None
    build = build_index(node, table=partition)
    if constraint is None:
        return (build,), None
    command = add_constraint(over_index(constraint, name=name, index=name))
    return (build, transaction(alter_table(partition.name, command), facts=facts)), None


def _constraint_of(index: Index, *, of: Relation, node: pb.IndexStmt) -> pb.Constraint | None:
    found = of.constraint(index.constraint) if index.constraint is not None else None
    return None if found is None else parsed_constraint(found.definition, name=found.name)


@dataclass(kw_only=True)
class _Plan:
    """The indexes by their tables, as far as they exist or are planned, and the names that they take."""

    wanted: WantedIndex
    table: Relation
    facts: Facts
    indexes: dict[QualifiedName, QualifiedName] = field(default_factory=dict)
    chosen: dict[str, set[str]] = field(default_factory=dict)

    def at_the_top(self) -> Iterator[Step]:
        name = QualifiedName(schema=self.table.name.schema, name=self.wanted.node.idxname)
        self.indexes[self.table.name] = name
        if self._known(name) is None:
            yield self._only(self.table, name=name)

    def builds(self) -> Iterator[Step]:
        """Build on each partition by itself: with a foreign table among them, ON ONLY would never become valid."""
        own = QualifiedName(schema=self.table.name.schema, name=self.wanted.node.idxname)
        self.indexes[self.table.name] = own
        for partition in self.table.partitions:
            if partition.kind is RelationKind.TABLE and self._same(partition) is None:
                yield self._built(partition, self._chosen_name(partition))

    def taking_over(self) -> TransactionStep:
        """Run the statement itself, which finds the partitions' indexes and builds none."""
        node = self.wanted.statement(self.table.name)
        locks = locks_of_build(node, self.facts) if isinstance(node, pb.IndexStmt) else ()
        return transaction(node, facts=self.facts, locks=locks, undo=self._undo())

    def below(self) -> Iterator[Step]:
        for partition in self.table.partitions:
            parent = self.indexes[partition.partition_of or self.table.name]
            if partition.kind is RelationKind.FOREIGN_TABLE:
                continue  # PostgreSQL leaves it out
            attached = next((i for i in partition.indexes if i.parent == parent), None)
            same = attached or self._same(partition)
            name = same.name if same is not None else self._chosen_name(partition)
            self.indexes[partition.name] = name
            if attached is None:
                make = self._make_only if partition.is_partitioned else self._build
                yield from (
                    self._attach(partition, name, parent) if same else make(partition, name, parent)
                )

    def _make_only(
        self, partition: Relation, name: QualifiedName, parent: QualifiedName
    ) -> Iterator[Step]:
        """Make the index of a sub-partitioned table, in the transaction that attaches it: nothing is built."""
        only = self._only(partition, name=name)
        (attach,) = self._attach(partition, name, parent)
        locks = (*only.locks, *attach.locks)
        yield replace(attach, sql=(*only.sql, *attach.sql), locks=locks)

    def _build(
        self, partition: Relation, name: QualifiedName, parent: QualifiedName
    ) -> Iterator[Step]:
        yield self._built(partition, name)
        constraint = self.wanted.constraint
        if constraint is not None:
            # In a transaction of its own: users wait no longer than for a table without partitions.
            command = add_constraint(over_index(constraint, name=name.name, index=name.name))
            add = transaction(alter_table(partition.name, command), facts=self.facts)
            yield replace(add, only_for=self._is_below(partition))
        yield from self._attach(partition, name, parent)

    def _built(self, partition: Relation, name: QualifiedName) -> Step:
        node = copy(self.wanted.node)
        node.idxname = name.name
        node.relation.inh = True
        return replace(build_index(node, table=partition), only_for=self._is_below(partition))

    def _attach(
        self, partition: Relation, name: QualifiedName, parent: QualifiedName
    ) -> Iterator[TransactionStep]:
        yield TransactionStep(
            sql=(f"ALTER INDEX {parent} ATTACH PARTITION {name}",),
            locks=(Lock(mode=LockMode.ACCESS_EXCLUSIVE, relation=name),),
            undo=self._undo(),
            only_for=self._is_below(partition),
        )

    def _only(self, table: Relation, *, name: QualifiedName) -> TransactionStep:
        """Give the CREATE INDEX on the table itself, which has no rows."""
        node = self.wanted.statement(table.name)
        node.relation.inh = False
        if isinstance(node, pb.IndexStmt):
            node.idxname = name.name
        else:
            _named(node, name.name)
        locks = locks_of_build(node, self.facts) if isinstance(node, pb.IndexStmt) else ()
        return transaction(node, facts=self.facts, locks=locks, undo=self._undo())

    def _undo(self) -> tuple[str, ...]:
        """Drop the table's index, and with it those that are attached to it."""
        name = self.indexes[self.table.name]
        if self.wanted.constraint is not None:
            return (drop_constraint_if_exists(self.table.name, name=name.name),)
        return (f"DROP INDEX IF EXISTS {name}",)

    def _same(self, partition: Relation) -> Index | None:
        """Find the partition's index that PostgreSQL would take as a part."""
        known = self._known(self.indexes[self.table.name])
        node = self.wanted.node
        if known is not None and known.definition:
            node = parsed_index(known)
        return self.wanted.same_on(partition, node=node)

    def _known(self, name: QualifiedName) -> Index | None:
        return next((index for index in self.table.indexes if index.name == name), None)

    def _chosen_name(self, partition: Relation) -> QualifiedName:
        schema = partition.name.schema
        chosen = self.chosen.setdefault(schema, {self.wanted.node.idxname})
        taken = self.facts.taken_in(schema) | chosen
        name = self.wanted.name_on(partition, taken=taken)
        chosen.add(name)
        return QualifiedName(schema=schema, name=name)

    def _is_below(self, partition: Relation) -> PartitionOf:
        return PartitionOf(partition=partition.name, table=self.table.name)


def _named(node: pb.AlterTableStmt, name: str) -> None:
    constraint_of(node.cmds[0].alter_table_cmd).conname = name
