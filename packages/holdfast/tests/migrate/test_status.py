"""`status` says where a database stands, and writes nothing."""

import json

from alembic_project import Project
from click.testing import CliRunner, Result

from holdfast.cli import holdfast
from holdfast.migrate.database_state import State
from holdfast.migrate.run import upgrade
from holdfast.migrate.status import status


def command(project: Project, *arguments: str) -> Result:
    return CliRunner().invoke(
        holdfast, ["-c", str(project.folder / "alembic.ini"), *arguments], catch_exceptions=False
    )


def with_two_revisions(project: Project) -> None:
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))", "op.drop_table('a')")
    project.revision("op.add_column('a', sa.Column('b', sa.Integer))", "op.drop_column('a', 'b')")


def test_pending_on_an_empty_database_which_stays_empty(project: Project) -> None:
    """Everything is pending, in order; no version table, no schema is created by looking."""
    with_two_revisions(project)
    found = status(project.config)
    assert found.state is State.PENDING
    assert [revision.revision for revision in found.pending] == ["r1", "r2"]
    assert project.query(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname IN ('public', 'holdfast')"
    ) == [(0,)]


def test_exit_status_and_text_of_every_state(project: Project) -> None:
    """0 up to date, 1 pending, 4 ahead, 5 half-way, 6 edited: told apart by number and in words."""
    with_two_revisions(project)
    upgrade(project.config, "r1")
    pending = command(project, "status")
    named = f"-c {project.folder / 'alembic.ini'}"
    assert (pending.exit_code, pending.output) == (
        1,
        f"pending: holdfast {named} run applies the revisions below\nat       r1\npending  r2 about r2\n",
    )
    upgrade(project.config, "head")
    assert (command(project, "status").exit_code, command(project, "status").output) == (
        0,
        "up to date\nat       r2\n",
    )
    original = project.file("r1").read_text()
    project.file("r1").write_text(original + "# edited\n")
    edited = command(project, "status", "--format", "json")
    assert edited.exit_code == 6
    assert json.loads(edited.output)["edited"] == [{"revision": "r1", "description": "about r1"}]
    project.file("r1").write_text(original)
    project.query("UPDATE alembic_version SET version_num = 'r9'")
    ahead = command(project, "status")
    assert ahead.exit_code == 4
    assert "unknown  r9" in ahead.output
