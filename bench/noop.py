"""Nothing is pending, with 100 applied migrations on disk: what that costs a cold process, and a warm one.

`./dev bench noop [--quick]`. Cold processes on an embedded server, interleaved, medians. The limit is a Python that
imports psycopg and sends one SELECT. Ours twice: where the URL is holdfast's own setting, and where only env.py knows
it. Each peer has an environment of its own, installed on first use (status 3 when it cannot be). `--quick`: the limit,
ours and Alembic, five rounds. Status 1 when a full run misses 1.2 times the limit, or any run two round trips.
Last line: `noop: ours_ms=… limit_ms=… times_limit=… alembic=… typeorm=… django=… (times the limit) trips=… warm_ms=…`.
"""

import os
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click
from alembic.config import Config
from environments import NotInstalled
from hundred.files import write_all
from hundred.processes import (
    ToolFailed,
    counted,
    database_of,
    environment,
    fresh_database,
    measure,
    run,
    table,
)
from hundred.tools import Tool, alembic, django, ours, ours_by_settings, python_select, typeorm

from holdfast.migrate.run import upgrade
from holdfast.scratch.server import EmbeddedServer, temporary_server

TARGET, TRIPS = 1.2, 2
WARM = 15  # calls in one process


def tools_of(files: Path, *, quick: bool) -> list[Tool]:
    few = [python_select(files), ours_by_settings(files), ours(files), alembic(files)]
    return few if quick else [*few, django(files), typeorm(files)]


def apply_all(server: EmbeddedServer, tools: list[Tool]) -> None:
    """Each tool its own history in its own database; the limit reads Alembic's version table."""
    applied = {tool.name: tool for tool in tools if tool.name != "limit"}
    for tool in tools:
        fresh_database(server, database_of(tool))
        by = applied.get(tool.name, applied["alembic"])
        run(by, server.url(database_of(tool)))


def in_process(tool: Tool, url: str) -> tuple[float, int]:
    """`holdfast.upgrade`: ms a call, and the round trips of one."""
    _upgrade(tool, url)
    walls = []
    for _ in range(WARM):
        began = time.perf_counter()
        _upgrade(tool, url)
        walls.append((time.perf_counter() - began) * 1000)
    with counted(url) as trips:
        _upgrade(tool, trips.url)  # another way there: recorded anew
        trips.reset()
        _upgrade(tool, trips.url)
        return median(walls), trips.number


def _upgrade(tool: Tool, url: str) -> None:
    os.environ.update(environment(url, tool.environment))
    upgrade(Config(tool.folder / "alembic.ini"), "head")


def bench(*, quick: bool) -> bool:
    with TemporaryDirectory() as folder, temporary_server() as server:
        files = Path(folder)
        write_all(files)
        tools = tools_of(files, quick=quick)
        apply_all(server, tools)
        rounds = 5 if quick else 20
        found = measure(server, tools, rounds=rounds, prepare=lambda _: None)
        mine = ours_by_settings(files)
        warm, trips = in_process(mine, server.url(database_of(mine)))
    print(table(found, limit="limit"))
    limit, wall = found["limit"].wall, found["ours"].wall
    others = [name for name in ("alembic", "typeorm", "django") if name in found]
    peers = " ".join(f"{name}={found[name].wall / limit:.2f}" for name in others)
    print(
        f"noop: ours_ms={wall:.0f} limit_ms={limit:.0f} times_limit={wall / limit:.2f} {peers}"
        f" (times the limit) trips={trips} warm_ms={warm:.1f}"
    )
    return trips == TRIPS and (quick or wall <= TARGET * limit)


@click.command()
@click.option("--quick", is_flag=True)
def main(quick: bool) -> None:
    try:
        sys.exit(not bench(quick=quick))
    except (NotInstalled, ToolFailed) as error:
        print(error, file=sys.stderr)
        sys.exit(3)


main()
