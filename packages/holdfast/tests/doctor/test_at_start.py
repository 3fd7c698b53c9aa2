"""A production process does not start where the doctor refuses."""

import pytest
from alembic_project import Project

from holdfast.application.database import Database
from holdfast.engine.settings import Settings
from holdfast.errors.doctor import UnsafeToStart


def settings(project: Project, **values: object) -> Settings:
    given = {"profile": "production", "url": project.database, "migrations": str(project.folder)}
    return Settings(**given | values)


def test_every_refusal_at_once_with_its_way_out(project: Project) -> None:
    """Named, with the override; nothing was migrated."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    with pytest.raises(UnsafeToStart) as raised:
        Database(settings(project, replicas=50)).start()
    what, _, remedy = raised.value.parts()
    assert what == (
        "Not started. superuser: the application connects as the superuser postgres: one injected "
        "statement owns the server, pool-budget: 50 pools of 20 are 1000 connections, "
        "the server has 94 for us."
    )
    assert remedy.endswith("HOLDFAST_ALLOW=superuser,pool-budget")
    assert project.query("SELECT to_regclass('a')") == [(None,)]


def test_allowed_by_name(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    """It starts, and the log says what was allowed."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    database = Database(settings(project, allow="superuser"))
    database.start()
    database.stop()
    assert "allowed: superuser: the application connects as" in caplog.text
    assert project.query("SELECT to_regclass('a')::text") == [("a",)]


def test_not_outside_production(project: Project) -> None:
    """A developer's database is a superuser's."""
    database = Database(settings(project, profile="development", migrate_on_start="off"))
    database.start()
    database.stop()


def test_migrations_need_a_writer(project: Project) -> None:
    """Asked only of a process that migrates."""
    name = project.database.partition("@/")[2].partition("?")[0]
    project.query(f'SELECT 1; ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    with pytest.raises(UnsafeToStart) as raised:
        Database(settings(project, allow="superuser")).start()
    assert raised.value.found == (
        "migrations-writable: migrations would run on a server that is read-only",
    )
