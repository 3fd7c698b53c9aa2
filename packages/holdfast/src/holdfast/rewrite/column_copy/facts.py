"""The facts of a table one or more of whose columns change their type; `observe.changed_table` fills them in."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from holdfast.rewrite.names import QualifiedName


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedFunction:
    """A function in the expression of a conversion."""

    name: str
    volatility: str  # i, s or v, as pg_proc.provolatile
    is_built_in: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """The change of one column, as PostgreSQL has done it on an empty copy of the table.

    `probe` is a CHECK ((EXPRESSION) IS NULL) with every name in full. `error`: it could not.
    """

    column: str
    error: str | None = None
    is_postgresqls: bool = False  # the error is one of the statement, not of the trial
    rewrites: bool = False  # the rows
    rebuilt_indexes: tuple[str, ...] = ()
    new_type: str = ""
    collation: str | None = None
    compression: str = ""
    default: str | None = None  # after the change
    is_constrained_domain: bool = False
    probe: str = ""
    has_using: bool = False
    reads_whole_row: bool = False
    reads_clock: bool = False
    functions: tuple[UsedFunction, ...] = ()
    is_steady: bool = False  # depends on the row alone, not on a setting of the session

    @property
    def lasts(self) -> bool:
        """Whether PostgreSQL would rewrite every row or an index, under its lock."""
        return self.rewrites or bool(self.rebuilt_indexes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One privilege of one role."""

    privilege: str
    grantee: str
    is_grantable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangingColumn:
    """A column before its change."""

    name: str
    attnum: int
    not_null: bool
    not_null_name: str | None = None  # of the constraint, from PostgreSQL 18 on
    identity: str = ""  # a: ALWAYS, d: BY DEFAULT
    is_generated: bool = False
    default: str | None = None
    statistics_target: int | None = None
    options: tuple[str, ...] = ()
    comment: str | None = None
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DependentIndex:
    """An index that contains a changing column: as a key, in an expression or in its condition."""

    name: str
    definition: str
    is_unique: bool = False
    is_primary: bool = False
    is_clustered: bool = False
    is_replica_identity: bool = False
    is_valid: bool = True
    has_expressions: bool = False
    tablespace: str | None = None
    constraint: str | None = None
    constraint_definition: str | None = None
    is_deferrable: bool = False
    is_exclusion: bool = False  # also WITHOUT OVERLAPS
    comment: str | None = None
    constraint_comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DependentCheck:
    """A CHECK that names a changing column."""

    name: str
    definition: str
    is_validated: bool = True
    is_inherited: bool = False  # of a partition: its table has it
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DependentKey:
    """A foreign key from a changing column, or to one."""

    name: str
    table: QualifiedName
    references: QualifiedName
    definition: str
    is_own: bool  # of the table whose column changes
    points_here: bool  # to a changing column
    referenced: tuple[str, ...] = ()
    of_partitioned: bool = False
    is_inherited: bool = False  # of a partition: its table has it
    is_validated: bool = True
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DependentStatistics:
    """Extended statistics on a changing column."""

    schema: str
    name: str
    definition: str
    columns: tuple[str, ...]
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedSequence:
    """The sequence of a serial or identity column."""

    name: QualifiedName
    column: str
    is_identity: bool
    type: str
    start: int
    increment: int
    least: int
    greatest: int
    cache: int
    cycles: bool
    comment: str | None = None
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependent:
    """A view, policy, trigger or function that depends on a changing column."""

    what: str  # in PostgreSQL's words: rule _RETURN on view v
    identity: str  # as pg_identify_object() writes it: "_RETURN" on public.v


@dataclass(frozen=True, slots=True, kw_only=True)
class UserTrigger:
    """A trigger on the table that PostgreSQL has not made for itself."""

    name: str
    enabled: str  # pg_trigger.tgenabled: O, D, R or A
    fires_on_update: bool
    is_ours: bool = False  # it keeps two names of a column equal until `holdfast finish`


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnTrigger:
    """A trigger on UPDATE OF a changing column."""

    name: str
    definition: str
    enabled: str
    is_constraint: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NotValid:
    """A NOT VALID constraint, which existing rows may violate, and its condition."""

    name: str
    condition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedTable:
    """A table, its changing columns, and what depends on them. Definitions have every name in full."""

    table: QualifiedName
    oid: int
    server_major: int
    changes: tuple[Conversion, ...]
    columns: tuple[ChangingColumn, ...]
    is_stale: bool = (
        False  # statements that wait may change the answer: ask again when they have run
    )
    is_table: bool = True  # not partitioned
    is_foreign: bool = False
    is_owned: bool = True  # by the role that migrates, or one that it is a member of
    parent: int | None = None  # of a partition: the oid of what it is a partition of
    is_late: bool = False  # a partition that was not there when the copy was planned
    is_gone: bool = False  # a partition that is none any more
    partition_key: tuple[str, ...] = ()  # the changing columns that it is partitioned by
    partitions: tuple["ChangedTable", ...] = ()  # at any depth, each behind its parent
    is_typed: bool = False
    inherits: bool = False
    bytes: int = 0
    row_type_used_by: str | None = None
    generated: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    dependents: tuple[Dependent, ...] = ()  # that PostgreSQL does not change along
    triggers: tuple[UserTrigger, ...] = ()
    column_triggers: tuple[ColumnTrigger, ...] = ()
    has_update_rule: bool = False
    may_set_replica_role: bool = True
    hides_rows: bool = False  # row security applies to the migrator
    published_by: str | None = None  # with all columns
    not_valid: tuple[NotValid, ...] = ()
    checks: tuple[DependentCheck, ...] = ()
    indexes: tuple[DependentIndex, ...] = ()
    foreign_keys: tuple[DependentKey, ...] = ()
    statistics: tuple[DependentStatistics, ...] = ()
    sequences: tuple[OwnedSequence, ...] = ()
    taken: tuple[str, ...] = ()
    # The session's settings on which text depends.
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_partitioned(self) -> bool:
        """Whether its rows live in partitions."""
        return not (self.is_table or self.is_foreign)

    @property
    def below(self) -> tuple["ChangedTable", ...]:
        """Its partitions that still exist."""
        return tuple(part for part in self.partitions if not part.is_gone)

    @property
    def with_rows(self) -> tuple["ChangedTable", ...]:
        """The tables that contain its rows: itself, or its partitions."""
        return tuple(each for each in (self, *self.below) if not each.is_partitioned)

    def conversion(self, column: str) -> Conversion | None:
        """Give the change of this column."""
        return next((change for change in self.changes if change.column == column), None)

    def column(self, name: str) -> ChangingColumn:
        """Give a changing column by its name."""
        return next(column for column in self.columns if column.name == name)
