"""A new enum for a column of a partitioned table is refused with the queue, before anything of it has run."""

from datetime import date

import pytest

from holdfast.errors.statement import LongStatement
from holdfast.rewrite.facts import Column, Facts, Relation, RelationKind
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.queue.plan_queue import plan_queue
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.statement import parse

TODAY = date(2026, 1, 1)
MADE = "ALTER TYPE e RENAME TO old; CREATE TYPE e AS ENUM ('b');"
CHANGED = "ALTER TABLE t ALTER c TYPE e USING c::text::e"


def planned(script: str, *, kind: RelationKind) -> int:
    table = Relation(
        oid=1,
        name=QualifiedName(schema="public", name="t"),
        kind=kind,
        columns=(Column(name="c", type="e"),),
    )
    facts = Facts(server_major=18, relations={("", "t"): table})
    entries = [
        QueueEntry(statement=each, facts=facts, position=place)
        for place, each in enumerate(parse(script))
    ]
    return len(plan_queue(entries, today=TODAY))


def test_refused_with_the_queue() -> None:
    """Whatever comes before and behind it: the statement that would write every row is named."""
    script = f"{MADE} {CHANGED}; DROP TYPE old"
    with pytest.raises(LongStatement) as raised:
        planned(script, kind=RelationKind.PARTITIONED_TABLE)
    assert raised.value.statement == CHANGED


def test_what_is_not() -> None:
    """A table without partitions is copied; an author may allow it; another type is PostgreSQL's to try."""
    assert planned(f"{MADE} {CHANGED}; DROP TYPE old", kind=RelationKind.TABLE)
    allowed = f"{MADE} {CHANGED} -- holdfast: allow small until 2027-01-01\n; DROP TYPE old"
    assert planned(allowed, kind=RelationKind.PARTITIONED_TABLE)
    other = f"{MADE} ALTER TABLE t ALTER c TYPE text; DROP TYPE old"
    assert planned(other, kind=RelationKind.PARTITIONED_TABLE)
