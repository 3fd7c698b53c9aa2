"""Each statement of a revision's own transaction has a way back, or a person is told to find it."""

import pytest

from holdfast.rewrite.way_back import way_back


@pytest.mark.parametrize(
    ("sql", "back"),
    [
        ("CREATE TABLE s.a (id int)", ("DROP TABLE s.a",)),
        ('ALTER TABLE a ADD COLUMN "From" int', ('ALTER TABLE a DROP COLUMN "From"',)),
        (
            "ALTER TABLE a ADD b int, ADD CONSTRAINT c CHECK (b > 0)",
            ("ALTER TABLE a DROP CONSTRAINT IF EXISTS c", "ALTER TABLE a DROP COLUMN b"),
        ),
        ("ALTER TABLE a ALTER b DROP NOT NULL", ("ALTER TABLE a ALTER COLUMN b SET NOT NULL",)),
        ("CREATE INDEX i ON s.a (b)", ("DROP INDEX CONCURRENTLY s.i",)),
        ("CREATE VIEW v AS SELECT 1", ("DROP VIEW v",)),
        ("UPDATE a SET b = 1", ("-- by hand, take back: UPDATE a SET b = 1",)),
        ("ALTER TABLE a DROP b", ("-- by hand, take back: ALTER TABLE a DROP b",)),
        (
            "ALTER TABLE a ADD b int, DROP c",
            ("-- by hand, take back: ALTER TABLE a ADD b int, DROP c",),
        ),
        (
            "ALTER TABLE a ADD b int DEFAULT (1), ALTER b SET DEFAULT 2",
            ("ALTER TABLE a DROP COLUMN b",),
        ),
        (
            "ALTER TABLE a ADD b int, ALTER c SET DEFAULT 2",
            ("-- by hand, take back: ALTER TABLE a ADD b int, ALTER c SET DEFAULT 2",),
        ),
        (
            "ALTER TABLE a ADD CONSTRAINT u UNIQUE USING INDEX u",
            ("ALTER TABLE a DROP CONSTRAINT IF EXISTS u",),
        ),
        ("no SQL", ("-- by hand, take back: no SQL",)),
    ],
)
def test_way_back(sql: str, back: tuple[str, ...]) -> None:
    """In the order in which it is executed; nothing is guessed."""
    assert way_back(sql) == back
