"""What a run prints: in a log few lines with all figures, on a narrow terminal the figures before the statement."""

import json
from datetime import UTC, datetime, timedelta

import forked
import pytest
from alembic_project import Project
from psycopg.conninfo import conninfo_to_dict

from holdfast.cli.event_stream import EventStream
from holdfast.cli.report import Printer, cut_to_fit, live_line, moved
from holdfast.execute.progress import (
    BackfillMoved,
    BackfillPaused,
    Event,
    LockBusy,
    RevisionDone,
    RevisionStarted,
    StepDone,
    StepStarted,
    StepWatched,
    WaitingForLeader,
)
from holdfast.observe.blockers import Blocker, BlockerKind
from holdfast.observe.watched_step import Watched

FILL = "fill public.t in batches: UPDATE public.t SET b = a WHERE b IS NULL"
STARTED = StepStarted(revision="r2", number=1, steps=2, step=FILL)


def batches(seconds: int) -> list[tuple[float, Event]]:
    """A batch a second, a thousand rows each, of a hundred thousand."""
    return [
        (
            float(n),
            BackfillMoved(step=FILL, rows=n * 1000, of=100_000, took=timedelta(seconds=n)),
        )
        for n in range(1, seconds + 1)
    ]


def printed(events: list[tuple[float, Event]], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines on stderr, without a terminal; each event at its time."""
    now = [0.0]
    printer = Printer(clock=lambda: now[0])
    for time, event in events:
        now[0] = time
        printer(event)
    return capsys.readouterr().err.splitlines()


def test_a_backfill_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    """A line every 30 seconds at most, with its share and the time that is left; none for a short one."""
    done = (71.0, StepDone(started=STARTED, took=timedelta(seconds=71)))
    assert printed([(0.0, STARTED), *batches(70), done], capsys) == [
        f"     {FILL}: 30%, 30,000 of about 100,000 rows, 70 s left",
        f"     {FILL}: 60%, 60,000 of about 100,000 rows, 40 s left",
        f"     step 1 of 2: {FILL} (71.00 s)",
    ]
    assert printed([(0.0, STARTED), *batches(29)], capsys) == []


def test_a_build_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    """So every look at any other long step, and a pause for a replica."""
    step = "build index i on public.t"
    looks: list[tuple[float, Event]] = [
        (
            2.0 * n,
            StepWatched(step=step, seen=Watched(phase="building index", done=n / 50, waits_for=())),
        )
        for n in range(40)
    ]
    paused = (90.0, BackfillPaused(step=step, why="a replica is 12 s behind"))
    assert printed(
        [(0.0, StepStarted(revision="r", number=1, steps=1, step=step)), *looks, paused], capsys
    ) == [
        f"     {step}: building index 30%",
        f"     {step}: building index 60%",
        f"     {step}: waiting: a replica is 12 s behind",
    ]


def test_whoever_is_in_the_way_of_a_long_step_is_named_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever the step is: a budget for locks may be spent before a log has its next line. Then every 30 seconds."""
    step = "build index i on public.t"
    looks: list[tuple[float, Event]] = []
    for n in range(1, 20):
        who = "pid 7 (app)" if n < 18 else "pid 8 (app)"
        seen = Watched(phase="waiting for writers", done=None, waits_for=(who,))
        looks.append((2.0 * n, StepWatched(step=step, seen=seen)))
    assert printed(
        [(0.0, StepStarted(revision="r", number=1, steps=1, step=step)), *looks], capsys
    ) == [
        f"     {step}: waiting for writers, waits for pid 7 (app)",
        f"     {step}: waiting for writers, waits for pid 7 (app)",
        f"     {step}: waiting for writers, waits for pid 8 (app)",
    ]


def test_a_replica_that_waits_does_not_repeat_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each holder, not for each look."""
    waits: list[tuple[float, Event]] = [
        (float(n), WaitingForLeader(holder="pid 7 (app)" if n < 50 else "pid 8 (app)"))
        for n in range(100)
    ]
    assert printed(waits, capsys) == [
        "waiting: another process migrates: pid 7 (app)",
        "waiting: another process migrates: pid 8 (app)",
    ]


def of_revision(revision: str, database: str) -> list[tuple[float, Event]]:
    return [
        (
            0.0,
            RevisionStarted(revision=revision, description="d", direction="up", database=database),
        ),
        (
            1.0,
            RevisionDone(
                revision=revision,
                description="d",
                direction="up",
                took=timedelta(seconds=1),
                database=database,
            ),
        ),
    ]


def test_several_databases_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Where env.py goes on to another one, and in the last line; a project with one reads as before."""
    printer = Printer()
    for _, event in (*of_revision("r1", "shop"), *of_revision("r2", "shop")):
        printer(event)
    assert printer.summary(nothing="") == "applied 2: r1, r2 (2.00 s)"
    for _, event in of_revision("r1", "sales"):
        printer(event)
    assert capsys.readouterr().err.splitlines() == [
        "up   r1 d ...",
        "     done in 1.00 s",
        "up   r2 d ...",
        "     done in 1.00 s",
        "database sales:",
        "up   r1 d ...",
        "     done in 1.00 s",
    ]
    assert printer.summary(nothing="") == "applied 3: r1 in shop, r2 in shop, r1 in sales (3.00 s)"


def test_a_lock_that_is_not_free(capsys: pytest.CaptureFixture[str]) -> None:
    """What wants it, who has it since when with which query, and how to make room; 1, 2, 4, 8 times, not each time."""
    blocker = Blocker(
        kind=BlockerKind.IDLE_IN_TRANSACTION,
        transaction="3/7",
        pid=71,
        who="app, web",
        relation="t",
        mode="AccessShareLock",
        since=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        query="SELECT * FROM t WHERE id = $1",
    )
    tries: list[tuple[float, Event]] = [
        (0.0, LockBusy(what="ALTER TABLE t ADD b int", tries=n, blockers=(blocker,)))
        for n in range(1, 5)
    ]
    gone: tuple[float, Event] = (0.0, LockBusy(what="DROP TABLE t", tries=1, blockers=()))
    held = (
        "session idle in transaction pid 71 (app, web) holds AccessShareLock on t since "
        "2026-01-02 03:04:05+0000, last query: SELECT * FROM t WHERE id = $1; to make room: "
        "end its transaction, or SELECT pg_terminate_backend(71)"
    )
    assert printed([*tries, gone], capsys) == [
        *(f"     lock not free, try {n}: ALTER TABLE t ADD b int: {held}" for n in (1, 2, 4)),
        "     lock not free, try 1: DROP TABLE t: its holder is gone by now",
    ]


@pytest.mark.parametrize(
    ("left", "words"), [(0.4, "under a second"), (61.7, "62 s"), (125, "2 min"), (20_000, "6 h")]
)
def test_an_estimate_has_no_decimals(left: float, words: str) -> None:
    """It is one: 42 s, not 41.97 s."""
    assert moved(1000, 2000, timedelta(seconds=left)) == (
        f"50%, 1,000 of about 2,000 rows, {words} left"
    )
    assert moved(2001, 2000, timedelta(seconds=left)) == "2,001 rows, nearly done"


@pytest.mark.parametrize(
    ("width", "rows", "of", "line"),
    [
        (200, 17_000, 50_000, f"{FILL}: 34%, 17,000 of about 50,000 rows, 43 s left"),
        (80, 17_000, 50_000, "fill public.t in batches: UPDA...: 34%, 17,000 of about 50,000 rows, 43 s left"),
        (60, 17_000, 50_000, "fill publi...: 34%, 17,000 of about 50,000 rows, 43 s left"),
        (60, 170_000, 500_000, "fill pub...: 34%, 170,000 of about 500,000 rows, 43 s left"),
        (60, 33_000_000, 97_000_000, "34%, 33,000,000 of about 97,000,000 rows, 43 s left"),
        (40, 17_000, 50_000, "34%, 17,000 of about 50,000 rows, 43 s left"),
    ],
)  # fmt: skip
def test_the_statement_is_cut_and_the_figures_stay(
    width: int, rows: int, of: int, line: str
) -> None:
    """Whatever the numbers are: at 60 columns all of them are on the line, if need be without the statement."""
    figures = moved(rows, of, timedelta(seconds=22))
    assert live_line(FILL, figures=figures, width=width) == line
    assert len(line) + 2 <= width or line == figures


def test_a_step_that_is_done_is_one_line() -> None:
    """Its number before it and its time behind it stay."""
    figures = ("     step 1 of 2: ", " (71.00 s)")
    cut = cut_to_fit(FILL, figures="".join(figures), width=60)
    assert cut.join(figures) == "     step 1 of 2: fill public.t in batches: UPD... (71.00 s)"


def run_as_json(project: Project, *arguments: str) -> tuple[int, list[dict[str, object]]]:
    """The exit status, and stdout line by line."""
    ended = forked.holdfast(*arguments, "--format", "json", cwd=project.folder)
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()]


def test_json_is_a_stream_of_events(project: Project) -> None:
    """Each line an event with its name; the last one is the result."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    status, lines = run_as_json(project, "run")
    assert (status, [line["event"] for line in lines]) == (
        0,
        ["revision_started", "revision_done", "result"],
    )
    assert lines[0] == {
        "event": "revision_started",
        "revision": "r1",
        "description": "about r1",
        "direction": "up",
        "database": conninfo_to_dict(project.database)["dbname"],
    }
    project.query("INSERT INTO a SELECT 1 FROM generate_series(1, 2)")
    project.revision("op.create_index('i', 'a', ['id'])")
    status, lines = run_as_json(project, "run")
    assert [line["event"] for line in lines] == [
        *("revision_started", "disk_needed", "statement_planned", "step_started", "step_done"),
        *("revision_done", "result"),
    ]
    assert run_as_json(project, "run") == (0, [{"event": "result", "done": [], "departures": []}])


def test_json_also_on_failure(project: Project) -> None:
    """The last line is the error in its three parts, with the exit status and what was done before."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    project.revision("op.execute('SELECT 1/0')")
    status, lines = run_as_json(project, "run")
    failed = lines[-1]
    [done] = failed.pop("done")  # type: ignore[misc]  # a list of one
    assert (status, done["revision"]) == (3, "r1")
    assert failed == {
        "event": "failed",
        "error": "DatabaseRefused",
        "what": "The database answered with an error (22012): division by zero\nThe statement was: SELECT 1/0",
        "why": "Revision r2 was rolled back; those before it stay.",
        "remedy": "Correct what the message names, then run again: holdfast run. What is applied: holdfast status",
        "exit_status": 3,
    }


def test_what_is_told_again_and_again_is_one_line_a_second(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A batch lasts 50 ms: a stream must not fill a disk."""
    now = [0.0]
    stream = EventStream(clock=lambda: now[0])
    for n in range(1, 101):
        now[0] = n / 20
        stream(BackfillMoved(step=FILL, rows=n, of=100, took=timedelta(seconds=n / 20)))
    rows = [json.loads(line)["rows"] for line in capsys.readouterr().out.splitlines()]
    assert rows == [20, 40, 60, 80, 100]
