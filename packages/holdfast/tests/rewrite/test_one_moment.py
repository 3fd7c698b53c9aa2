"""The one moment of a revision stands wherever now() would be asked in another transaction than its first."""

import pytest

from holdfast.rewrite.facts import Column, Facts, Relation, RelationKind
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.one_moment import at_its_moment
from holdfast.rewrite.statement import parse
from holdfast.rewrite.tree import sql as sql_of

NOW = "2026-01-02 03:04:05+00"
AT = f"'{NOW}'::timestamptz"
LOG = Relation(
    oid=1,
    name=QualifiedName(schema="public", name="log"),
    kind=RelationKind.TABLE,
    columns=(
        Column(name="id", type="integer"),
        Column(name="at", type="timestamp with time zone", time_default="now()"),
        Column(name="day", type="date", time_default="CURRENT_DATE"),
    ),
)
FACTS = Facts(server_major=18, current_schema="public", relations={("", "log"): LOG})

TOLD = {
    "INSERT INTO log (id) VALUES (1), (2)": (
        f"INSERT INTO log (id, at, day) VALUES (1, {AT}, {AT}::date), (2, {AT}, {AT}::date)"
    ),
    "INSERT INTO log VALUES (1)": f"INSERT INTO log (id, at, day) VALUES (1, {AT}, {AT}::date)",
    "INSERT INTO log VALUES (1, DEFAULT, NULL)": f"INSERT INTO log (id, at, day) VALUES (1, {AT}, NULL)",
    "INSERT INTO log DEFAULT VALUES": f"INSERT INTO log (at, day) VALUES ({AT}, {AT}::date)",
    "INSERT INTO log (id) SELECT 1 UNION SELECT 2": (
        f"INSERT INTO log (id, at, day) SELECT 1, {AT} AS now, {AT}::date AS current_date"
        f" UNION SELECT 2, {AT} AS now, {AT}::date AS current_date"
    ),
    "INSERT INTO log (id, day) SELECT a, 'today' FROM t RETURNING at, now()": (
        f"INSERT INTO log (id, day, at) SELECT a, 'today', {AT} AS now FROM t RETURNING at, {AT} AS now"
    ),
    "WITH w AS (INSERT INTO log (id, day) VALUES (1, NULL)) SELECT now()::date": (
        f"WITH w AS (INSERT INTO log (id, day, at) VALUES (1, NULL, {AT})) SELECT {AT}::date AS now"
    ),
    "UPDATE log SET at = DEFAULT, id = id + 1": f"UPDATE log SET at = {AT}, id = id + 1",
    "INSERT INTO log (id, at, day) VALUES (1, NULL, NULL) ON CONFLICT (id) DO UPDATE SET at = DEFAULT": (
        f"INSERT INTO log (id, at, day) VALUES (1, NULL, NULL) ON CONFLICT (id) DO UPDATE SET at = {AT}"
    ),
    "MERGE INTO log USING t ON log.id = t.a WHEN NOT MATCHED THEN INSERT (id, day) VALUES (t.a, NULL)": (
        f"MERGE INTO log USING t ON log.id = t.a WHEN NOT MATCHED THEN INSERT (id, day, at) VALUES (t.a, NULL, {AT})"
    ),
    "SELECT current_timestamp(3)": f"SELECT {AT}::timestamptz(3) AS current_timestamp",
    "CREATE TABLE x AS SELECT now()": f"CREATE TABLE x AS SELECT {AT} AS now",
    "ALTER TABLE log ADD COLUMN seen timestamptz DEFAULT now()": (
        f"ALTER TABLE log ADD COLUMN seen timestamptz DEFAULT {AT}, ALTER COLUMN seen SET DEFAULT now()"
    ),
}
AS_WRITTEN = (
    "INSERT INTO log SELECT * FROM t",  # how many columns it has, nobody knows here
    "INSERT INTO t (a) VALUES (1)",
    "UPDATE log SET id = 1",
    "ALTER TABLE log ADD COLUMN IF NOT EXISTS at timestamptz DEFAULT now()",
    "ALTER TABLE log ADD COLUMN seen timestamptz DEFAULT clock_timestamp()",
    "SELECT statement_timestamp()",
    "CREATE TABLE x (at timestamptz DEFAULT now())",
)


def parse_and_write(text: str) -> str:
    """The text as it is written from its tree."""
    return sql_of(parse(text)[0].node)


@pytest.mark.parametrize("sql", TOLD)
def test_the_moment_stands_in_the_place_of_now(sql: str) -> None:
    """Whether it is written, the default of a column that is left out, or that of a new column; names stay."""
    (statement,) = parse(sql)
    told = at_its_moment(statement, facts=FACTS, now=NOW)
    assert told.sql.replace("(" + AT + ")", AT) == parse_and_write(TOLD[sql]).replace(
        "(" + AT + ")", AT
    )


@pytest.mark.parametrize("sql", AS_WRITTEN)
def test_what_asks_for_no_time_is_not_touched(sql: str) -> None:
    """Nor what has a time of its own."""
    (statement,) = parse(sql)
    assert at_its_moment(statement, facts=FACTS, now=NOW) is statement
    (now,) = parse("SELECT now()")
    assert at_its_moment(now, facts=FACTS, now="") is now
