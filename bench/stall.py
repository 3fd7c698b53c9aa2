"""What users wait for while the schema changes: live traffic beside ours, hand-written SQL and the peers.

`./dev bench stall [--quick]`. A shop of two million orders gets nine indexes, two version columns, a sessions table,
a NOT NULL, a foreign key and a unique constraint, under 200 requests a second and transactions that stay open; in A4
two columns change their type instead, one of them a key with three foreign keys; in A5 orders in 64 partitions get an
index, a unique constraint, a foreign key, a NOT NULL and one partition more; in A6 30 of 100 requests write; in A7 a
standby takes half of the reads.
Each window has a fresh copy of the
shop; windows of the tools alternate. Exit status 1 when
holdfast misses its target in a full run or a run is interrupted, 3 when a peer cannot be installed.
Last line: `stall: ours_ms=… none_ms=… alembic_ms=… failed=… runs=…`.
"""

import random
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import click
from environments import BENCH, NotInstalled
from live.database import Rows, shop_server, template
from live.figures import Figures
from live.results import CONDITIONS, FIGURES, keep, keep_conditions, new_folder, picture, read
from live.scenarios import SCENARIOS
from live.standby import FOLLOWED, standby_of
from live.summary import last_line, markdown, tables, verdict
from live.tools import ALEMBIC, NONE, OURS, TOOLS, Tool, has_changes, with_changes
from live.window import Bench, measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to measure."""

    scenarios: tuple[str, ...]
    tools: tuple[str, ...]
    windows: int
    rows: Rows
    most_runs: int
    no_change: float  # s


def windows_of(wanted: Wanted) -> list[tuple[str, str, int]]:
    """Scenario, tool and round, in the order of measuring: rounds alternate, tools are shuffled in each."""
    return [
        (scenario, tool, number)
        for number in range(1, wanted.windows + 1)
        for scenario in wanted.scenarios
        for tool in random.sample(wanted.tools, len(wanted.tools))
        if has_changes(tool, SCENARIOS[scenario].changes)
    ]


def measure_all(wanted: Wanted, tools: dict[str, Tool], *, out: Path) -> None:
    """Window after window, each written down when it is over."""
    say(f"seeding {wanted.rows.orders:,} orders; results go to {out}")
    with ExitStack() as servers:
        has_standby = any(SCENARIOS[name].has_standby for name in wanted.scenarios)
        server = servers.enter_context(shop_server(wanted.rows, FOLLOWED if has_standby else None))
        keep_conditions(server, wanted.rows, folder=out)
        for tool in tools.values():
            if tool.adopt:
                template(server).run(*tool.adopt, more=tool.environment, folder=tool.folder)
        bench = Bench(
            pair=servers.enter_context(standby_of(server)) if has_standby else None,
            server=server,
            rows=wanted.rows,
            most_runs=wanted.most_runs,
            no_change=wanted.no_change,
            out=out,
        )
        todo, begun = windows_of(wanted), time.monotonic()
        for done, (scenario, name, number) in enumerate(todo, 1):
            tool = tools[name]
            tool = with_changes(tool, SCENARIOS[scenario].changes)
            figures = measure(bench, SCENARIOS[scenario], tool, number=number)
            keep(figures, folder=out)
            spent = time.monotonic() - begun
            left = spent / done * (len(todo) - done)
            say(f"{done}/{len(todo)} {shown(figures)}; about {left / 60:.0f} min left")


def shown(figures: Figures) -> str:
    runs = f"{figures.runs} runs" if figures.completed else f"gave up after {figures.runs} runs"
    missing = f", not applied: {', '.join(figures.missing)}" if figures.missing else ""
    return (
        f"{figures.scenario} {figures.tool} #{figures.round}: longest {figures.longest:.0f} ms,"
        f" p99.9 {figures.p999:.0f} ms, {figures.over_1s} of {figures.requests} over 1 s,"
        f" {figures.failed} failed, {figures.wall:.1f} s in {runs}{missing}"
    )


def summarise(windows: list[Figures], *, folder: Path) -> bool:
    """Print the tables, the verdict and the last line; whether the target was kept."""
    found = tables(windows)
    conditions = folder / CONDITIONS
    if conditions.exists():
        print(conditions.read_text())
    for scenario, table in found.items():
        print(markdown(scenario, table))
    claims = [(scenario, claim) for scenario, table in found.items() for claim in verdict(table)]
    for scenario, claim in claims:
        print(f"{scenario} {'kept  ' if claim.is_kept else 'MISSED'} {claim.text}")
    print(last_line(found.values()))
    return all(claim.is_kept for _, claim in claims)


def say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


def run(wanted: Wanted, *, out: Path) -> Path:
    """The file with the figures of all windows, or of those before a Ctrl-C."""
    tools = {name: TOOLS[name]() for name in wanted.tools}
    folder = new_folder(out)
    for number in (signal.SIGINT, signal.SIGTERM):  # a job in the background ignores the first
        signal.signal(number, signal.default_int_handler)
    try:
        measure_all(wanted, tools, out=folder)
    except KeyboardInterrupt:
        say("interrupted; the figures are those of the windows so far")
    return folder / FIGURES


QUICK = Wanted(
    scenarios=("A1",),
    tools=(NONE, OURS, ALEMBIC),
    windows=1,
    rows=Rows(orders=400_000),
    most_runs=5,
    no_change=10,
)


@click.command()
@click.option(
    "--quick", is_flag=True, help="none, ours, Alembic; one window, small tables: A1 or --scenario."
)
@click.option("--windows", default=5, show_default=True, help="Per scenario and tool.")
@click.option("--scenario", "scenarios", multiple=True, type=click.Choice(list(SCENARIOS)))
@click.option("--only", "tools", multiple=True, type=click.Choice(list(TOOLS)))
@click.option("--rows", default=2_000_000, show_default=True, help="Orders; others in proportion.")
@click.option("--runs", default=5, show_default=True, help="After so many, a tool has given up.")
@click.option("--out", default=BENCH / "results" / "stall", type=click.Path(path_type=Path))
@click.option(
    "--summarise",
    "file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Measure nothing: the figures of a run before, its windows.jsonl.",
)
@click.option("--picture", "png", type=click.Path(path_type=Path), help="Draw latency over time.")
def main(
    *,
    quick: bool,
    windows: int,
    scenarios: tuple[str, ...],
    tools: tuple[str, ...],
    rows: int,
    runs: int,
    out: Path,
    file: Path | None,
    png: Path | None,
) -> None:
    few = QUICK
    if scenarios:
        smallest = 100_000 if {"A4", "A5"} & set(scenarios) else QUICK.rows.orders
        few = replace(QUICK, scenarios=scenarios, rows=Rows(orders=smallest))
    full = Wanted(
        scenarios=scenarios or tuple(SCENARIOS),
        tools=tools or tuple(TOOLS),
        windows=windows,
        rows=Rows(orders=rows),
        most_runs=runs,
        no_change=20,
    )
    try:
        figures = file or run(few if quick else full, out=out)
        found = [window for window in read(figures) if window.scenario in full.scenarios]
        kept = summarise(found, folder=figures.parent)
        if png is not None and found:
            picture(found, scenario=found[0].scenario, folder=figures.parent, png=png)
    except NotInstalled as error:
        say(f"bench stall: {error}\nTo do without it, name the others: --only ours --only none ...")
        sys.exit(3)
    is_complete = file or len(found) == len(windows_of(few if quick else full))
    sys.exit(0 if is_complete and (kept or quick) else 1)


main()
