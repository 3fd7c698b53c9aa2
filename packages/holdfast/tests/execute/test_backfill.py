"""A write to all rows goes batch by batch, and goes on where it was."""

from datetime import timedelta

import psycopg
import pytest
from alembic_project import ASYNC_ENV, SYNC_ENV, Project
from project_at_work import ProjectWith

from holdfast.errors.connection import EndedByTimeout
from holdfast.errors.unfinished import StoppedBetweenSteps
from holdfast.execute import session
from holdfast.execute.backfill import Batches, Key
from holdfast.execute.progress import BackfillMoved, Event
from holdfast.migrate.run import upgrade
from holdfast.testing.blockers import holding

ROWS = 9_000


@pytest.fixture
def table(project_with: ProjectWith) -> Project:
    """A table in use, with rows under a key of two columns."""
    return project_with(
        "op.create_table('a', sa.Column('x', sa.Text, primary_key=True),"
        " sa.Column('y', sa.Integer, primary_key=True), sa.Column('n', sa.Integer))",
        then=f"INSERT INTO a SELECT 'x' || i % 7, i, 0 FROM generate_series(1, {ROWS}) i",
    )


def test_batches_are_committed_one_by_one_and_a_new_run_goes_on(table: Project) -> None:
    """Stopped after some batches: their rows are written and visible; the next run writes the rest once."""
    table.revision("op.execute('UPDATE a SET n = n + 1')")
    events: list[Event] = []

    def has_moved() -> bool:
        return any(isinstance(event, BackfillMoved) for event in events)

    with pytest.raises(StoppedBetweenSteps):
        upgrade(table.config, "head", report=events.append, should_stop=has_moved)
    [(written,)] = table.query("SELECT count(*) FROM a WHERE n = 1")
    assert 0 < int(str(written)) < ROWS
    upgrade(table.config, "head")
    assert table.query("SELECT n, count(*) FROM a GROUP BY n") == [(1, ROWS)]


def test_a_process_that_is_stopped_inside_a_batch_holds_its_rows_for_seconds_only(
    table: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever keeps a migrator from its COMMIT: users get its rows, and the next run writes each of them once."""
    monkeypatch.setattr(session, "IDLE_UNDER_LOCK", timedelta(milliseconds=200))
    written = Batches._write

    def stopped(batches: Batches, reached: Key | None, last: Key) -> int:
        count = written(batches, reached, last)
        with psycopg.connect(table.database, options="-c statement_timeout=20s") as user:
            user.execute("UPDATE a SET n = n + 10 WHERE y = 7")  # of the first batch
        return count

    table.revision("op.execute('UPDATE a SET n = n + 1')")
    monkeypatch.setattr(Batches, "_write", stopped)
    with pytest.raises(EndedByTimeout, match="by holdfast"):
        upgrade(table.config, "head")
    monkeypatch.setattr(Batches, "_write", written)
    upgrade(table.config, "head")
    assert table.query("SELECT n, count(*) FROM a GROUP BY n ORDER BY n") == [
        (1, ROWS - 1),
        (11, 1),
    ]


def test_progress_counts_the_rows(table: Project) -> None:
    """Every batch tells the rows so far; a condition leaves the other rows alone."""
    table.revision("op.execute('UPDATE a SET n = 5 WHERE y % 2 = 0')")
    events: list[Event] = []
    upgrade(table.config, "head", report=events.append)
    moved = [event.rows for event in events if isinstance(event, BackfillMoved)]
    assert moved == sorted(moved)
    assert moved[-1] == ROWS // 2
    assert table.query("SELECT count(*) FROM a WHERE n = 5") == [(ROWS // 2,)]


def test_a_row_that_is_locked_makes_batches_smaller_and_holds_nobody(table: Project) -> None:
    """While a user holds a row, the backfill gives its rows back each time; then it ends."""
    table.revision("op.execute('DELETE FROM a WHERE y <= 5000')")
    events: list[Event] = []
    with holding(table.database, "UPDATE a SET n = 9 WHERE y = 2500") as user:

        def report(event: Event) -> None:
            events.append(event)
            if type(event).__name__ == "LockBusy":
                user.commit()

        upgrade(table.config, "head", report=report)
    assert "LockBusy" in {type(event).__name__ for event in events}
    assert table.query("SELECT count(*) FROM a") == [(ROWS - 5_000,)]


def test_a_write_to_rows_named_by_their_key_stays_one_statement(table: Project) -> None:
    """It runs in the revision's own transaction, as written."""
    table.revision("op.execute(\"UPDATE a SET n = 7 WHERE x = 'x1' AND y IN (1, 8)\")")
    events: list[Event] = []
    upgrade(table.config, "head", report=events.append)
    assert {type(event).__name__ for event in events} == {"RevisionStarted", "RevisionDone"}
    assert table.query("SELECT count(*) FROM a WHERE n = 7") == [(2,)]


@pytest.mark.parametrize(
    ("env", "driver"),
    [(SYNC_ENV, "psycopg2"), (ASYNC_ENV, "psycopg"), (ASYNC_ENV, "asyncpg")],
    ids=["psycopg2", "async psycopg", "asyncpg"],
)
def test_with_every_driver(project: Project, env: str, driver: str) -> None:
    """What is asked between batches, and before them, is asked in a form that each of them can send."""
    project.revision("op.execute('CREATE TABLE t (id int PRIMARY KEY, a int)')")
    upgrade(project.config, "head")
    project.query("INSERT INTO t SELECT n, n FROM generate_series(1, 3000) AS n")
    project.env(env, driver=driver)
    project.revision("op.create_index('t_a', 't', ['a'])\nop.execute('UPDATE t SET a = a + 1')")
    upgrade(project.config, "head")
    assert project.query("SELECT sum(a - id) FROM t") == [(3000,)]
