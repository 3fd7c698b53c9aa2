"""A table that somebody has locked: a run says who it is, whatever it wants to know or to do first."""

from datetime import timedelta

import pytest
from alembic_project import Project
from backends import wait_until
from background import BackgroundRun
from everywhere import named
from project_at_work import ProjectWith

from holdfast.errors.locks import LockNotFree
from holdfast.execute.progress import StepWatched
from holdfast.migrate.run import upgrade
from holdfast.testing.blockers import holding

# A default, a generated column, a partial index, a check, a policy that reads a setting: each has an expression,
# and PostgreSQL 17 locks a table to show one.
TABLES = """
    CREATE TABLE t (id integer PRIMARY KEY, a integer DEFAULT 1 + 1, b text, c integer,
      g integer GENERATED ALWAYS AS (id + 1) STORED, CONSTRAINT positive CHECK (id > 0));
    INSERT INTO t SELECT n, n, 'b', 1 FROM generate_series(1, 500) AS n;
    CREATE INDEX t_c ON t (c) WHERE c > 0;
    CREATE POLICY mine ON t USING (b = current_setting('app.scope', true));
    CREATE TABLE e (id integer PRIMARY KEY);
    CREATE VIEW v AS SELECT id, b FROM t;
"""
CHANGES = {
    "ADD COLUMN": "ALTER TABLE t ADD COLUMN note text",
    "ADD COLUMN in an empty table": "ALTER TABLE e ADD COLUMN note text NOT NULL",
    "a build": "CREATE INDEX t_b ON t (b)",
    "a dropped index": "DROP INDEX t_c",
    "a type change": "ALTER TABLE t ALTER COLUMN a TYPE bigint",
    "a constraint": "ALTER TABLE t ADD CONSTRAINT small CHECK (a < 1000)",
    "NOT NULL": "ALTER TABLE t ALTER COLUMN b SET NOT NULL",
    "a backfill": "UPDATE t SET c = c + 1",
    "a foreign key": "ALTER TABLE t ADD FOREIGN KEY (c) REFERENCES e (id) NOT VALID",
    "a view": "CREATE OR REPLACE VIEW v AS SELECT id, b, a FROM t",
}


@pytest.fixture
def locked(project_with: ProjectWith) -> Project:
    """Its tables have been made; what locks them comes later."""
    return project_with(f"op.execute({TABLES!r})")


HERE = ("ADD COLUMN", "a build", "a backfill")


@pytest.mark.parametrize("change", named(CHANGES, here=HERE))
def test_whoever_holds_a_table_is_named(locked: Project, change: str) -> None:
    """Whatever a revision does to a table that somebody holds ACCESS EXCLUSIVE: the run says who it is, and goes on."""
    locked.revision(f"op.execute({CHANGES[change]!r})")
    with holding(locked.database, "LOCK TABLE t, e") as holder:
        pid = holder.info.backend_pid
        run = BackgroundRun(locked)

        def is_named() -> bool:
            watched = [event.seen for event in run.events if isinstance(event, StepWatched)]
            return any(
                blocker.pid == pid for event in run.busy for blocker in event.blockers
            ) or any(f"pid {pid} " in words for seen in watched for words in seen.waits_for)

        wait_until(is_named, what="the holder to be named")
    run.end()
    assert locked.query("SELECT version_num FROM alembic_version") == [("r2",)]


def test_a_table_that_is_never_free_ends_the_run(locked: Project) -> None:
    """With what a person can do about the one who holds it, when the budget for locks is spent."""
    locked.revision(f"op.execute({CHANGES['a type change']!r})")
    with (
        holding(locked.database, "LOCK TABLE t") as holder,
        pytest.raises(LockNotFree, match=rf"pg_terminate_backend\({holder.info.backend_pid}\)"),
    ):
        upgrade(locked.config, "head", lock_budget=timedelta(milliseconds=500))
