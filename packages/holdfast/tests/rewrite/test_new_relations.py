"""What the revision itself has created is followed by name."""

import pytest

from holdfast.rewrite.facts import Facts, NewRelations, Relation, RelationKind
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.online import new_after
from holdfast.rewrite.statement import parse


def name(text: str) -> QualifiedName:
    schema, _, relation = text.partition(".")
    return QualifiedName(schema=schema, name=relation)


def in_use(table: str) -> Facts:
    """One table that was there before, by its name with and without its schema."""
    found = Relation(oid=1, name=name(f"public.{table}"), kind=RelationKind.TABLE)
    return Facts(server_major=18, relations={("", table): found, ("public", table): found})


CASES = [
    ("create table t (a int)", ["public.t"]),
    ("create table s.t (a int)", ["s.t"]),
    ("create table t as select 1", ["public.t"]),
    ("select 1 as a into t", ["public.t"]),
    ("create materialized view t as select 1", ["public.t"]),
    ("create table t (a int); alter table t rename to u", ["public.u"]),
    ("create table t (a int); alter table t set schema s", ["s.t"]),
    ("create table t (a int); drop table t", []),
    ("create table t (a int); drop table t; create table t (a int)", ["public.t"]),
    ("create table t (a int); drop table t; alter table old rename to t", []),
    ("create table old (a int)", []),
    ("alter table t add column a int", []),
]


@pytest.mark.parametrize(("script", "new"), CASES, ids=[script for script, _ in CASES])
def test_follows_the_statements(script: str, new: list[str]) -> None:
    """Created, renamed, moved and dropped; a table that was there is never new."""
    relations = NewRelations()
    for statement in parse(script):
        relations = new_after(relations, statement, facts=in_use("old"))
    assert relations == NewRelations(names=frozenset(name(text) for text in new))


def test_a_column_that_the_revision_has_added() -> None:
    """Followed through its names and those of its table; IF NOT EXISTS makes nothing new."""
    new = NewRelations()
    for sql in (
        "ALTER TABLE orders ADD COLUMN a int, ADD COLUMN b int",
        "ALTER TABLE public.orders ADD COLUMN IF NOT EXISTS c int",
        "ALTER TABLE orders DROP COLUMN b",
        "ALTER TABLE orders RENAME a TO x",
        "ALTER TABLE orders RENAME TO sales",
    ):
        (statement,) = parse(sql)
        new = new_after(new, statement, facts=in_use("orders"))
    assert new.columns == {(QualifiedName(schema="public", name="sales"), "x")}
