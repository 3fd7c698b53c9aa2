"""What a revision adds to the disk is known before it runs, as far as anybody can know it."""

from dataclasses import replace
from datetime import date

import pytest

from holdfast.errors.statement import NotEnoughDisk
from holdfast.rewrite.disk_space import disk_needs, needs_of_rest, refuse_more_than_fits
from holdfast.rewrite.facts import Column, Facts, Relation, RelationKind
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import CopyRowsStep, FillRowsStep

TODAY = date(2026, 1, 1)
ROWS = 1_000_000
TABLE = Relation(
    oid=1,
    name=QualifiedName(schema="public", name="t"),
    kind=RelationKind.TABLE,
    rows=ROWS,
    bytes=ROWS * (28 + 8 + 4 + 60),
    columns=(
        Column(name="id", type="bigint", not_null=True),
        Column(name="n", type="integer"),
        Column(name="b", type="character varying(200)"),
    ),
)
MB = 1_000_000
NEEDS = {
    "CREATE INDEX i ON t (n)": 2 * 20 * MB / 0.9,
    "CREATE INDEX i ON t (id, n)": 2 * 28 * MB / 0.9,
    "CREATE UNIQUE INDEX i ON t (id) INCLUDE (n)": 2 * 28 * MB / 0.9,
    "CREATE INDEX i ON t (b)": 2 * 76 * MB / 0.9,
    "CREATE INDEX i ON t (lower(b))": 2 * 28 * MB / 0.9,
    "CREATE INDEX i ON t (n) WHERE n > 7": 0,
    "CREATE INDEX i ON t USING brin (n)": 0,
    "ALTER TABLE t ADD CONSTRAINT u UNIQUE (n)": 2 * 20 * MB / 0.9,
    "ALTER TABLE t ADD COLUMN c int": 0,
    "CREATE INDEX i ON t (n) -- holdfast: allow there is room until 2999-01-01": 0,
}


def entry(sql: str, *, is_new: bool = False) -> QueueEntry:
    (statement,) = parse(sql)
    table = replace(TABLE, is_new=is_new)
    relations = {("", "t"): table, ("public", "t"): table}
    return QueueEntry(statement=statement, facts=Facts(server_major=18, relations=relations))


@pytest.mark.parametrize("sql", NEEDS)
def test_what_a_statement_adds(sql: str) -> None:
    """An index and the files of its sort, by the widths of its columns; nothing where nobody can say."""
    assert (
        sum(need.bytes for need in disk_needs([entry(sql)], today=TODAY))
        == round(NEEDS[sql] / 2) * 2
    )


def test_a_new_table_is_small() -> None:
    """Whatever is built on it: its rows are the revision's own."""
    assert disk_needs([entry("CREATE INDEX i ON t (n)", is_new=True)], today=TODAY) == ()


def test_partitions_are_counted_one_by_one() -> None:
    """An index of a table with partitions is as large as those of all its partitions."""
    of_month = replace(TABLE, name=QualifiedName(schema="public", name="t_1"))
    parts = tuple(
        replace(of_month, name=QualifiedName(schema="public", name=f"t_{number}"))
        for number in (1, 2)
    )
    whole = replace(
        TABLE,
        kind=RelationKind.PARTITIONED_TABLE,
        rows=0,
        bytes=0,
        partitions=parts,
        descendants=tuple(part.name for part in parts),
    )
    (statement,) = parse("CREATE INDEX i ON t (n)")
    facts = Facts(server_major=18, relations={("", "t"): whole, ("public", "t"): whole})
    (need,) = disk_needs([QueueEntry(statement=statement, facts=facts)], today=TODAY)
    assert need.bytes == 2 * 2 * round(20 * MB / 0.9)


def test_all_of_a_revision_has_to_fit() -> None:
    """Two that fit alone are refused together, by the larger one; where nothing is known, nothing is."""
    entries = [entry("CREATE INDEX i ON t (n)"), entry("CREATE INDEX j ON t (id, n)")]
    needs = disk_needs(entries, today=TODAY)
    refuse_more_than_fits(needs, free=110 * MB)
    refuse_more_than_fits(needs, free=None)
    with pytest.raises(NotEnoughDisk) as raised:
        refuse_more_than_fits(needs, free=100 * MB)
    assert raised.value.statement == "CREATE INDEX j ON t (id, n)"
    what, why, _ = raised.value.parts()
    assert what == (
        "The disk would be full: the revision needs about 107 MB more, and 100 MB are free."
    )
    assert why == (
        "Most of it, about 62.2 MB, is for this statement: CREATE INDEX j ON t (id, n). A full disk"
        " stops the server, for everybody."
    )


@pytest.mark.parametrize("kind", [CopyRowsStep, FillRowsStep])
def test_of_a_copy_that_goes_on_only_the_rest_counts(
    kind: type[CopyRowsStep | FillRowsStep],
) -> None:
    """Whatever it writes: the blocks in front of the one that it has reached are on the disk already."""
    found = entry("ALTER TABLE t ALTER n TYPE bigint")
    left = [kind(table=TABLE.name, sql="UPDATE t SET m = n WHERE true")]
    facts = found.facts
    assert facts is not None

    def needed(reached: tuple[str, str] | None) -> int:
        needs = needs_of_rest(
            [found.statement], left=left, facts=facts, today=TODAY, reached=reached
        )
        return sum(need.bytes for need in needs)

    blocks = TABLE.bytes // 8_192
    assert needed(None) == TABLE.bytes
    assert needed(("16384", str(blocks // 2))) == TABLE.bytes - blocks // 2 * 8_192
    assert needed(("16384", str(blocks + 100))) == 0
