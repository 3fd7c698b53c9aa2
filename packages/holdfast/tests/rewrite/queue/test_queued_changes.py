"""What a queued statement may change for those behind it; whatever is not known may change anything."""

import pytest

from holdfast.rewrite.facts import Facts, Relation, RelationKind
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.queue.queued_changes import (
    ANYTHING,
    KEY,
    NOTHING,
    QueuedChange,
    changes_ahead,
    is_conditional,
    may_delete_rows,
)
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.statement import parse

T = QualifiedName(schema="public", name="t")

CHANGES: dict[str, frozenset[QueuedChange]] = {
    "CREATE INDEX ON t (a)": NOTHING,
    "CREATE UNIQUE INDEX ON t (a)": KEY,
    "CREATE UNIQUE INDEX ON u (a)": NOTHING,
    "ALTER TABLE t ADD COLUMN c int": NOTHING,
    "ALTER TABLE t ADD COLUMN c int UNIQUE": KEY,
    "ALTER TABLE t ADD CHECK (a > 0), ALTER b SET DEFAULT 1": NOTHING,
    "ALTER TABLE t ADD PRIMARY KEY (a)": KEY,
    "ALTER TABLE t ALTER a SET NOT NULL": KEY,
    "ALTER TABLE t DROP CONSTRAINT c": ANYTHING,
    "ALTER TABLE t DROP COLUMN c": ANYTHING,
    "ALTER TABLE u DROP COLUMN c": NOTHING,
    "ALTER TABLE u RENAME TO v": ANYTHING,
    "DROP INDEX t_a": ANYTHING,
    "DROP TABLE u": NOTHING,
    "DROP TYPE mood": ANYTHING,
    "UPDATE t SET a = 1": NOTHING,
    "CREATE TABLE n (id int REFERENCES t)": NOTHING,
    "DO $$BEGIN END$$": ANYTHING,
    "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'": ANYTHING,
}


@pytest.mark.parametrize("sql", CHANGES)
def test_changes(sql: str) -> None:
    """Of one table, by one statement; `t_a` is an index of it."""
    (statement,) = parse(sql)
    named = [QualifiedName(schema="public", name=n) for n in ("t", "u") if f" {n} " in f"{sql} "]
    named += [T] if "t_a" in sql else []
    relations = {
        ("", name.name): Relation(oid=1, name=name, kind=RelationKind.TABLE) for name in named
    }
    item = QueueEntry(statement=statement, facts=Facts(server_major=18, relations=relations))
    assert changes_ahead([item], to=frozenset([T])) == CHANGES[sql]


@pytest.mark.parametrize(
    ("sql", "may"),
    [
        ("DELETE FROM t", True),
        ("TRUNCATE t", True),
        ("WITH gone AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM gone", True),
        ("MERGE INTO t USING u ON t.id = u.id WHEN MATCHED THEN DELETE", True),
        ("DO $$BEGIN END$$", True),
        ("UPDATE t SET a = 1", False),
        ("INSERT INTO t VALUES (1)", False),
    ],
)
def test_may_delete_rows(sql: str, may: bool) -> None:
    """Anywhere in the statement, or where nobody can look."""
    (statement,) = parse(sql)
    assert may_delete_rows(statement) is may


@pytest.mark.parametrize(
    ("sql", "is_it"),
    [
        ("ALTER TABLE t ADD COLUMN IF NOT EXISTS c int", True),
        ("CREATE INDEX IF NOT EXISTS i ON t (a)", True),
        ("ALTER TABLE t ADD COLUMN c int", False),
        ("CREATE INDEX i ON t (a)", False),
    ],
)
def test_is_conditional(sql: str, is_it: bool) -> None:
    """IF NOT EXISTS."""
    (statement,) = parse(sql)
    assert is_conditional(statement) is is_it
