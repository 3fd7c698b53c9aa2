"""A unit: statements of a queue that are executed as one, so that nobody sees one without the others.

An entry is what waits: one statement, with what was known of its relations when it was sent.
"""

from dataclasses import dataclass

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.statement import Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEntry:
    """A statement that waits, with the facts known when it was sent; none if nobody had to ask."""

    statement: Statement
    facts: Facts | None = None
    position: int = 0  # among those that wait, as the function has sent them

    @property
    def tables(self) -> frozenset[QualifiedName]:
        """The relations that it names, and the tables of the indexes that it names."""
        return tables_of(self.facts) if self.facts is not None else frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Entries that are executed as one: everything that can be in a transaction is in the same one.

    What lasts of them (a build, a validation) runs before or behind that transaction; see `unit_steps`.
    """

    entries: tuple[QueueEntry, ...]
    is_whole: bool = False  # also the executions of one statement with several parameters
    joins_open: bool = False  # it completes what the open transaction has begun


def tables_of(facts: Facts) -> frozenset[QualifiedName]:
    """Give the relations that facts are about."""
    return frozenset(relation.name for relation in facts.relations.values())
