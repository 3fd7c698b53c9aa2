"""Another session sees how far a migration is; a waiting instance says so."""

import re
import secrets
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import forked
import psycopg
import pytest
from alembic_project import Project
from backends import wait_until
from project_at_work import ProjectWith
from sqlalchemy import NullPool, create_engine, make_url

from holdfast.application.database import Database
from holdfast.engine.settings import Settings
from holdfast.migrate.run import upgrade
from holdfast.observe.migration_progress import MigrationProgress, migration_progress
from holdfast.testing.blockers import holding


@pytest.fixture
def building(project_with: ProjectWith) -> Project:
    """The second revision builds an index on a table in use, then another."""
    project = project_with("op.create_table('a', sa.Column('id', sa.Integer))")
    project.revision("op.create_index('i', 'a', ['id'])\nop.create_index('j', 'a', ['id'])")
    return project


@contextmanager
def in_the_middle(project: Project) -> Iterator[Future[None]]:
    """While its build of `i` waits for a writer."""
    with ThreadPoolExecutor(1) as thread:
        with holding(project.database, "INSERT INTO a VALUES (1)"):
            run = thread.submit(upgrade, project.config, "head")
            wait_until(lambda: is_waiting(project.database), what="the build")
            yield run
        run.result(30)


def is_waiting(url: str) -> bool:
    query = (
        "SELECT count(*) FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for writers%'"
        " AND datname = current_database()"
    )
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchone() == (1,)


def look(url: str) -> MigrationProgress | None:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.connect() as connection:
        return migration_progress(connection)


def status(project: Project) -> list[str]:
    """What the command prints, in a process of its own: in ours the run has taken Alembic's globals."""
    return forked.holdfast("status", cwd=project.folder).stdout.splitlines()


def test_nobody_migrates(building: Project) -> None:
    """Also when the last run was killed: its row says running, and nobody holds the lock."""
    building.query("UPDATE holdfast.history SET outcome = 'running'")
    assert look(building.database) is None


def test_the_step_of_another_session(building: Project) -> None:
    """Revision, step, and what it does."""
    with in_the_middle(building):
        seen = look(building.database)
        shown = status(building)
        building.query("INSERT INTO holdfast.pause (asked_by) VALUES ('me')")
        paused = status(building)
        building.query("DELETE FROM holdfast.pause")
    assert seen is not None
    assert seen.step is not None
    assert paused[-3] == (
        "paused   by me, from the end of this step or batch on; to go on: holdfast resume"
    )
    assert str(seen) == "revision r2 up, step 1 of 2"
    assert seen.step.doing == "build index i on public.a"
    assert shown[-3].startswith(f"migrates now: {seen}: pid ")
    assert shown[-2] == "doing    build index i on public.a"
    assert re.sub(r"pid \d+|\(\d+\)|\d\d:\d\d:\d\d", "N", shown[-1]) == (
        "waits    N (postgres) idle in transaction since N, last query: INSERT INTO a VALUES ($1); to make room:"
        " SELECT pg_terminate_backendN"
    )
    assert look(building.database) is None


def test_our_sessions_are_called_by_their_revision(building: Project) -> None:
    """The one that works, the one that holds the lock of migrators, the one that watches; afterwards none is left."""
    ours = (
        "SELECT state, count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'holdfast r2' GROUP BY state ORDER BY state"
    )
    with in_the_middle(building):
        wait_until(lambda: building.query(ours) == [("active", 1), ("idle", 2)], what="the watcher")
    assert building.query(ours) == []


def test_without_the_right_to_read(building: Project) -> None:
    """A role that is nobody sees that somebody migrates."""
    name = f"nobody_{secrets.token_hex(4)}"
    nobody = make_url(building.database).set(username=name).render_as_string()
    building.query(f"SELECT 1; CREATE ROLE {name} LOGIN")
    with in_the_middle(building):
        seen = str(look(nobody))
    building.query(f"SELECT 1; DROP ROLE {name}")
    assert seen == "another process migrates"


def test_a_waiting_instance_is_not_ready_and_says_why(building: Project) -> None:
    """Before, meanwhile, and after."""
    waiting = Database(
        Settings(
            profile="development",
            url=building.database,
            migrations=str(building.folder),
            migrate_on_start="wait",
            log_sql="off",
        )
    )
    assert waiting.health().problem == "starting: nobody migrates now"
    with ThreadPoolExecutor(1) as thread:
        start = thread.submit(waiting.start)
        with in_the_middle(building):
            health = waiting.health()
            assert not start.done()
        start.result(30)
    assert (health.is_ready, health.problem) == (
        False,
        "starting: revision r2 up, step 1 of 2",
    )
    assert waiting.health().is_ready
    waiting.stop()
