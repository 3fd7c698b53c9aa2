"""A run waits while somebody asks for it, and holds nothing meanwhile."""

from datetime import timedelta
from time import sleep

import pytest
from alembic_project import Project
from backends import wait_until
from background import BackgroundRun
from click.testing import CliRunner

from holdfast.cli import holdfast
from holdfast.errors.unfinished import StoppedBetweenSteps, StoppedWhileWaiting
from holdfast.execute import backfill_pace
from holdfast.execute.progress import BackfillMoved, BackfillPaused, Event, RunPaused, StepDone
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


def test_a_run_that_keeps_to_its_limit_can_be_stopped(
    in_use: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few rows a second are allowed: a batch has no more of them, and it waits for the next in moments."""
    in_use.revision(ADD)
    monkeypatch.setenv("HOLDFAST_BACKFILL_ROWS_PER_SECOND", "3")
    events: list[Event] = []

    def has_moved() -> bool:
        return any(isinstance(event, BackfillMoved) for event in events)

    with pytest.raises(StoppedBetweenSteps):
        upgrade(in_use.config, "head", report=events.append, should_stop=has_moved)
    [moved] = [event.rows for event in events if isinstance(event, BackfillMoved)]
    assert moved == 3


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
    [step] = [event for event in events if isinstance(event, StepDone)]
    assert last.rows / step.took.total_seconds() <= 40_000
    assert held == []


@pytest.mark.parametrize(
    ("look", "found", "why"),
    [
        ("vacuum_of", [17, 17, None], "pid 17 vacuums the table"),
        ("archiver_lag", [3_000_000_000] * 2 + [0], "the archiver of WAL is 3000 MB behind"),
    ],
)
def test_a_backfill_waits_for_what_it_would_make_worse(
    in_use: Project, monkeypatch: pytest.MonkeyPatch, look: str, found: list[object], why: str
) -> None:
    """Whoever vacuums its table, and an archiver that lags: the batches would make more work for both."""
    monkeypatch.setattr(backfill_pace, "LOOK_AT_OTHERS_AFTER", timedelta(milliseconds=20))
    monkeypatch.setattr(
        backfill_pace, look, lambda *_: found.pop(0) if len(found) > 1 else found[0]
    )
    in_use.revision(ADD)
    events: list[object] = []
    upgrade(in_use.config, "head", report=events.append)
    whys = [event.why for event in events if isinstance(event, BackfillPaused)]
    assert whys == [why] * 2
    assert in_use.query(TOUCHED) == [(5000,)]


def test_a_backfill_that_waits_can_be_stopped(
    in_use: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the other one takes: Ctrl-C ends the wait, and the next run does the rest."""
    monkeypatch.setattr(backfill_pace, "LOOK_AT_OTHERS_AFTER", timedelta(milliseconds=20))
    in_use.revision(ADD)
    events: list[object] = []
    with monkeypatch.context() as lagging:
        lagging.setattr(backfill_pace, "archiver_lag", lambda _: 3_000_000_000)
        with pytest.raises(StoppedWhileWaiting, match="the archiver of WAL is 3000 MB behind"):
            upgrade(
                in_use.config,
                "head",
                report=events.append,
                should_stop=lambda: any(isinstance(event, BackfillPaused) for event in events),
            )
    upgrade(in_use.config, "head")
    assert in_use.query(TOUCHED) == [(5000,)]
