"""ALTER COLUMN TYPE on every example: what it ends in, and what stops it."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic import command
from contract import project_of
from everywhere import each, named
from sqlalchemy.exc import DBAPIError
from type_changes import TYPE_CHANGES, all_rows, in_any_order

from holdfast.errors.statement import LongStatement
from holdfast.errors.steps import DataInTheWay
from holdfast.migrate.run import upgrade
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

CHANGES = [example for example in TYPE_CHANGES if not (example / "stops.txt").exists()]
HERE = (
    "enum_to_text",
    "foreign_key_column",
    "serial_key",
    "user_triggers",
)
STOPPED = [example for example in TYPE_CHANGES if (example / "stops.txt").exists()]
STOPPED_HERE = ("published", "varchar_data_in_the_way", "view")
ERRORS = {"data": DataInTheWay, "refused": LongStatement, "error": DBAPIError}
ON_MAJORS = pytest.mark.parametrize("each_postgres", each([18, 16], here=1), indirect=True)
# Functions, columns, triggers, constraints and relations that carry our name.
LEFT = """
SELECT 'function', proname FROM pg_proc WHERE pronamespace = 'holdfast'::regnamespace
UNION ALL SELECT 'column', attname FROM pg_attribute WHERE attname ~ '_holdfast'
UNION ALL SELECT 'trigger', tgname FROM pg_trigger WHERE tgname ~ 'holdfast'
UNION ALL SELECT 'constraint', conname FROM pg_constraint WHERE conname ~ '_holdfast$|_holdfast[0-9]'
UNION ALL SELECT 'relation', relname FROM pg_class WHERE relname ~ '_holdfast'
"""


@pytest.fixture
def databases(request: pytest.FixtureRequest, each_postgres: Postgres) -> Iterator[tuple[str, str]]:
    """Two databases in the state before the change, the same rows in both."""
    example: Path = request.getfixturevalue("example")

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute((example / "before.sql").read_bytes())

    template = each_postgres.template(f"type_{example.name}", build)
    with (
        each_postgres.database(template=template) as plain,
        each_postgres.database(template=template) as online,
    ):
        yield plain, online


@ON_MAJORS
@pytest.mark.parametrize("example", named(CHANGES, here=HERE), ids=lambda path: path.name)
def test_ends_as_plain_alembic_does(
    example: Path, databases: tuple[str, str], tmp_path: Path
) -> None:
    """The schema of plain Alembic but for the order of columns, the same rows, nothing of ours left behind."""
    plain_url, online_url = databases
    plain = project_of(example, folder=tmp_path / "plain", url=plain_url)
    online = project_of(example, folder=tmp_path / "online", url=online_url)
    for project in (plain, online):
        command.stamp(project.config, "r1")
    command.upgrade(plain.config, "head")
    upgrade(online.config, "head")
    assert in_any_order(schema_dump(online_url)) == in_any_order(schema_dump(plain_url))
    assert all_rows(online_url) == all_rows(plain_url)
    assert online.query(LEFT) == []


@ON_MAJORS
@pytest.mark.parametrize("example", named(STOPPED, here=STOPPED_HERE), ids=lambda path: path.name)
def test_stops_before_anything_has_happened(
    example: Path, databases: tuple[str, str], tmp_path: Path
) -> None:
    """What cannot be copied is refused, rows in the way are named, and the schema is as it was."""
    _, url = databases
    project = project_of(example, folder=tmp_path / "online", url=url)
    command.stamp(project.config, "r1")
    before = schema_dump(url)
    with pytest.raises(ERRORS[(example / "stops.txt").read_text().strip()]):
        upgrade(project.config, "head")
    assert schema_dump(url) == before
