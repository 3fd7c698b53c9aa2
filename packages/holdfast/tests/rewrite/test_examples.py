"""Every example: its plan, what is seen of it, and that it ends in the schema of plain execution.

HOLDFAST_TEST_OBSERVED=write writes what is seen into `observed.txt`, on both servers.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import observed
import psycopg
import pytest
from contract import EXAMPLES
from everywhere import each, everywhere, named
from type_changes import comparable

from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import Step, as_text
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

RunOnline = Callable[[str, str], tuple[Step, ...]]
WRITES = os.environ.get("HOLDFAST_TEST_OBSERVED") == "write"
MAJORS = [18, 16] if WRITES else each([18, 16], here=1)

# Like another one in its steps and how they go together: of these the plan is enough here.
ALIKE = (
    "add_check",
    "add_column_constraints",
    "add_column_identity",
    "add_column_references",
    "add_column_serial",
    "add_column_volatile_default",
    "add_column_without_key",
    "add_primary_key",
    "add_unique",
    "alter_column_default",
    "alter_column_type_enum",
    "alter_column_type_key",
    "alter_column_type_shorter",
    "alter_table_several_actions",
    "attach_default_partition",
    "check_on_partitioned",
    "create_index",
    "create_partition",
    "create_table",
    "create_unique_index",
    "delete_rows",
    "drop_column",
    "drop_foreign_key",
    "drop_index",
    "fill_and_require",
    "foreign_key_on_partitioned",
    "not_null_on_partitioned",
    "nullable_and_back",
    "primary_key_on_partitioned",
    "replace_constraint",
    "replace_unique",
    "set_not_null_with_check",
    "unique_on_partitioned",
    "update_all_rows",
    "writes_together",
)
WHOLE = tuple(example.name for example in EXAMPLES if example.name not in ALIKE)

# Each table: whether its rows have random values, and its columns by name.
TABLES = """
SELECT c.oid::regclass::text, EXISTS (
  SELECT FROM pg_attrdef WHERE adrelid = c.oid AND pg_get_expr(adbin, adrelid) ~ 'random'),
  (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attname) FROM pg_attribute
   WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""


def template_of(example: Path, postgres: Postgres) -> str:
    """The state before the change."""

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute((example / "before.sql").read_text())
            connection.execute("CREATE SCHEMA holdfast")

    return postgres.template(example.name, build)


@pytest.fixture
def copies(example: Path, each_postgres: Postgres) -> Iterator[tuple[str, str]]:
    """Two databases in the state before the change."""
    template = template_of(example, each_postgres)
    with (
        each_postgres.database(template=template) as plain,
        each_postgres.database(template=template) as online,
    ):
        yield plain, online


@pytest.mark.parametrize(
    "example", EXAMPLES if WRITES else named(EXAMPLES, here=WHOLE), ids=lambda path: path.name
)
@pytest.mark.parametrize("each_postgres", MAJORS, indirect=True)
def test_plan_locks_rows_and_schema(
    example: Path, each_postgres: Postgres, copies: tuple[str, str], run_online: RunOnline
) -> None:
    """The steps are those in online.txt, the locks those of the table; rows and schema plain execution's."""
    plain, online = copies
    with observed.observed(online) as seen_online:
        steps = run_online(online, (example / "change.sql").read_text())
    with observed.observed(plain) as seen_as_written:
        run_plainly(plain, (example / "change.sql").read_text())
    assert as_text(steps) + "\n" == golden(example, major=each_postgres.major)
    seen = lines(example, each_postgres, {"as written": seen_as_written, "online": seen_online})
    if WRITES:
        observed.write(seen)
    assert [line for line in seen if line not in observed.lines()] == []
    assert rows(online) == rows(plain)
    assert schema(online, example=example) == schema(plain, example=example)
    if everywhere():  # here the contract goes back
        run_online(online, (example / "revert.sql").read_text())
        run_plainly(plain, (example / "revert.sql").read_text())
        assert schema(online, example=example) == schema(plain, example=example)


@pytest.mark.parametrize(
    "example", [each for each in EXAMPLES if each.name in ALIKE], ids=lambda path: path.name
)
def test_plan(example: Path, postgres: Postgres, run_online: RunOnline) -> None:
    """The steps are those in online.txt, and they run."""
    with postgres.database(template=template_of(example, postgres)) as url:
        steps = run_online(url, (example / "change.sql").read_text())
    assert as_text(steps) + "\n" == golden(example, major=postgres.major)


def lines(example: Path, postgres: Postgres, ways: dict[str, list[str]]) -> list[str]:
    """Those of the table that it should have."""
    return [
        f"{postgres.major} {example.name} {way}: {', '.join(seen) or 'nothing'}"
        for way, seen in ways.items()
    ]


def schema(url: str, *, example: Path) -> str:
    return comparable(schema_dump(url), example=example)


def golden(example: Path, *, major: int) -> str:
    of_major = example / f"online-{major}.txt"
    return (of_major if of_major.exists() else example / "online.txt").read_text()


def run_plainly(url: str, script: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in parse(script):
            connection.execute(statement.sql.encode())


def rows(url: str) -> dict[str, list[str]]:
    """The rows of each table, as text; of those with random values, how many there are."""
    with psycopg.connect(url) as connection:
        tables = connection.execute(TABLES).fetchall()
        return {
            table: rows_of(connection, table, columns="''" if varies else f"ROW({columns})::text")
            for table, varies, columns in tables
        }


def rows_of(connection: psycopg.Connection, table: str, *, columns: str) -> list[str]:
    query = f"SELECT {columns} FROM {table} AS t ORDER BY 1"
    return [text for (text,) in connection.execute(query.encode()).fetchall()]
