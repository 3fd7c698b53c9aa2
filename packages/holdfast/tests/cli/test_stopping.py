"""SIGTERM and Ctrl-C end a run in the same way, whatever it is doing and whatever the driver; the next run goes on."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import forked
import pytest
from alembic_project import ASYNC_ENV, SYNC_ENV, Project
from backends import wait_until
from everywhere import each
from project_at_work import ProjectWith

from holdfast.cli.interrupt import pausing
from holdfast.migrate.run import upgrade
from holdfast.testing.blockers import holding

BUILDING = "SELECT count(*) FROM pg_stat_progress_create_index WHERE datname = current_database()"
SLEEPING = (
    "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep(600)%'"
    " AND datname = current_database()"
)
STOPPED_IN_STEP = [
    "error: Stopped within a step of revision r2, as asked: its statement was cancelled.",
    "The server has undone that statement; every step before it is recorded, nothing is locked.",
    "Go on where it stopped, starting that step again: holdfast run",
]


def test_a_signal_pauses_and_the_next_one_resumes() -> None:
    """SIGUSR1: asked for by the first, no longer by the second; behind it the signal is its owner's again."""
    before = signal.getsignal(signal.SIGUSR1)
    asked = []
    with pausing() as should_pause:
        for _ in range(3):
            asked.append(should_pause())
            os.kill(os.getpid(), signal.SIGUSR1)
    assert asked == [False, True, False]
    assert signal.getsignal(signal.SIGUSR1) is before


@pytest.fixture
def in_use(project_with: ProjectWith) -> Project:
    return project_with(
        "op.create_table('a', sa.Column('id', sa.Integer, primary_key=True))",
        then="INSERT INTO a SELECT generate_series(1, 10)",
    )


@contextmanager
def running(project: Project, *arguments: str) -> Iterator[forked.Forked]:
    process = forked.begin("holdfast", "run", *arguments, cwd=project.folder)
    try:
        assert process.stderr.readline() == "up   r2 about r2 ...\n"
        yield process
    finally:
        process.kill()
        process.wait(10)


def ended(process: forked.Forked) -> tuple[int, list[str]]:
    """The exit status and the error."""
    _, said = process.communicate(timeout=60)
    return process.returncode, said.splitlines()[-3:]


@pytest.mark.parametrize(
    ("env", "driver"),
    each([(SYNC_ENV, "psycopg"), (SYNC_ENV, "psycopg2"), (ASYNC_ENV, "asyncpg")], here=1),
)
@pytest.mark.parametrize("stop", ["SIGTERM", "Ctrl-C twice"])
def test_a_build_is_cancelled(in_use: Project, env: str, driver: str, stop: str) -> None:
    """It lasts longer than the grace period: cancelled, said, and the next run builds it."""
    in_use.env(env, driver=driver)
    in_use.revision("op.create_index('i', 'a', ['id'])")
    grace = "100ms" if stop == "SIGTERM" else "10min"
    with (
        holding(in_use.database, "INSERT INTO a VALUES (11)"),
        running(in_use, "--grace", grace) as process,
    ):
        wait_until(lambda: in_use.query(BUILDING) == [(1,)], what="the build")
        if stop == "SIGTERM":
            process.send_signal(signal.SIGTERM)
        else:
            process.send_signal(signal.SIGINT)
            said = process.stderr.readline()
            assert said == "stopping after this step; Ctrl-C again cancels it (safe too)\n"
            process.send_signal(signal.SIGINT)
        assert ended(process) == (130, STOPPED_IN_STEP)
    upgrade(in_use.config, "head")
    assert in_use.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") == [
        (True,)
    ]


def test_a_statement_of_the_revision_itself_is_cancelled(in_use: Project) -> None:
    """Also before anything is queued; nothing of it is left."""
    in_use.revision("op.execute('SELECT pg_sleep(600)')")
    with running(in_use, "--grace", "100ms") as process:
        wait_until(lambda: in_use.query(SLEEPING) == [(1,)], what="the statement")
        process.send_signal(signal.SIGTERM)
        assert ended(process) == (130, STOPPED_IN_STEP)
    assert in_use.query("SELECT version_num FROM alembic_version") == [("r1",)]


def test_within_the_grace_period_a_step_ends_by_itself(in_use: Project) -> None:
    """Then the run stops between two steps."""
    in_use.revision("op.create_index('i', 'a', ['id']); op.create_index('j', 'a', ['id'])")
    with running(in_use) as process:
        with holding(in_use.database, "INSERT INTO a VALUES (11)"):
            wait_until(lambda: in_use.query(BUILDING) == [(1,)], what="the build")
            process.send_signal(signal.SIGTERM)
            assert process.stderr.readline() == (
                "stopping after this step; what lasts longer than 25 s is cancelled (safe too)\n"
            )
        assert ended(process) == (
            130,
            [
                "error: Stopped between two steps of revision r2, as asked.",
                "Every step so far is recorded; nothing is locked, nothing is half done.",
                "Go on where it stopped: holdfast run",
            ],
        )
    assert in_use.query("SELECT to_regclass('i') IS NOT NULL, to_regclass('j')") == [(True, None)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_wait_for_a_lock_ends_at_once(in_use: Project, number: int) -> None:
    """Between two tries nothing is held: the budget of half an hour is not waited for."""
    in_use.revision("op.add_column('a', sa.Column('n', sa.Integer))")
    lock = "UPDATE a SET id = id"
    with holding(in_use.database, lock), running(in_use) as process:
        assert process.stderr
        assert process.stderr.readline().startswith(
            "     lock not free, try 1: revision r2: session idle in "
        )
        process.send_signal(number)
        assert ended(process) == (
            130,
            [
                "error: Stopped while it waited, as asked: revision r2.",
                "Nothing is locked, nothing is half done; every step before is recorded.",
                "Try again, or go on where it stopped: holdfast run",
            ],
        )
