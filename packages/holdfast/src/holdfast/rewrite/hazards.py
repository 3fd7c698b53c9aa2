"""Hazards: why a statement is refused on a table in use, and what to write instead.

Either it holds a lock for as long as the table is large, or it breaks the application that runs.

The rows are those of the table of operations in docs/operations.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from holdfast.errors import HoldfastError
from holdfast.errors.statement import BreaksRunningCode, LongStatement
from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.locks import LockMode
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.queue.queued_changes import QueuedChange
from holdfast.rewrite.statement import Statement, shortened


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
    """A lock on a relation in use that lasts the longer the more rows there are; without relation, on every table."""

    relation: QualifiedName | None
    rows: int
    mode: LockMode
    doing: LongWork

    @property
    def lifted_by(self) -> frozenset[QueuedChange]:
        """The queued changes that may remove this hazard."""
        return self.doing.lifted_by

    def error(self, statement: Statement) -> HoldfastError:
        """The error that refuses a statement with this hazard."""
        return LongStatement(
            statement=shortened(statement.sql),
            relation=str(self.relation or "every table of the database"),
            mode=self.mode.value,
            work=self.doing.work,
            blocks=self.mode.blocks,
            rows=self.rows,
            instead=self.doing.instead,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakingChange:
    """A name that running code uses and that disappears."""

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
    """Give the hazard of a relation in use; none if it does not exist or is new."""
    if relation is not None and not relation.is_new:
        yield Hazard(relation=relation.name, rows=relation.rows, mode=mode, doing=doing)


def by_its_owner(doing: LongWork, *, table: Relation) -> LongWork:
    """Give the work, with the advice for a partition of another role, whose owner has to act first."""
    other = table.partition_of_another
    if other is None:
        return doing
    instead = (
        f"It is made partition by partition, which only the owner of each may do, and {other.name} belongs to another"
        f" role: GRANT {quote(other.owner)} to the role that migrates, or ALTER TABLE {other.name} OWNER TO it."
    )
    return replace(doing, instead=instead)


DEFAULT_PARTITION = LongWork(
    rows=(36, 37),
    work="reads every row of the default partition, some of which may belong to the new one,",
    instead="Add a CHECK that excludes the bounds of the new partition to the default partition"
    " before: then nothing is read, and you can allow it. Where the role may make temporary tables (GRANT TEMPORARY ON"
    " DATABASE) that is done for you.",
)


def hazard_of_default_partition(parent: Relation | None, *, facts: Facts) -> Iterator[Hazard]:
    """Give the hazard of adding a partition to a parent whose default partition is in use."""
    default = parent.default_partition if parent is not None else None
    if default is not None and default.name not in facts.new:
        mode = LockMode.ACCESS_EXCLUSIVE
        yield Hazard(relation=default.name, rows=default.rows, mode=mode, doing=DEFAULT_PARTITION)
