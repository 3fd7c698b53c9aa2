"""The results on disk: a line per window as soon as it is over, the latencies for the picture beside them."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from environments import BENCH, NotInstalled, python_environment

from holdfast.scratch.server import EmbeddedServer
from live.database import Rows
from live.figures import Figures
from live.scenarios import SCENARIOS
from live.tools import TITLES

FIGURES = "windows.jsonl"
CONDITIONS = "conditions.txt"
PICTURE_REQUIREMENTS = Path(__file__).parent / "picture_requirements.txt"


def new_folder(parent: Path) -> Path:
    """Of a run that begins now."""
    folder = parent / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}"
    folder.mkdir(parents=True)
    return folder


def keep_conditions(server: EmbeddedServer, rows: Rows, *, folder: Path) -> None:
    """What the figures depend on besides the tools."""
    with psycopg.connect(server.url()) as connection:
        version = connection.execute("SHOW server_version").fetchone()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    text = (
        f"{datetime.now(UTC):%Y-%m-%d}: PostgreSQL {version and version[0]}, {rows.orders:,} orders; "
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, {memory:.0f} GiB of "
        f"memory; Python {platform.python_version()}."
    )
    (folder / CONDITIONS).write_text(text + "\n")


def keep(figures: Figures, *, folder: Path) -> None:
    with (folder / FIGURES).open("a") as file:
        file.write(json.dumps(asdict(figures)) + "\n")


def read(file: Path) -> list[Figures]:
    """Of a run, interrupted or not; perhaps before its first window was over."""
    if not file.exists():
        return []
    return [Figures(**json.loads(line)) for line in file.read_text().splitlines()]


def picture(windows: Sequence[Figures], *, scenario: str, folder: Path, png: Path) -> None:
    """Latency over time in one scenario: of each tool the window with the median stall."""
    chosen = {
        tool: sorted(found, key=lambda window: window.longest)[len(found) // 2]
        for tool in TITLES
        if (found := [w for w in windows if (w.scenario, w.tool) == (scenario, tool)])
    }
    panels = [
        {"title": TITLES[tool]}
        | json.loads((folder / "latencies" / f"{scenario}-{tool}-{window.round}.json").read_text())
        for tool, window in chosen.items()
    ]
    python = python_environment("picture", requirements=PICTURE_REQUIREMENTS) / "python"
    title = f"Every request while the schema changes ({scenario}: {SCENARIOS[scenario].title})"
    ended = subprocess.run(
        [python, BENCH / "live" / "picture.py", png],
        input=json.dumps({"title": title, "panels": panels}),
        stderr=sys.stderr,
        text=True,
        timeout=300,
        check=False,
    )
    if ended.returncode:
        raise NotInstalled("the picture could not be drawn; the figures above are complete")
