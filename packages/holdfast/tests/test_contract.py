"""The contract that every rewrite passes: it ends in the schema of plain Alembic, and comes back."""

from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic_project import Project

from holdfast import migrate
from holdfast.plan.statement import parse
from holdfast.scratch.dump import schema_dump
from holdfast.testing.databases import Postgres

EXAMPLES = sorted(
    path
    for path in (Path(__file__).parents[3] / "examples" / "rewrites").iterdir()
    if path.is_dir()
)


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.name)
def example(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


def statements(file: Path) -> str:
    """A script as the body of a revision's function, one op.execute a statement."""
    parsed = parse(file.read_text())
    return "\n".join(f"op.execute(sa.text({_escaped(s.sql)!r}))" for s in parsed)


def _escaped(sql: str) -> str:
    return sql.replace(":", "\\:")


def build(example: Path, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute((example / "before.sql").read_text())


def project_of(example: Path, folder: Path, url: str) -> Project:
    """A history whose first revision is where the database stands, and whose second is the change."""
    project = Project(folder=folder, database=url)
    project.revision("pass")
    project.revision(statements(example / "change.sql"), statements(example / "revert.sql"))
    command.stamp(project.config, "r1")
    return project


def test_same_schema_as_plain_alembic_and_back(
    example: Path, postgres: Postgres, tmp_path: Path
) -> None:
    """After `upgrade` and after `downgrade` the dump is what plain Alembic leaves."""
    template = postgres.template(f"contract_{example.name}", lambda url: build(example, url))
    with (
        postgres.database(template=template) as plain_url,
        postgres.database(template=template) as online_url,
    ):
        plain = project_of(example, tmp_path / "plain", plain_url)
        online = project_of(example, tmp_path / "online", online_url)
        command.upgrade(plain.config, "head")
        migrate.upgrade(online.config, "head")
        assert schema_dump(online_url) == schema_dump(plain_url)
        command.downgrade(plain.config, "r1")
        migrate.downgrade(online.config, "r1")
        assert schema_dump(online_url) == schema_dump(plain_url)
        assert online.query("SELECT * FROM holdfast.queue") == []
        assert online.query("SELECT * FROM holdfast.unfinished") == []
