"""An ALTER TABLE with a change of a type in it, as several statements."""

import pytest

from holdfast.rewrite.divided_alter_table import divide_alter_table
from holdfast.rewrite.statement import parse

WHOLE = {
    "ALTER TABLE t ADD CONSTRAINT n CHECK (a > 0), ADD c int, ADD UNIQUE (c), ALTER a TYPE bigint, DROP CONSTRAINT o,"
    " DROP d, ALTER b SET NOT NULL, ALTER a DROP NOT NULL": [
        "ALTER TABLE t ADD COLUMN c int",
        "ALTER TABLE t DROP CONSTRAINT o, DROP d, ALTER COLUMN a DROP NOT NULL",
        "ALTER TABLE t ALTER COLUMN a TYPE bigint",
        "ALTER TABLE t ADD UNIQUE (c)",
        "ALTER TABLE t ADD CONSTRAINT n CHECK (a > 0)",
        "ALTER TABLE t ALTER COLUMN b SET NOT NULL",
    ],
    "ALTER TABLE IF EXISTS ONLY s.t ALTER a DROP DEFAULT, ALTER a TYPE int USING b, DROP b, ALTER a SET DEFAULT 1,"
    " ALTER c SET DEFAULT 2": [
        (
            "ALTER TABLE IF EXISTS ONLY s.t ALTER COLUMN a DROP DEFAULT, ALTER COLUMN a TYPE int USING b, "
            "ALTER COLUMN a SET DEFAULT 1"
        ),
        "ALTER TABLE IF EXISTS ONLY s.t DROP b, ALTER COLUMN c SET DEFAULT 2",
    ],
}


@pytest.mark.parametrize("sql", WHOLE)
def test_by_kinds(sql: str) -> None:
    """Whatever else the statement does: drops, types, columns, constraints; a column that a USING reads goes later."""
    (statement,) = parse(sql)
    assert [part.sql for part in divide_alter_table(statement)] == WHOLE[sql]


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE t ALTER a TYPE int, ALTER a SET DEFAULT 1, ALTER b TYPE text",
        "ALTER TABLE t DROP a, ADD b int",
        "ALTER TABLE t ALTER a TYPE int",
        "ALTER TYPE y ALTER ATTRIBUTE a TYPE int, ADD ATTRIBUTE b int",
        "SELECT 1",
    ],
)
def test_as_it_is(sql: str) -> None:
    """What is no mixture stays one statement, in its author's words."""
    (statement,) = parse(sql)
    assert divide_alter_table(statement) == (statement,)
