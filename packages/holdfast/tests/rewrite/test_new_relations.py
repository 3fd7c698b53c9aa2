"""What the revision itself has created is followed by name."""

import pytest

from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.new_relations import NewRelations
from holdfast.rewrite.statement import parse


def name(text: str) -> QualifiedName:
    schema, _, relation = text.partition(".")
    return QualifiedName(schema=schema, name=relation)


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
        relations = relations.after(
            statement, current_schema="public", existing=[name("public.old")]
        )
    assert relations == NewRelations(names=frozenset(name(text) for text in new))


def test_survives_the_journal() -> None:
    """What is stored is what comes back."""
    relations = NewRelations(names=frozenset([name("public.t"), name("s.u")]))
    assert NewRelations.from_json(relations.to_json()) == relations


def test_a_column_that_the_revision_has_added() -> None:
    """Followed through its names, those of its table, and the journal; IF NOT EXISTS makes nothing new."""
    orders = QualifiedName(schema="public", name="orders")
    new = NewRelations()
    for sql, of in (
        ("ALTER TABLE orders ADD COLUMN a int, ADD COLUMN b int", orders),
        ("ALTER TABLE public.orders ADD COLUMN IF NOT EXISTS c int", orders),
        ("ALTER TABLE orders DROP COLUMN b", orders),
        ("ALTER TABLE orders RENAME a TO x", orders),
        ("ALTER TABLE orders RENAME TO sales", orders),
    ):
        (statement,) = parse(sql)
        new = NewRelations.from_json(new.to_json())
        new = new.after(statement, current_schema="public", existing=[of])
    assert new.columns == {(QualifiedName(schema="public", name="sales"), "x")}
