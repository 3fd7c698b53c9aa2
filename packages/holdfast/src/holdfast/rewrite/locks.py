"""Lock modes as the manual names them, and what each blocks; locks on relations in use.

https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from itertools import groupby
from typing import TYPE_CHECKING

from holdfast.rewrite.names import QualifiedName

if TYPE_CHECKING:  # a run on an empty database knows lock modes, and has no use for the parser
    from postgast import pg_query_pb2 as pb

    from holdfast.rewrite.facts import Facts, Relation

LOCK_WHILE_HOLDING = timedelta(
    milliseconds=1
)  # how long to wait for another, where users wait for the first


class LockMode(Enum):
    """The table-level lock modes, weakest first."""

    ACCESS_SHARE = "ACCESS SHARE"
    ROW_SHARE = "ROW SHARE"
    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    EXCLUSIVE = "EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"

    @property
    def strength(self) -> int:
        """The place in the manual's order, weakest first."""
        return list(LockMode).index(self)

    @property
    def in_catalog(self) -> str:
        """The name in pg_locks.mode: AccessExclusiveLock."""
        return "".join(word.capitalize() for word in self.value.split()) + "Lock"

    def conflicts_with(self, other: "LockMode") -> bool:
        """Whether one of them waits while another session holds the other."""
        return other in CONFLICTS[self]

    @property
    def blocks(self) -> str:
        """Say in plain words what cannot run while this lock is held."""
        return BLOCKS[self]

    @property
    def blocks_users(self) -> bool:
        """Whether ordinary reads or writes wait for it."""
        return self.conflicts_with(LockMode.ROW_EXCLUSIVE)


_WEAK = frozenset([LockMode.ACCESS_SHARE, LockMode.ROW_SHARE, LockMode.ROW_EXCLUSIVE])
_STRONG = frozenset(LockMode) - _WEAK

CONFLICTS: dict[LockMode, frozenset[LockMode]] = {
    LockMode.ACCESS_SHARE: frozenset([LockMode.ACCESS_EXCLUSIVE]),
    LockMode.ROW_SHARE: frozenset([LockMode.EXCLUSIVE, LockMode.ACCESS_EXCLUSIVE]),
    LockMode.ROW_EXCLUSIVE: _STRONG - {LockMode.SHARE_UPDATE_EXCLUSIVE},
    LockMode.SHARE_UPDATE_EXCLUSIVE: _STRONG,
    LockMode.SHARE: (_STRONG | {LockMode.ROW_EXCLUSIVE}) - {LockMode.SHARE},
    LockMode.SHARE_ROW_EXCLUSIVE: _STRONG | {LockMode.ROW_EXCLUSIVE},
    LockMode.EXCLUSIVE: frozenset(LockMode) - {LockMode.ACCESS_SHARE},
    LockMode.ACCESS_EXCLUSIVE: frozenset(LockMode),
}

BLOCKS: dict[LockMode, str] = {
    LockMode.ACCESS_SHARE: "DROP, TRUNCATE and most of ALTER TABLE",
    LockMode.ROW_SHARE: "DROP, TRUNCATE and most of ALTER TABLE",
    LockMode.ROW_EXCLUSIVE: "schema changes and index builds",
    LockMode.SHARE_UPDATE_EXCLUSIVE: "VACUUM and other schema changes",
    LockMode.SHARE: "writes",
    LockMode.SHARE_ROW_EXCLUSIVE: "writes",
    LockMode.EXCLUSIVE: "writes",
    LockMode.ACCESS_EXCLUSIVE: "reads and writes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock on a relation in use. Weaker modes than SHARE UPDATE EXCLUSIVE are never announced:
    every query takes them."""

    mode: LockMode
    relation: QualifiedName

    def __str__(self) -> str:
        return f"{self.mode.value} on {self.relation} (blocks {self.mode.blocks})"


def strongest(locks: tuple[Lock, ...]) -> tuple[Lock, ...]:
    """Give one lock per relation, the strongest, in the order in which the relations first appear."""
    modes: dict[QualifiedName, LockMode] = {}
    for lock in locks:
        held = modes.get(lock.relation, lock.mode)
        modes[lock.relation] = max(held, lock.mode, key=lambda mode: mode.strength)
    return tuple(Lock(mode=mode, relation=relation) for relation, mode in modes.items())


def lock(relation: "Relation | None", *, mode: LockMode) -> Iterator[Lock]:
    """Give the lock on a relation in use."""
    if relation is not None and not relation.is_new:
        yield Lock(mode=mode, relation=relation.name)


def lock_name(name: QualifiedName, *, mode: LockMode, facts: "Facts") -> Iterator[Lock]:
    """Give the lock on a relation of which only the name is known."""
    if name not in facts.new and not name.schema.startswith("pg_temp"):
        yield Lock(mode=mode, relation=name)


def lock_each(names: Iterable[QualifiedName], *, mode: LockMode, facts: "Facts") -> Iterator[Lock]:
    """Give the lock on each of several relations."""
    for name in names:
        yield from lock_name(name, mode=mode, facts=facts)


def lock_with_descendants(
    written: "pb.RangeVar", *, mode: LockMode, facts: "Facts"
) -> Iterator[Lock]:
    """Give the lock on a relation and, unless it is written with ONLY, on all that inherit from it."""
    relation = facts.relation(written)
    if relation is not None:
        yield from lock(relation, mode=mode)
        below = relation.descendants if written.inh else ()
        yield from lock_each(below, mode=mode, facts=facts)


def locking(locks: Sequence[Lock]) -> Iterator[str]:
    """Write the statements that take the locks, later ones with a shorter wait; those of one mode at once."""
    for lock in locks[:1]:
        yield f"LOCK TABLE ONLY {lock.relation} IN {lock.mode.value} MODE"
        yield f"SET LOCAL lock_timeout = {round(LOCK_WHILE_HOLDING.total_seconds() * 1000)}"
    for mode, group in groupby(locks[1:], key=lambda lock: lock.mode):
        tables = ", ".join(f"ONLY {lock.relation}" for lock in group)
        yield f"LOCK TABLE {tables} IN {mode.value} MODE"
