"""A way back that somebody is told to go was gone once before, on a copy of the schema."""

import forked
import pytest
from alembic_project import Project
from project_at_work import ProjectWith

from holdfast.preview.way_back import tried
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump


@pytest.fixture(autouse=True)
def scratch(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of the test run as the scratch server."""
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))


@pytest.fixture
def table(project_with: ProjectWith) -> Project:
    made = "op.create_table('a', sa.Column('id', sa.Integer))"
    return project_with(made, then="CREATE INDEX i ON a (id)")


def test_whatever_the_statements_say_the_database_stays(
    table: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them work, one fails, none is to be tried, there is no server: said in words, and nothing is changed."""
    before = schema_dump(table.database)
    works = ("DROP INDEX CONCURRENTLY i", "-- by hand, take back: something", "DROP TABLE a")
    assert tried(table.config, works) == "tried on a copy of the schema, without rows"
    assert tried(table.config, ("DROP TABLE a", "DROP INDEX i")) == (
        'on a copy of the schema one fails: DROP INDEX i: index "i" does not exist'
    )
    assert tried(table.config, ("-- by hand, take back: something",)) == "no statement to try"
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", "postgresql://postgres@/x?host=/nowhere")
    assert tried(table.config, works).startswith("not tried: ")
    assert schema_dump(table.database) == before


def test_abandon_prints_what_it_has_tried(table: Project) -> None:
    """The whole text: what stays, what is not done, the way back and what came of it, the way on."""
    table.revision("op.create_index('j', 'a', ['id'])\nop.create_index('k', 'a', ['missing'])")
    assert forked.holdfast("run", cwd=table.folder).returncode == 3
    ended = forked.holdfast("abandon", "--yes", cwd=table.folder)
    assert (ended.returncode, ended.stdout.splitlines()) == (
        0,
        [
            "abandoned: revision r2 (up); its version row was not written",
            "stays     build index j on public.a",
            "not done  build index k on public.a",
            "The way back to where it began, in this order (tried on a copy of the schema, without rows):",
            "undo      DROP INDEX CONCURRENTLY IF EXISTS public.j",
            "To go forward instead, do what is not done by hand, then: holdfast baseline r2",
        ],
    ), ended.stderr
