"""One window: a fresh copy of the shop, traffic, the tool until it succeeds, a short tail; then the figures."""

import json
import random
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

from holdfast.scratch.server import EmbeddedServer
from live.database import SHOP, Database, Rows, fresh_copy
from live.figures import Figures, Span, failed, latencies, percentile
from live.scenarios import Scenario
from live.standby import Pair, Reports
from live.tools import Tool
from live.traffic import Request, traffic

TAIL = 2.0  # s: a queue that the tool left behind is worked off, and belongs to its figures
BETWEEN_RUNS = 1.0  # s
TIME_LIMIT = 300  # s for all runs of a tool in one window


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What is the same for all windows of a run."""

    server: EmbeddedServer
    rows: Rows
    most_runs: int
    no_change: float  # s that the window without a change lasts
    out: Path
    pair: Pair | None = None  # with the standby, where a scenario has one


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the tool fared."""

    span: Span
    runs: int
    completed: bool


def measure(bench: Bench, scenario: Scenario, tool: Tool, *, number: int) -> Figures:
    """The figures of one window; its latencies and what the tool printed are in the folder `out`."""
    database = fresh_copy(bench.server)
    if scenario.changes:
        database.prepare(scenario.changes, bench.rows.by_table)
        if tool.adopt:
            database.run(*tool.adopt, more=tool.environment, folder=tool.folder)
    name = f"{scenario.name}-{tool.name}-{number}"
    # In a round all tools meet the same requests and holders, in the next round others.
    chance = random.Random(f"{scenario.name} {number}")
    seed = chance.randrange(2**31)
    standby = _standby(bench) if scenario.has_standby else None
    if standby is not None:
        tool = replace(tool, environment={**tool.environment, "HOLDFAST_STANDBYS": standby.url})
    reports = None if standby is None else Reports(standby)
    with traffic(database, scenario, rows=bench.rows.by_table, seed=seed, standby=standby) as load:
        if reports is not None:
            reports.start()
        time.sleep(chance.uniform(3, 5))
        outcome = _change(bench, tool, database, log=_file(bench.out / "logs", f"{name}.txt"))
        time.sleep(TAIL)
        if reports is not None:
            reports.stop()
        load.stop()
        there = [] if load.readers is None else load.readers.requests()
        requests, held = load.users.requests(), load.holders.requests()
    _keep(requests, outcome.span, file=_file(bench.out / "latencies", f"{name}.json"))
    times = latencies(requests, outcome.span)
    writes = latencies([r for r in requests if scenario.is_write(r.script)], outcome.span)
    reads = latencies([r for r in requests if not scenario.is_write(r.script)], outcome.span)
    if not times:
        raise RuntimeError(f"{name}: no request was answered; is pgbench able to run?")
    return Figures(
        scenario=scenario.name,
        tool=tool.name,
        round=number,
        longest=times[-1],
        p999=percentile(times, 0.999),
        p50=percentile(times, 0.5),
        over_1s=sum(latency > 1000 for latency in times),
        requests=len(times),
        failed=failed([*requests, *held], outcome.span),
        wall=outcome.span.end - outcome.span.start,
        runs=outcome.runs,
        completed=outcome.completed,
        missing=_missing(database, scenario) if tool.command and outcome.completed else (),
        reads_p999=percentile(reads, 0.999),
        writes_p999=percentile(writes, 0.999),
        writes_longest=percentile(writes, 1.0),
        standby_longest=percentile(latencies(there, outcome.span), 1.0),
        standby_failed=failed([*there, *(reports.done if reports else ())], outcome.span),
    )


def _standby(bench: Bench) -> Database:
    """The shop there, once the copy is replayed."""
    assert bench.pair is not None
    bench.pair.wait_for_replay()
    return Database(url=bench.pair.standby.url(SHOP))


def _missing(database: Database, scenario: Scenario) -> list[str]:
    return database.left_of(scenario.changes) if scenario.changes else database.missing()


def _change(bench: Bench, tool: Tool, database: Database, *, log: Path) -> Outcome:
    """Run the tool, and again when it fails: as whoever deploys with it has to."""
    start = time.time()
    if not tool.command:
        time.sleep(bench.no_change)
        return Outcome(span=Span(start=start, end=time.time()), runs=0, completed=True)
    with log.open("w") as output:
        for run in range(1, bench.most_runs + 1):
            left = start + TIME_LIMIT - time.time()
            completed = _run(tool, database, output=output.fileno(), limit=left)
            end = time.time()
            if completed or run == bench.most_runs or end - start > TIME_LIMIT - BETWEEN_RUNS:
                break
            time.sleep(BETWEEN_RUNS)
    return Outcome(span=Span(start=start, end=end), runs=run, completed=completed)


def _run(tool: Tool, database: Database, *, output: int, limit: float) -> bool:
    """Whether it succeeded; what takes longer than the limit (s) is killed."""
    try:
        ended = subprocess.run(
            tool.command,
            cwd=tool.folder,
            env=database.environment(tool.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def _keep(requests: list[Request], span: Span, *, file: Path) -> None:
    """For the picture: [s after the start of the tool, ms or null] per request."""
    points = [
        [
            round(request.due - span.start, 3),
            request.latency and round(request.latency * 1000, 2),
        ]
        for request in requests
    ]
    file.write_text(json.dumps({"wall": round(span.end - span.start, 3), "requests": points}))


def _file(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name
