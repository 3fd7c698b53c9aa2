"""A run waits while somebody asks for it, and holds nothing meanwhile."""

from datetime import timedelta
from time import sleep

import pytest
from alembic_project import Project
from backends import wait_until
from background import BackgroundRun
from click.testing import CliRunner

from holdfast.cli import holdfast
from holdfast.execute import backfill_pace
from holdfast.execute.progress import BackfillMoved, BackfillPaused, RunPaused
from holdfast.migrate.run import upgrade
from holdfast.testing.blockers import holding

ADD = 'op.execute("UPDATE t SET a = a + 1")'
TOUCHED = "SELECT count(*) FROM t WHERE a = id + 1"


def test_holdfast_pause_and_resume(in_use: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run waits between two batches, for as long as the row is there."""
    monkeypatch.chdir(in_use.folder)
    in_use.revision(ADD)
    command = CliRunner()
    assert command.invoke(holdfast, ["pause"], catch_exceptions=False).exit_code == 0
    run = BackgroundRun(in_use)
    wait_until(lambda: any(isinstance(e, RunPaused) for e in run.events), what="the pause")
    assert not any(isinstance(e, BackfillMoved) for e in run.events)
    with holding(in_use.database, "LOCK TABLE t IN ACCESS EXCLUSIVE MODE NOWAIT"):
        pass
    in_use.query(
        "DELETE FROM holdfast.pause"
    )  # what resume does: Alembic has one project a process
    run.end()
    assert in_use.query(TOUCHED) == [(5000,)]
    said = [command.invoke(holdfast, [verb]).output for verb in ("resume", "pause", "resume")]
    assert [said[0], said[2]] == ["nothing was paused\n", "resumed\n"]


def test_a_signal_pauses_too(in_use: Project) -> None:
    """Whoever calls `upgrade` says when."""
    in_use.revision(ADD)
    events: list[object] = []
    asked = [True, True, False]
    upgrade(
        in_use.config,
        "head",
        report=events.append,
        should_pause=lambda: asked.pop(0) if asked else False,
    )
    assert [event for event in events if isinstance(event, RunPaused)] == [
        RunPaused(asked_by="a signal")
    ] * 2


HELD = """
    SELECT mode FROM pg_locks WHERE granted AND relation = 't'::regclass
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND mode <> 'AccessShareLock'
"""


def test_rows_per_second(in_use: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """HOLDFAST_BACKFILL_ROWS_PER_SECOND bounds a backfill: 50,000 rows at 40,000 take a second at least.

    While it waits for the next batch it holds no row.
    """
    monkeypatch.setenv("HOLDFAST_BACKFILL_ROWS_PER_SECOND", "40000")
    held: list[object] = []

    def wait(seconds: float) -> None:
        held.extend(in_use.query(HELD))
        sleep(seconds)

    monkeypatch.setattr(backfill_pace, "sleep", wait)
    in_use.revision(ADD)
    events: list[object] = []
    upgrade(in_use.config, "head", report=events.append)
    last = [event for event in events if isinstance(event, BackfillMoved)][-1]
    assert last.rows / last.took.total_seconds() <= 40_000
    assert held == []


def test_a_backfill_waits_for_a_vacuum_of_its_table(
    in_use: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever vacuums it: the batches would make its work anew."""
    monkeypatch.setattr(backfill_pace, "LOOK_AT_OTHERS_AFTER", timedelta(milliseconds=20))
    monkeypatch.setattr(backfill_pace, "vacuum_of", lambda *_: next(vacuums, None))
    vacuums = iter([17, 17])
    in_use.revision(ADD)
    events: list[object] = []
    upgrade(in_use.config, "head", report=events.append)
    whys = [event.why for event in events if isinstance(event, BackfillPaused)]
    assert whys == ["pid 17 vacuums the table"] * 2
    assert in_use.query(TOUCHED) == [(5000,)]
