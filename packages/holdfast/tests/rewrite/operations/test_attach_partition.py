"""ATTACH PARTITION: what is decided of it from facts made by hand."""

from datetime import date

import pytest

from holdfast.errors.statement import LongStatement
from holdfast.rewrite.facts import (
    Column,
    DefaultPartition,
    Facts,
    PartitionBound,
    Relation,
    RelationKind,
)
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.online import rewrite
from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import Step

TODAY = date(2026, 1, 1)
ATTACH = "ALTER TABLE m ATTACH PARTITION p FOR VALUES FROM (0) TO (10)"
COLUMNS = (Column(name="a", type="integer"),)


def name(text: str) -> QualifiedName:
    return QualifiedName(schema="public", name=text)


REST = Relation(oid=3, name=name("rest"), kind=RelationKind.TABLE, partition_of=name("m"))


def parent(*, oid: int = 1, has_rest: bool = False) -> Relation:
    return Relation(
        oid=oid,
        name=name("m"),
        kind=RelationKind.PARTITIONED_TABLE,
        columns=COLUMNS,
        is_new=not oid,
        partitions=(REST,) if has_rest else (),
        default_partition=DefaultPartition(name=REST.name, rows=9) if has_rest else None,
    )


def partition(*, is_new: bool = False, of: QualifiedName | None = None) -> Relation:
    columns = () if is_new else COLUMNS
    return Relation(
        oid=0 if is_new else 2,
        name=name("p"),
        kind=RelationKind.TABLE,
        columns=columns,
        is_new=is_new,
        partition_of=of,
    )


def steps(table: Relation, part: Relation, *, bound: str | None = None) -> list[Step]:
    bounds = (PartitionBound(parent=name("m"), partition="p", condition=bound),) if bound else ()
    facts = Facts(server_major=18, relations={("", "m"): table, ("", "p"): part}, bounds=bounds)
    (statement,) = parse(ATTACH)
    return list(rewrite(statement, facts=facts, today=TODAY))


def test_what_is_not_known_yet_is_planned_later() -> None:
    """Whether the table is still to be created or the partition to be detached: by itself, when its turn comes."""
    (step,) = steps(parent(oid=0), partition())
    assert step.describe() == "ALTER TABLE public.m ATTACH PARTITION p FOR VALUES FROM (0) TO (10)"
    (step,) = steps(parent(), partition(of=name("m")))
    assert step.kind == "transaction"


def test_without_a_bound() -> None:
    """Where PostgreSQL has not said it, a table in use would be read under the lock."""
    with pytest.raises(LongStatement):
        steps(parent(), partition())


def test_a_new_partition_beside_a_default_one() -> None:
    """Whatever the revision has made it of, so that nobody knows its columns: the default partition is read before."""
    found = steps(parent(has_rest=True), partition(is_new=True), bound="a >= 0")
    assert [step.kind for step in found] == ["transaction", "validate", "transaction"]
