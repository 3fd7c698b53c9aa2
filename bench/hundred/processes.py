"""Cold processes, one tool after the other in an order that changes: wall time of each, and its round trips."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdfast.scratch.server import EmbeddedServer
from hundred.tools import Tool

sys.path.insert(0, str(Path(__file__).parents[2] / "packages/holdfast/tests/kit"))
from round_trips import RoundTrips, round_trips

TIME_LIMIT = 120  # s for one process


class ToolFailed(Exception):
    """A process did not end well: nothing can be said of its speed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was found of a tool."""

    tool: Tool
    walls: list[float] = field(default_factory=list)  # ms
    trips: list[int] = field(default_factory=list)  # in one process of its own, not timed

    @property
    def wall(self) -> float:
        return median(self.walls)


def database_of(tool: Tool) -> str:
    return f"hundred_{tool.name}"


def fresh_database(server: EmbeddedServer, name: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        of = sql.Identifier(name)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(of))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(of))


def environment(url: str, more: Mapping[str, str]) -> dict[str, str]:
    """What libpq, node-postgres, Django's settings and env.py read."""
    address = conninfo_to_dict(url)
    kept = {name: value for name, value in os.environ.items() if name[:8] != "HOLDFAST"}
    return {
        **kept,
        "PGHOST": str(address["host"]),
        "PGPORT": str(address["port"]),
        "PGUSER": str(address["user"]),
        "PGDATABASE": str(address["dbname"]),
        "DATABASE_URL": (
            f"postgresql://{address['user']}@/{address['dbname']}"
            f"?host={address['host']}&port={address['port']}"
        ),
        **more,
    }


def run(tool: Tool, url: str) -> float:
    """One cold process, in ms. Raises ToolFailed."""
    began = time.perf_counter()
    ended = subprocess.run(
        tool.command,
        cwd=tool.folder,
        env=environment(url, tool.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )
    took = (time.perf_counter() - began) * 1000
    if ended.returncode:
        raise ToolFailed(f"{tool.title}:\n{ended.stdout}{ended.stderr}"[-3000:])
    return took


def measure(
    server: EmbeddedServer,
    tools: Sequence[Tool],
    *,
    rounds: int,
    prepare: Callable[[Tool], None],
) -> dict[str, Measured]:
    """`prepare` is called before each process. A last round, through a counting proxy, is not timed.

    A tool that has to get to know the proxy's way to the database runs there twice, and the second run counts.
    """
    found = {tool.name: Measured(tool=tool) for tool in tools}
    for _ in range(rounds):
        for tool in random.sample(tools, len(tools)):
            prepare(tool)
            found[tool.name].walls.append(run(tool, server.url(database_of(tool))))
    for tool in tools:
        prepare(tool)
        found[tool.name].trips.append(trips_of(tool, server.url(database_of(tool))))
    return found


def trips_of(tool: Tool, url: str) -> int:
    """The round trips of one process."""
    with counted(url) as trips:
        if tool.is_run_twice:
            run(tool, trips.url)
            trips.reset()
        run(tool, trips.url)
        return trips.number


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The database through a proxy that counts."""

    url: str
    trips: RoundTrips

    @property
    def number(self) -> int:
        return self.trips.number

    def reset(self) -> None:
        self.trips.number = 0


@contextmanager
def counted(url: str) -> Iterator[Counted]:
    """In a folder of its own."""
    with TemporaryDirectory() as folder, round_trips(url, Path(folder)) as trips:
        yield Counted(url=make_conninfo(url, host=trips.host, port=5432), trips=trips)


def table(found: Mapping[str, Measured], *, limit: str) -> str:
    """Markdown, the fastest first."""
    lines = ["| | wall, ms (least to most) | times the limit | round trips |", "|---|---|---|---|"]
    for measured in sorted(found.values(), key=lambda each: each.wall):
        spread = f"{min(measured.walls):.0f} to {max(measured.walls):.0f}"
        ratio = measured.wall / found[limit].wall
        trips = measured.trips[0] if measured.trips else ""
        lines.append(
            f"| {measured.tool.title} | {measured.wall:.0f} ({spread}) | {ratio:.2f} | {trips} |"
        )
    return "\n".join(lines)
