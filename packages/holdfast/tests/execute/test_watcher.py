"""What takes long says how far it is, and nobody waits in silence: who is waited for is named, with the way out."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from alembic_project import ASYNC_ENV, SYNC_ENV, Project
from backends import wait_until
from background import BackgroundRun
from old_snapshot import old_snapshot

from holdfast.errors.locks import WaitedTooLong
from holdfast.execute import watcher
from holdfast.execute.progress import StepWatched
from holdfast.migrate.finish import prospects
from holdfast.migrate.run import upgrade
from holdfast.migrate.status import statuses
from holdfast.testing.blockers import holding

ENDS_WATCHER = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND query ~ 'pg_stat_progress_create_index|pg_blocking_pids'
"""
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass"


def test_a_build_names_the_snapshot_that_it_waits_for(in_use: Project) -> None:
    """Somebody's old snapshot, in another table, keeps it from its end."""
    in_use.revision("op.create_index('i', 't', ['a'])")
    with old_snapshot(in_use.database) as reader:
        pid = reader.info.backend_pid
        run = BackgroundRun(in_use)
        wait_until(lambda: bool(_watched(run)), what="a look at the build")
    run.end()
    watched = _watched(run)[0]
    seen = watched.seen
    assert (watched.step, seen.phase) == ("build index i on public.t", "waiting for old snapshots")
    [waits_for] = seen.waits_for
    assert waits_for.startswith(f"pid {pid} (postgres) idle in transaction since ")


def test_a_build_that_waits_too_long_ends_and_names_whom_it_waited_for(
    in_use: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is held then, and the next run cleans up and builds."""
    monkeypatch.setattr(watcher, "INTERVAL", timedelta(milliseconds=50))
    in_use.revision("op.create_index('i', 't', ['a'])")
    with old_snapshot(in_use.database) as reader:
        pid = reader.info.backend_pid
        with pytest.raises(WaitedTooLong) as raised:
            upgrade(in_use.config, "head", lock_budget=timedelta(milliseconds=200))
        assert raised.value.step == "build index i on public.t"
        [waits_for] = raised.value.waits_for
        assert waits_for.startswith(f"pid {pid} (postgres) idle in transaction since ")
        assert in_use.query(VALID) == [(False,)]
    upgrade(in_use.config, "head")
    assert in_use.query(VALID) == [(True,)]


def test_a_watcher_that_is_ended_disturbs_nobody(
    in_use: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever ends its connection: one line says that nobody looks, without a traceback, and the step goes on."""
    monkeypatch.setattr(watcher, "INTERVAL", timedelta(milliseconds=50))
    in_use.revision("op.create_index('i', 't', ['a'])")
    with old_snapshot(in_use.database):
        run = BackgroundRun(in_use)
        wait_until(lambda: bool(_watched(run)), what="a look at the build")
        in_use.query(ENDS_WATCHER)
        wait_until(lambda: "nobody looks how far" in caplog.text, what="the end of the looks")
    run.end()
    assert in_use.query(VALID) == [(True,)]
    assert "Traceback" not in caplog.text


def _watched(run: BackgroundRun) -> list[StepWatched]:
    return [event for event in run.events if isinstance(event, StepWatched)]


READS = {
    "a SELECT": "op.get_bind().execute(sa.text('SELECT count(*) FROM t')).all()",
    "a size": "op.get_bind().execute(sa.text(\"SELECT pg_table_size('t')\")).scalar()",
    "a write": "op.execute('INSERT INTO t (id) VALUES (-1)')",
}


@pytest.mark.parametrize(
    ("env", "driver", "read"),
    [
        (SYNC_ENV, "psycopg", "a SELECT"),
        (SYNC_ENV, "psycopg2", "a size"),
        (ASYNC_ENV, "asyncpg", "a write"),
    ],
)
def test_whatever_an_author_does_behind_a_locked_table_its_holder_is_named(
    in_use: Project, env: str, driver: str, read: str
) -> None:
    """State, application, since when, last query, and the statement that ends it; then it goes on."""
    in_use.env(env, driver=driver)
    in_use.revision(READS[read])
    with holding(in_use.database, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE") as other:
        run = BackgroundRun(in_use)
        wait_until(
            lambda: any(
                f"SELECT pg_terminate_backend({other.info.backend_pid})" in who
                and "idle in transaction since" in who
                and "LOCK TABLE t" in who
                for event in run.events
                if isinstance(event, StepWatched)
                for who in event.seen.waits_for
            ),
            what="the holder to be named",
        )
    run.end()


VERBS: dict[str, Callable[[Project], object]] = {
    "status": lambda project: statuses(project.config),
    "finish": lambda project: prospects(project.config),
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_finds_the_version_table_locked_names_its_holder(
    in_use: Project, verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Alembic looks there before anybody else does, in every verb."""
    caplog.set_level(logging.WARNING)
    in_use.revision("pass")
    with holding(in_use.database, "LOCK TABLE alembic_version") as other:
        thread = threading.Thread(target=_quietly, args=(VERBS[verb], in_use), daemon=True)
        thread.start()
        words = f"SELECT pg_terminate_backend({other.info.backend_pid})"
        wait_until(lambda: words in caplog.text, what="the holder to be named")
    thread.join(60)
    assert not thread.is_alive()


def _quietly(verb: Callable[[Project], object], project: Project) -> None:
    with suppress(Exception):  # what it finds, once it has been let through, is others' to test
        verb(project)
