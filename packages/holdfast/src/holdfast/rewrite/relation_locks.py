"""A lock on a relation, unless it does not exist or nobody uses it yet."""

from collections.abc import Iterable, Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName


def lock(relation: Relation | None, *, mode: LockMode) -> Iterator[Lock]:
    """The lock on a relation in use."""
    if relation is not None and not relation.is_new:
        yield Lock(mode=mode, relation=relation.name)


def lock_name(name: QualifiedName, *, mode: LockMode, facts: Facts) -> Iterator[Lock]:
    """The lock on a relation of which only the name is known."""
    if name not in facts.new and not name.schema.startswith("pg_temp"):
        yield Lock(mode=mode, relation=name)


def lock_each(names: Iterable[QualifiedName], *, mode: LockMode, facts: Facts) -> Iterator[Lock]:
    """The lock on several of them."""
    for name in names:
        yield from lock_name(name, mode=mode, facts=facts)


def lock_with_descendants(written: pb.RangeVar, *, mode: LockMode, facts: Facts) -> Iterator[Lock]:
    """The lock on a relation and, unless it is written with ONLY, on all that inherit from it."""
    relation = facts.relation(written)
    if relation is not None:
        yield from lock(relation, mode=mode)
        below = relation.descendants if written.inh else ()
        yield from lock_each(below, mode=mode, facts=facts)
