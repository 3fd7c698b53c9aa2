"""What may change places in a queue: statements of which neither needs nor disturbs what the other does."""

import pytest

from holdfast.rewrite.facts import Constraint, ConstraintKind, Facts, Relation, RelationKind
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.queue.independence import are_independent
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.statement import parse

PARENT = QualifiedName(schema="public", name="parent")
CHILD = Relation(
    oid=1,
    name=QualifiedName(schema="public", name="child"),
    kind=RelationKind.TABLE,
    constraints=(
        Constraint(
            name="fk",
            kind=ConstraintKind.FOREIGN_KEY,
            columns=("p",),
            definition="FOREIGN KEY (p) REFERENCES parent(id)",
            references=PARENT,
        ),
    ),
)


def entry(sql: str) -> QueueEntry:
    """Of the tables only those that the statement names."""
    (statement,) = parse(sql)
    relations = {("", "child"): CHILD} if "child" in sql else {}
    if "parent" in sql:
        relations["", "parent"] = Relation(oid=2, name=PARENT, kind=RelationKind.TABLE)
    return QueueEntry(statement=statement, facts=Facts(server_major=18, relations=relations))


DROP_KEY = "ALTER TABLE parent DROP CONSTRAINT parent_id_key"


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE child DROP CONSTRAINT fk",
        "ALTER TABLE child DROP COLUMN p",
        "ALTER TABLE child DROP COLUMN q, DROP COLUMN p",
        "DROP TABLE child",
    ],
)
def test_a_key_goes_behind_the_foreign_keys_on_it(sql: str) -> None:
    """Whatever takes a foreign key away comes before whatever drops the key that it leads to."""
    assert not are_independent(entry(sql), entry(DROP_KEY))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "ALTER TABLE parent DROP CONSTRAINT k",
            "ALTER TABLE parent ADD COLUMN n int NOT NULL DEFAULT 0",
        ),
        ("ALTER TABLE parent ADD COLUMN n int, ADD m text", "DROP INDEX public.k"),
        ("ALTER TABLE parent DROP COLUMN k", "ALTER TABLE parent ADD COLUMN n int"),
    ],
)
def test_a_new_column_needs_no_key_to_go(one: str, other: str) -> None:
    """Whatever plain columns are added, a key or an index that does not know them can go before or after."""
    assert are_independent(entry(one), entry(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ALTER TABLE parent DROP CONSTRAINT k", "ALTER TABLE parent ADD COLUMN n int UNIQUE"),
        ("ALTER TABLE parent DROP CONSTRAINT k", "ALTER TABLE parent ADD COLUMN n serial"),
        ("ALTER TABLE parent DROP CONSTRAINT k", "ALTER TABLE parent ADD COLUMN k int"),
        ("ALTER TABLE parent DROP COLUMN n", "ALTER TABLE parent ADD COLUMN n int"),
        (
            "ALTER TABLE parent ADD CONSTRAINT k CHECK (n > 0)",
            "ALTER TABLE parent ADD COLUMN n int",
        ),
    ],
)
def test_a_new_column_that_takes_a_place(one: str, other: str) -> None:
    """Not where it brings a key, a sequence or a name along that the other statement frees, or where that needs it."""
    assert not are_independent(entry(one), entry(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("DROP VIEW v", "DROP VIEW w"),
        ("DROP MATERIALIZED VIEW m", "DROP VIEW v"),
        ("DROP VIEW v", "DROP FUNCTION f()"),
        ("DROP TABLE t", "DROP TYPE y"),
    ],
)
def test_drops_keep_their_order(one: str, other: str) -> None:
    """Whatever is dropped that others can be made of: what depends on it goes first, as its author has written."""
    assert not are_independent(entry(one), entry(other))
