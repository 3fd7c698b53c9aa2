"""Batches run before the builds of indexes on their table, and nothing else changes places."""

import pytest

from holdfast.rewrite.facts import Column, Facts, Index, Relation, RelationKind
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.queue.rules.backfill_first import ends_in_builds, in_best_order
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.statement import parse


def table(text: str) -> Relation:
    name = QualifiedName(schema="public", name=text)
    key = Index(
        name=QualifiedName(schema="public", name=f"{text}_pkey"),
        table=name,
        columns=("id",),
        keys=("id",),
        definition="",
        is_unique=True,
    )
    return Relation(
        oid=1,
        name=name,
        kind=RelationKind.TABLE,
        columns=(Column(name="id", type="integer", not_null=True),),
        indexes=(key,),
    )


def ahead(sql: str) -> QueueEntry:
    """Of each statement only the tables that it names."""
    (statement,) = parse(sql)
    relations = {("", name): table(name) for name in ("t", "u") if f" {name} " in f"{sql} "}
    return QueueEntry(statement=statement, facts=Facts(server_major=18, relations=relations))


WRITE = "UPDATE t SET a = 1"
MOVED = {
    "one build": ["CREATE INDEX ON t (a)", WRITE],
    "several": [
        "CREATE INDEX ON t (a)",
        "CREATE INDEX ON t (b, a)",
        WRITE,
        "DELETE FROM t WHERE b > 1",
    ],
    "one of another table between": ["CREATE INDEX ON t (a)", "CREATE INDEX ON u (a)", WRITE],
}
ORDERS = {
    "one build": (1, 0),
    "several": (2, 3, 0, 1),
    "one of another table between": (2, 0, 1),
}


@pytest.mark.parametrize("case", MOVED)
def test_before_the_builds(case: str) -> None:
    """In their own order, past every build that they directly follow."""
    assert in_best_order([ahead(sql) for sql in MOVED[case]]) == ORDERS[case]


@pytest.mark.parametrize(
    "sqls",
    [
        ["CREATE INDEX ON u (a)", WRITE],
        ["CREATE UNIQUE INDEX ON t (a)", WRITE],
        ["CREATE INDEX ON t (lower(a))", WRITE],
        ["CREATE INDEX ON t (a) WHERE a > 0", WRITE],
        ["CREATE INDEX ON t (a)", "ALTER TABLE t ADD COLUMN c int", WRITE],
        ["CREATE INDEX ON t (a)", "UPDATE t SET a = (SELECT max(a) FROM u )"],
        ["CREATE INDEX ON t (a)", "UPDATE t SET a = 2 WHERE id = 7"],
        [WRITE, "CREATE INDEX ON t (a)"],
    ],
    ids=lambda sqls: "; ".join(sqls),
)
def test_everything_else_stays(sqls: list[str]) -> None:
    """Where the index does not matter to the write, or the one may depend on the other."""
    assert in_best_order([ahead(sql) for sql in sqls]) == tuple(range(len(sqls)))


@pytest.mark.parametrize(
    ("sqls", "ends"),
    [
        (["CREATE INDEX ON t (a)"], True),
        (["CREATE INDEX ON t (a)", WRITE, WRITE], True),
        (["CREATE INDEX ON t (a)", "INSERT INTO t VALUES (1)"], False),
        (["CREATE INDEX ON t (a)", "UPDATE t SET a = 2 WHERE id = 7"], False),
        ([WRITE], False),
        ([], False),
    ],
    ids=str,
)
def test_ends_in_builds(sqls: list[str], ends: bool) -> None:
    """Then it is worth a look at the table of the next write."""
    assert ends_in_builds([ahead(sql) for sql in sqls]) is ends
