"""Every row of a large table is written by a migration: `holdfast run` beside one UPDATE, under live traffic.

`./dev bench backfill [--quick]`. An ordinary Alembic revision sets a text column of two million orders from another
one, under 200 requests a second, open loop, the latency of each counted from when it was due; the same again where 30
of 100 requests write instead of 15. Each window has a fresh copy of the shop; windows of the ways alternate; medians.
`--quick`: 200,000 orders, one window each. Status 1 when a full run misses its target: wall at most 1.2 times one
UPDATE, the longest request at most twice that without a change; p99.9 of writes at most twice that without a change,
or 50 ms more, in both kinds of traffic.
Last line: `backfill: times_update=… longest_ms=… none_ms=… update_ms=… failed=… writes_p999_ms=… none=…`.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
import psycopg
from live.database import Database, Rows, fresh_copy, shop_server
from live.figures import Span, failed, latencies, percentile
from live.scenarios import SCENARIOS, Scenario
from live.traffic import CONNECTIONS, RATE, REQUESTS, Pgbench

from holdfast.scratch.server import EmbeddedServer

UPDATE = "UPDATE orders SET note_norm = upper(note)"
BEFORE = """
    ALTER TABLE orders ADD COLUMN note_norm text;
    CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
    INSERT INTO alembic_version VALUES ('r1');
"""
NOT_WRITTEN = (
    "SELECT count(*) FROM orders WHERE note_norm IS DISTINCT FROM upper(note) AND note IS NOT NULL"
)
SIZE = "SELECT pg_total_relation_size('orders')"
ENV = """
import os
from alembic import context
from sqlalchemy import create_engine, pool

with create_engine(os.environ["DATABASE_URL"], poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """from alembic import op

revision, down_revision = {revision!r}, {before!r}


def upgrade() -> None:
    {change}
"""
WARM_UP, TAIL = 4.0, 2.0  # s
TIMES_UPDATE, TIMES_NONE = 1.2, 2.0
TIME_LIMIT = 1800  # s


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What was found in one window; times in ms, wall in s, size in MB."""

    longest: float
    p999: float
    reads_p999: float
    writes_p999: float
    p50: float
    over_1s: int
    failed: int
    wall: float
    size: float


Way = Callable[[Database, Path], None]


def no_change(seconds: float) -> Way:
    return lambda _database, _folder: time.sleep(seconds)


def one_update(database: Database, _: Path) -> None:
    with psycopg.connect(database.url) as connection:
        connection.execute(UPDATE)


def ours(database: Database, folder: Path) -> None:
    database.run(str(Path(sys.executable).parent / "holdfast"), "run", folder=folder)


def write_project(folder: Path) -> None:
    (folder / "versions").mkdir(parents=True)
    (folder / "alembic.ini").write_text(
        "[alembic]\nscript_location = %(here)s\npath_separator = os\n"
    )
    (folder / "env.py").write_text(ENV)
    for revision, before, change in (("r1", None, "pass"), ("r2", "r1", f"op.execute({UPDATE!r})")):
        source = REVISION.format(revision=revision, before=before, change=change)
        (folder / "versions" / f"{revision}.py").write_text(source)


def measure(
    server: EmbeddedServer, rows: Rows, way: Way, *, scenario: Scenario, is_change: bool, seed: int
) -> Window:
    database = fresh_copy(server)
    with (
        tempfile.TemporaryDirectory() as place,
        psycopg.connect(database.url, autocommit=True) as connection,
    ):
        folder = Path(place)
        connection.execute(BEFORE)
        write_project(folder / "project")
        users = traffic(database, rows, scenario, folder=folder, seed=seed)
        try:
            time.sleep(WARM_UP)
            start = time.time()
            way(database, folder / "project")
            span = Span(start=start, end=time.time())
            time.sleep(TAIL)
            users.stop()
        finally:
            users.kill()
        [size] = connection.execute(SIZE).fetchone() or (0,)
        if is_change and connection.execute(NOT_WRITTEN).fetchone() != (0,):
            sys.exit("not every row was written")
        requests = users.requests()
    times = latencies(requests, span)
    writes = latencies([r for r in requests if scenario.is_write(r.script)], span)
    reads = latencies([r for r in requests if not scenario.is_write(r.script)], span)
    return Window(
        longest=times[-1],
        p999=percentile(times, 0.999),
        reads_p999=percentile(reads, 0.999),
        writes_p999=percentile(writes, 0.999),
        p50=percentile(times, 0.5),
        over_1s=sum(latency > 1000 for latency in times),
        failed=failed(requests, span),
        wall=span.end - span.start,
        size=size / 1e6,
    )


def traffic(
    database: Database, rows: Rows, scenario: Scenario, *, folder: Path, seed: int
) -> Pgbench:
    """The requests of a scenario, without transactions that stay open."""
    numbers = [f"--define={table}={number}" for table, number in rows.by_table.items()]
    files = [f"--file={REQUESTS / name}.sql@{part}" for name, part in scenario.requests.items()]
    return Pgbench(
        database,
        name="users",
        folder=folder,
        arguments=[
            f"--random-seed={seed}",
            f"--rate={RATE}",
            f"--client={CONNECTIONS}",
            *numbers,
            *files,
        ],
    )


def table(found: Mapping[str, list[Window]]) -> str:
    """Markdown; medians of the windows."""
    lines = [
        (
            "| | wall, s | times one UPDATE | longest request, ms | p99.9, ms | of reads | of writes | over 1 s"
            " | failed | table after, MB |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    update = of(found["update"], "wall")
    for name, title in TITLES.items():
        windows = found[name]
        wall = of(windows, "wall")
        took = ("", "") if name == "none" else (f"{wall:.1f}", f"{wall / update:.2f}")
        rest = (
            f"{of(windows, part):.0f}"
            for part in (
                "longest",
                "p999",
                "reads_p999",
                "writes_p999",
                "over_1s",
                "failed",
                "size",
            )
        )
        lines.append(f"| {title} | {' | '.join((*took, *rest))} |")
    return "\n".join(lines)


def of(windows: list[Window], name: str) -> float:
    return median(getattr(window, name) for window in windows)


TITLES = {
    "none": "no change",
    "update": "one UPDATE: the limit",
    "ours": "holdfast run, in batches",
}


TRAFFIC = ("A2", "A6")  # 15 and 30 of 100 requests write


def bench(*, quick: bool) -> bool:
    rows = Rows(orders=(200_000 if quick else 2_000_000))
    ways = {"none": no_change(5 if quick else 20), "update": one_update, "ours": ours}
    found: dict[str, dict[str, list[Window]]] = {
        kind: {name: [] for name in ways} for kind in TRAFFIC
    }
    with shop_server(rows) as server:
        for number in range(1 if quick else 3):
            for kind in TRAFFIC:
                for name, way in ways.items():
                    window = measure(
                        server,
                        rows,
                        way,
                        scenario=SCENARIOS[kind],
                        is_change=name != "none",
                        seed=number + 1,
                    )
                    found[kind][name].append(window)
                    print(f"{kind} {name} #{number + 1}: {window}", file=sys.stderr, flush=True)
    for kind, windows in found.items():
        print(f"\nOf 100 requests {15 if kind == 'A2' else 30} write.\n\n{table(windows)}")
    kept = [writes_kept(windows) for windows in found.values()]
    usual, busy = found["A2"], found["A6"]
    times = of(usual["ours"], "wall") / of(usual["update"], "wall")
    longest, none = of(usual["ours"], "longest"), of(usual["none"], "longest")
    print(
        f"backfill: times_update={times:.2f} longest_ms={longest:.0f} none_ms={none:.0f}"
        f" update_ms={of(usual['update'], 'longest'):.0f} failed={sum(w.failed for w in usual['ours'])}"
        f" writes_p999_ms={of(busy['ours'], 'writes_p999'):.0f} none={of(busy['none'], 'writes_p999'):.0f}"
    )
    return quick or (times <= TIMES_UPDATE and longest <= TIMES_NONE * none and all(kept))


def writes_kept(windows: Mapping[str, list[Window]]) -> bool:
    """Whether users' writes waited no longer than promised."""
    ours, none = of(windows["ours"], "writes_p999"), of(windows["none"], "writes_p999")
    return ours <= max(2 * none, none + 50)


@click.command()
@click.option("--quick", is_flag=True)
def main(quick: bool) -> None:
    try:
        sys.exit(not bench(quick=quick))
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        sys.exit(3)


main()
