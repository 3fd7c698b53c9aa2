"""The facts: what is known of the relations that a statement names, just before it runs.

`observe.catalog` fills it in, tests write it by hand.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.column_copy.facts import ChangedTable
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.statement import written_name
from holdfast.rewrite.waiting import Recorded, Waiting


class RelationKind(Enum):
    """The kind of a relation: pg_class.relkind."""

    TABLE = "r"
    PARTITIONED_TABLE = "p"
    INDEX = "i"
    PARTITIONED_INDEX = "I"
    VIEW = "v"
    MATERIALIZED_VIEW = "m"
    SEQUENCE = "S"
    FOREIGN_TABLE = "f"
    COMPOSITE_TYPE = "c"
    TOAST_TABLE = "t"


class ConstraintKind(Enum):
    """The kind of a constraint: pg_constraint.contype."""

    CHECK = "c"
    FOREIGN_KEY = "f"
    NOT_NULL = "n"
    PRIMARY_KEY = "p"
    TRIGGER = "t"
    UNIQUE = "u"
    EXCLUSION = "x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column; its type as format_type() writes it: `character varying(50)`."""

    name: str
    type: str
    not_null: bool = False
    has_default: bool = False
    is_generated: bool = False
    is_virtual: bool = False  # generated when it is read, since 18
    is_identity: bool = False
    time_default: str = ""  # its default, where that asks for the time
    has_uneven_default: bool = False  # of now(), or of a function that may read tables
    is_new: bool = False  # the revision itself has added it: nobody uses it yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """A constraint of a table; its definition as pg_get_constraintdef() writes it."""

    name: str
    kind: ConstraintKind
    columns: tuple[str, ...]
    definition: str
    comment: str | None = None
    is_validated: bool = True
    references: QualifiedName | None = None
    is_of_parent: bool = False  # of a partition: it is a part of the constraint of the table above


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index; `columns` are all it reads, those of expressions and of its predicate included."""

    name: QualifiedName
    table: QualifiedName
    columns: tuple[str, ...]
    definition: str
    is_valid: bool = True
    is_unique: bool = False
    is_partitioned: bool = False
    has_expressions: bool = False
    constraint: str | None = None
    keys: tuple[str, ...] = ()  # its columns without those it only includes, in its order
    parent: QualifiedName | None = None  # the index of the partitioned table that it belongs to

    @property
    def tells_rows_apart(self) -> bool:
        """Whether no two rows can have the same key, except for NULL."""
        return self.is_unique and self.is_valid and bool(self.keys) and not self.has_expressions


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A foreign key of another table that references this one."""

    table: QualifiedName
    constraint: str
    columns: tuple[str, ...]
    definition: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultPartition:
    """The partition for rows that no other takes; adding a partition makes PostgreSQL scan it."""

    name: QualifiedName
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionBound:
    """The condition that the rows of a partition satisfy which a statement adds, in PostgreSQL's words."""

    parent: QualifiedName
    partition: str  # without its schema
    condition: str
    above: str | None = None  # the condition of the parent, where that is a partition itself

    @property
    def excluded(self) -> str:
        """The condition of the rows that stay in the default partition."""
        return f"NOT {self.condition}"

    @property
    def whole(self) -> str:
        """The full condition of the partition's rows."""
        return self.condition if self.above is None else f"({self.above} AND {self.condition})"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnumInUse:
    """An enum on which only columns and their defaults depend; its values are in their order."""

    name: QualifiedName
    labels: tuple[str, ...]
    columns: frozenset[tuple[QualifiedName, str]] = frozenset()  # table and column, also of arrays


@dataclass(frozen=True, slots=True, kw_only=True)
class DependentView:
    """A view or materialized view that reads columns of this relation."""

    name: QualifiedName
    columns: tuple[str, ...]


class PlacementKind(Enum):
    """How the rows of a table are spread over the nodes of a Citus cluster."""

    DISTRIBUTED = "distributed"
    REFERENCE = "reference"
    LOCAL = "local"  # on the coordinator, with a foreign key to a reference table or from one


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where Citus keeps a table: `column` decides on which shard a row lives; "" if there is only one shard."""

    kind: PlacementKind
    column: str = ""
    colocation: int = 0  # tables with the same number have their shards together
    is_automatic: bool = False  # known to Citus only for its foreign keys
    has_triggers: bool = False  # citus.enable_unsafe_triggers


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A table, view, sequence or index with what a plan needs to know of it."""

    oid: int
    name: QualifiedName
    kind: RelationKind
    is_new: bool = False
    rows: int = 0
    bytes: int = 0
    columns: tuple[Column, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    indexes: tuple[Index, ...] = ()
    referenced_by: tuple[Reference, ...] = ()
    triggers: tuple[str, ...] = ()
    update_triggers: tuple[str, ...] = ()  # those that fire on an UPDATE of a column that is new
    descendants: tuple[QualifiedName, ...] = ()  # partitions and inheriting tables, at any depth
    dependent_views: tuple[DependentView, ...] = ()
    partition_of: QualifiedName | None = None
    partitions: tuple[
        "Relation", ...
    ] = ()  # at any depth, each behind its parent; where they were asked for
    default_partition: DefaultPartition | None = None
    is_populated: bool = True  # false for a materialized view that was never refreshed
    has_uneven_checks: bool = False  # a CHECK calls a function that may read tables
    published_by: str | None = None
    placement: Placement | None = None  # None: a table of PostgreSQL alone
    owner: str = ""
    is_owned: bool = True  # by the role that migrates, or one that it is a member of

    @property
    def partition_of_another(self) -> "Relation | None":
        """A partition that another role owns, if they were asked for: only that role may change it by itself."""
        return next((part for part in self.partitions if not part.is_owned), None)

    @property
    def is_partitioned(self) -> bool:
        """Whether its rows live in partitions."""
        return self.kind is RelationKind.PARTITIONED_TABLE

    @property
    def has_foreign_partition(self) -> bool:
        """Whether one of its partitions, if they were asked for, is a foreign table."""
        return any(part.kind is RelationKind.FOREIGN_TABLE for part in self.partitions)

    def column(self, name: str) -> Column | None:
        """Give the column of this name."""
        return next((column for column in self.columns if column.name == name), None)

    def constraint(self, name: str) -> Constraint | None:
        """Give the constraint of this name."""
        return next((found for found in self.constraints if found.name == name), None)

    def without_constraints(self, dropped: Collection[tuple[QualifiedName, str]]) -> "Relation":
        """Give the relation without these constraints, its own or those that reference it."""
        own = (found for found in self.constraints if (self.name, found.name) not in dropped)
        pointing = (
            found for found in self.referenced_by if (found.table, found.constraint) not in dropped
        )
        return replace(self, constraints=tuple(own), referenced_by=tuple(pointing))

    def without_indexes(self, dropped: Collection[QualifiedName]) -> "Relation":
        """Give the relation without these of its indexes."""
        left = tuple(index for index in self.indexes if index.name not in dropped)
        return replace(self, indexes=left)

    def row_key(self) -> tuple[Column, ...]:
        """Give the columns that tell its rows apart: of the primary key, or of a unique index without NULL."""
        columns = {column.name: column for column in self.columns}
        candidates = sorted(self.indexes, key=lambda index: index.constraint != self._primary_key())
        for index in candidates:
            key = tuple(columns[name] for name in index.keys if name in columns)
            if index.tells_rows_apart and all(column.not_null for column in key):
                return key
        return ()

    def _primary_key(self) -> str | None:
        keys = (found for found in self.constraints if found.kind is ConstraintKind.PRIMARY_KEY)
        return next((found.name for found in keys), None)

    def foreign_keys(self) -> tuple[Constraint, ...]:
        """Give the foreign keys of the table itself, not those that reference it."""
        return tuple(
            constraint
            for constraint in self.constraints
            if constraint.kind is ConstraintKind.FOREIGN_KEY
        )


class Releases(Enum):
    """For how many releases of the application a revision is run."""

    ONE = "everything is done at once"
    TWO = "what only the old release uses waits for `holdfast finish`"
    BACK = "the revision is reverted: what waits of it is taken back"


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBySide:
    """What two releases on one schema mean for a statement."""

    releases: Releases = Releases.ONE
    recorded: tuple[Recorded, ...] = ()  # what waits since an earlier transaction
    ahead: tuple[Waiting, ...] = ()  # what will wait once the queue ahead of the statement has run
    tables: tuple[ChangedTable, ...] = ()  # of whose columns one is dropped or renamed

    def table(self, name: QualifiedName) -> ChangedTable | None:
        """Give what is known of a table that loses or renames a column."""
        return next((found for found in self.tables if found.table == name), None)

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """All that waits for `finish`: what is recorded, and what earlier statements leave."""
        return (*(found.waiting for found in self.recorded), *self.ahead)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRelations:
    """The relations and columns that the running revision has created: nobody uses them yet.

    Followed by name (`rewrite.new_relations`), because a queued CREATE TABLE is in no catalog yet.
    """

    names: frozenset[QualifiedName] = frozenset()
    columns: frozenset[tuple[QualifiedName, str]] = frozenset()  # of tables that were there before

    def __contains__(self, name: QualifiedName) -> bool:
        return name in self.names


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the catalog said, under the search_path of the session that will run the statement.

    Relations and indexes are found by what the statement writes: schema, or nothing, and name.
    """

    server_major: int
    current_schema: str = "public"
    time_zone: str = "UTC"
    relations: Mapping[tuple[str, str], Relation] = field(default_factory=dict)
    indexes: Mapping[tuple[str, str], Index] = field(default_factory=dict)
    new: NewRelations = field(default_factory=NewRelations)
    taken_names: Mapping[str, frozenset[str]] = field(default_factory=dict)  # by schema
    volatile_functions: frozenset[str] = frozenset()
    uneven_functions: frozenset[str] = frozenset()  # may give another result in another batch
    uneven_operators: frozenset[str] = frozenset()  # the same, by their symbol
    uneven_casts: frozenset[str] = frozenset()  # the same, by the type that they lead to
    now: str = ""  # of the revision, as PostgreSQL writes it
    constrained_domains: frozenset[str] = frozenset()
    defaulting_domains: frozenset[str] = frozenset()
    with_rows: frozenset[QualifiedName] = frozenset()  # known to have some, where it was asked
    bounds: tuple[
        PartitionBound, ...
    ] = ()  # one for each partition that is added to a table in use
    type_changes: tuple[ChangedTable, ...] = ()  # one for each ALTER COLUMN TYPE of a table in use
    side_by_side: SideBySide = field(default_factory=SideBySide)
    enums: tuple[EnumInUse, ...] = ()  # those that the statement renames or drops

    @property
    def is_on_citus(self) -> bool:
        """Whether one of the tables belongs to a Citus cluster."""
        return any(found.placement is not None for found in self.relations.values())

    def relation(self, written: pb.RangeVar) -> Relation | None:
        """Give the relation that a statement names."""
        return self.relations.get((written.schemaname, written.relname))

    def relation_named(self, parts: tuple[str, ...]) -> Relation | None:
        """Give the relation that a DROP or COMMENT names by its parts."""
        return self.relations.get(written_name(parts))

    def index_named(self, parts: tuple[str, ...]) -> Index | None:
        """Give the index that a statement names by its parts."""
        return self.indexes.get(written_name(parts))

    def without_constraints(self, dropped: Collection[tuple[QualifiedName, str]]) -> "Facts":
        """Give the facts once these constraints, by table and name, are gone."""
        left = {key: found.without_constraints(dropped) for key, found in self.relations.items()}
        return replace(self, relations=left)

    def without_indexes(self, dropped: Collection[QualifiedName]) -> "Facts":
        """Give the facts once these indexes are gone."""
        left = {key: found.without_indexes(dropped) for key, found in self.relations.items()}
        indexes = {key: index for key, index in self.indexes.items() if index.name not in dropped}
        return replace(self, relations=left, indexes=indexes)

    def bound_of(self, parent: Relation, *, partition: str) -> PartitionBound | None:
        """Give the condition of a partition that a statement adds; None if PostgreSQL has not said it."""
        found = (b for b in self.bounds if (b.parent, b.partition) == (parent.name, partition))
        return next(found, None)

    def with_partitions_of(self, table: Relation) -> "Facts":
        """Give the facts with each partition of the table among the named relations."""
        found = {(part.name.schema, part.name.name): part for part in table.partitions}
        return replace(self, relations={**self.relations, **found})

    def in_use(self, written: pb.RangeVar) -> Relation | None:
        """Give the relation that a statement names, if it exists and other sessions may be using it."""
        relation = self.relation(written)
        return None if relation is None or relation.is_new else relation

    def in_use_named(self, parts: tuple[str, ...]) -> Relation | None:
        """Give the relation that a DROP or COMMENT names, if other sessions may be using it."""
        relation = self.relation_named(parts)
        return None if relation is None or relation.is_new else relation

    def taken_in(self, schema: str) -> frozenset[str]:
        """Give names in the schema that a chosen name could collide with."""
        return self.taken_names.get(schema, frozenset())
