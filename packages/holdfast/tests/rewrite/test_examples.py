"""Every example: its plan, and that the plan ends in the schema of plain execution."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from type_changes import comparable

from holdfast.rewrite.steps import Step, as_text
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

RunOnline = Callable[[str, str], tuple[Step, ...]]
EXAMPLES = sorted(
    path
    for path in (Path(__file__).parents[4] / "examples" / "rewrites").iterdir()
    if path.is_dir()
)


# Each table: whether its rows have random values, and its columns by name.
TABLES = """
SELECT c.oid::regclass::text, EXISTS (
  SELECT FROM pg_attrdef WHERE adrelid = c.oid AND pg_get_expr(adbin, adrelid) ~ 'random'),
  (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attname) FROM pg_attribute
   WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.name)
def example(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


@pytest.fixture
def copies(example: Path, each_postgres: Postgres) -> Iterator[tuple[str, str]]:
    """Two databases in the state before the change."""

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute((example / "before.sql").read_text())

    template = each_postgres.template(example.name, build)
    with (
        each_postgres.database(template=template) as plain,
        each_postgres.database(template=template) as online,
    ):
        yield plain, online


def test_plan_rows_and_schema(
    example: Path, each_postgres: Postgres, copies: tuple[str, str], run_online: RunOnline
) -> None:
    """The steps are those in online.txt; rows and schema are those of plain execution, the schema forth and back."""
    plain, online = copies
    steps = run_online(online, (example / "change.sql").read_text())
    run_plainly(plain, (example / "change.sql").read_text())
    assert as_text(steps) + "\n" == golden(example, major=each_postgres.major)
    assert rows(online) == rows(plain)
    if each_postgres.major == 18:
        return  # its schema: see the contract
    assert schema(online, example=example) == schema(plain, example=example)
    run_online(online, (example / "revert.sql").read_text())
    run_plainly(plain, (example / "revert.sql").read_text())
    assert schema(online, example=example) == schema(plain, example=example)


def schema(url: str, *, example: Path) -> str:
    return comparable(schema_dump(url), example=example)


def golden(example: Path, *, major: int) -> str:
    of_major = example / f"online-{major}.txt"
    return (of_major if of_major.exists() else example / "online.txt").read_text()


def run_plainly(url: str, script: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(script)


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
