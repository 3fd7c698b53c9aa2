"""What takes long says how far it is, and whom it waits for."""

from datetime import timedelta

import pytest
from alembic_project import Project
from backends import wait_until
from background import BackgroundRun
from old_snapshot import old_snapshot

from holdfast.errors.migration import WaitedTooLong
from holdfast.execute import watcher
from holdfast.execute.progress import StepWatched
from holdfast.migrate.run import upgrade

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


def _watched(run: BackgroundRun) -> list[StepWatched]:
    return [event for event in run.events if isinstance(event, StepWatched)]
