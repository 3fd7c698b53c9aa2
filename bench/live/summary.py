"""The table of docs/benchmarks.md and the verdict, from the figures of the windows."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from live.figures import Figures, Spread, spread
from live.scenarios import SCENARIOS
from live.tools import ALEMBIC, IDEAL, NONE, OURS, TITLES

COLUMNS = (
    "| | longest stall, ms | p99.9, ms | of reads | of writes | requests over 1 s | failed | wall, s | runs |",
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
)
STANDBY_COLUMNS = (
    "| on the standby | longest stall of short reads, ms | failed or cancelled |",
    "|---|---:|---:|",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A tool in a scenario, over its windows."""

    windows: int
    longest: Spread
    p999: Spread
    reads_p999: Spread
    writes_p999: Spread
    standby_longest: Spread
    standby_failed: Spread
    over_1s: Spread
    failed: Spread
    walls: Mapping[int, float]  # by round
    runs: Spread
    completed: int
    missing: Sequence[str]


Table = Mapping[str, Row]  # by tool


def tables(windows: Sequence[Figures]) -> dict[str, Table]:
    """By scenario; tools in the order in which they were met first."""
    return {
        scenario: {
            tool: _row([w for w in windows if (w.scenario, w.tool) == (scenario, tool)])
            for tool in dict.fromkeys(w.tool for w in windows if w.scenario == scenario)
        }
        for scenario in SCENARIOS
        if any(window.scenario == scenario for window in windows)
    }


def _row(windows: Sequence[Figures]) -> Row:
    return Row(
        windows=len(windows),
        longest=spread([window.longest for window in windows]),
        p999=spread([window.p999 for window in windows]),
        reads_p999=spread([window.reads_p999 for window in windows]),
        writes_p999=spread([window.writes_p999 for window in windows]),
        standby_longest=spread([window.standby_longest for window in windows]),
        standby_failed=spread([window.standby_failed for window in windows]),
        over_1s=spread([window.over_1s for window in windows]),
        failed=spread([window.failed for window in windows]),
        walls={window.round: window.wall for window in windows},
        runs=spread([window.runs for window in windows]),
        completed=sum(window.completed for window in windows),
        missing=sorted({lacking for window in windows for lacking in window.missing}),
    )


def markdown(scenario: str, table: Table) -> str:
    """The scenario's table, median (least to most)."""
    rows = [_line(table[tool], tool=tool) for tool in TITLES if tool in table]
    there = [_on_standby(table[tool], tool=tool) for tool in TITLES if tool in table]
    more = ["", *STANDBY_COLUMNS, *there] if SCENARIOS[scenario].has_standby else []
    return "\n".join(
        [f"### {scenario}: {SCENARIOS[scenario].title}", "", *COLUMNS, *rows, *more, ""]
    )


def _on_standby(row: Row, *, tool: str) -> str:
    shown = f"**{TITLES[tool]}**" if tool == OURS else TITLES[tool]
    return (
        f"| {shown} | {_cell(row.standby_longest, ',.0f')} | {_cell(row.standby_failed, '.0f')} |"
    )


def _line(row: Row, *, tool: str) -> str:
    cells = [
        _cell(row.longest, ",.0f"),
        _cell(row.p999, ",.0f"),
        _cell(row.reads_p999, ",.0f"),
        _cell(row.writes_p999, ",.0f"),
        _cell(row.over_1s, ",.0f"),
        _cell(row.failed, ".0f"),
        "" if tool == NONE else _cell(spread([*row.walls.values()]), ".1f"),
        "" if tool == NONE else _runs(row),
    ]
    shown = f"**{TITLES[tool]}**" if tool == OURS else TITLES[tool]
    return f"| {shown} | {' | '.join(cells)} |"


def _cell(values: Spread, form: str) -> str:
    middle, least, most = (format(v, form) for v in (values.median, values.least, values.most))
    return middle if least == most else f"{middle} ({least} to {most})"


def _runs(row: Row) -> str:
    runs = _cell(row.runs, ".0f")
    if row.completed == row.windows:
        return runs
    return f"{runs}; gave up in {row.windows - row.completed} of {row.windows}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One part of the target, and whether it was kept."""

    text: str
    is_kept: bool


def verdict(table: Table) -> list[Claim]:
    """What holdfast promises in a scenario, as far as the windows can tell."""
    if OURS not in table:
        return []
    ours = table[OURS]
    claims = [
        Claim(text=f"failed requests {ours.failed.most:.0f}", is_kept=ours.failed.most == 0),
        Claim(
            text=f"runs of the tool {ours.runs.most:.0f}",
            is_kept=ours.runs.most == 1 and ours.completed == ours.windows,
        ),
        Claim(
            text=f"not applied: {', '.join(ours.missing) or 'nothing'}", is_kept=not ours.missing
        ),
    ]
    if NONE in table:
        claims.append(_stall(ours, none=table[NONE]))
        if not math.isnan(ours.writes_p999.median):  # figures of before do not tell
            claims.append(_writes(ours, none=table[NONE]))
    if NONE in table and not math.isnan(ours.standby_longest.median):
        claims.append(_standby(ours, none=table[NONE]))
        cancelled = ours.standby_failed.most
        claims.append(Claim(text=f"cancelled there {cancelled:.0f}", is_kept=cancelled == 0))
    waits_there = not math.isnan(
        ours.standby_longest.median
    )  # the SQL by hand waits for nobody there
    if not waits_there and IDEAL in table and ours.walls.keys() & table[IDEAL].walls.keys():
        claims.append(_wall(ours, ideal=table[IDEAL]))
    return claims


def _stall(ours: Row, *, none: Row) -> Claim:
    allowed = max(2 * none.longest.median, none.longest.median + 50)
    return Claim(
        text=f"longest stall {ours.longest.median:.0f} ms, allowed {allowed:.0f} ms",
        is_kept=ours.longest.median <= allowed,
    )


def _writes(ours: Row, *, none: Row) -> Claim:
    allowed = max(2 * none.writes_p999.median, none.writes_p999.median + 50)
    return Claim(
        text=f"p99.9 of writes {ours.writes_p999.median:.0f} ms, allowed {allowed:.0f} ms",
        is_kept=ours.writes_p999.median <= allowed,
    )


def _standby(ours: Row, *, none: Row) -> Claim:
    allowed = none.standby_longest.median + 50
    found = ours.standby_longest.median
    return Claim(
        text=f"longest stall of short reads on the standby {found:.0f} ms, allowed {allowed:.0f} ms",
        is_kept=found <= allowed,
    )


def _wall(ours: Row, *, ideal: Row) -> Claim:
    """Round by round, since both met the same holders there, and holders decide the wall."""
    common = sorted(ours.walls.keys() & ideal.walls.keys())
    ratio = median(ours.walls[number] / ideal.walls[number] for number in common)
    return Claim(
        text=f"wall {ratio:.2f} times that of the SQL by hand, allowed 1.2", is_kept=ratio <= 1.2
    )


def last_line(every: Iterable[Table]) -> str:
    """The worst scenario's medians; failed and runs are ours, the most of any window."""
    found = list(every)

    def worst(tool: str) -> str:
        stalls = [table[tool].longest.median for table in found if tool in table]
        return f"{max(stalls):.0f}" if stalls else "-"

    ours = [table[OURS] for table in found if OURS in table]
    failed = f"{max(row.failed.most for row in ours):.0f}" if ours else "-"
    runs = f"{max(row.runs.most for row in ours):.0f}" if ours else "-"
    return (
        f"stall: ours_ms={worst(OURS)} none_ms={worst(NONE)} alembic_ms={worst(ALEMBIC)}"
        f" failed={failed} runs={runs}"
    )
