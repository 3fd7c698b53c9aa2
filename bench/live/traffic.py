"""Live traffic by pgbench, open loop: requests come at random times whether or not those before were answered.

The latency of a request counts from the moment it was due, so the wait for one of the 20 connections is part of it.
The manual: pgbench, --rate, --log.
"""

import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from holdfast.scratch.server import binary
from live.database import Database
from live.scenarios import READS, Scenario

# Not the protocol "prepared": there pgbench itself waits for each PREPARE, and with it all its connections.
RATE, CONNECTIONS = 200, 20  # requests/s; the application's pool
RATE_ON_STANDBY = 85  # half of the reads
LONGEST = 3600  # s, should nobody end it
REQUESTS = Path(__file__).parent / "requests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request; times are seconds since the epoch."""

    due: float
    latency: float | None  # none: it failed
    script: int = 0  # its place among the files of the scenario


class Pgbench:
    """A running pgbench with its log."""

    def __init__(
        self, database: Database, *, name: str, folder: Path, arguments: list[str]
    ) -> None:
        self._database, self._name, self._folder = database, name, folder
        self._said = folder / f"{name}.stderr"
        self._gave_up = 0  # clients, until we end them all
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [
                    *(str(binary("pgbench")), "--no-vacuum", "--jobs=1", "--protocol=extended"),
                    *(f"--time={LONGEST}", "--log", f"--log-prefix={folder / name}", *arguments),
                ],
                env=database.environment({"PGAPPNAME": name}),
                stdout=subprocess.DEVNULL,
                stderr=said,
            )

    def stop(self) -> None:
        """pgbench writes the rest of its log only when it ends by itself: cut off its sessions."""
        self._gave_up = self._said.read_text().count(" aborted in command ")
        for _ in range(50):
            with psycopg.connect(self._database.url, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = %s",
                    [self._name],
                )
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.3)
                return
        self.kill()

    def kill(self) -> None:
        """However far it is; nothing when it has ended."""
        self._process.kill()
        self._process.wait()

    def requests(self) -> list[Request]:
        """What the log says; and a failed request for each client that gave up."""
        found = [
            _request(line.split())
            for file in self._folder.glob(f"{self._name}.[0-9]*")
            for line in file.read_text().splitlines()
        ]
        last = max((request.due for request in found), default=0.0)
        return found + [Request(due=last, latency=None)] * self._gave_up


def _request(fields: list[str]) -> Request:
    """client, number, latency in µs or what happened, script, end: seconds and µs; more."""
    end, script = int(fields[4]) + int(fields[5]) / 1e6, int(fields[3])
    if not fields[2].isdigit():
        return Request(due=end, latency=None, script=script)
    latency = int(fields[2]) / 1e6
    return Request(due=end - latency, latency=latency, script=script)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """The requests of a scenario and its holders."""

    users: Pgbench
    holders: Pgbench
    readers: Pgbench | None = None  # on the standby

    def stop(self) -> None:
        self.users.stop()
        if self.readers is not None:
            self.readers.stop()
        self.holders.stop()


@contextmanager
def traffic(
    database: Database,
    scenario: Scenario,
    *,
    rows: Mapping[str, int],
    seed: int,
    standby: Database | None = None,
) -> Iterator[Traffic]:
    """Traffic for the block, the same at the same moments for the same seed; `stop` it to read its log."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as undo:
        folder = Path(place)
        numbers = [f"--define={table}={number}" for table, number in rows.items()]
        same = f"--random-seed={seed}"
        files = [f"--file={REQUESTS / name}.sql@{part}" for name, part in scenario.requests.items()]
        rate = RATE if standby is None else RATE - RATE_ON_STANDBY
        users = Pgbench(
            database,
            name="users",
            folder=folder,
            arguments=[same, f"--rate={rate}", f"--client={CONNECTIONS}", *numbers, *files],
        )
        undo.callback(users.kill)
        readers = None
        if standby is not None:
            files = [f"--file={REQUESTS / name}.sql@{part}" for name, part in READS.items()]
            on_standby = [f"--rate={RATE_ON_STANDBY}", f"--client={CONNECTIONS}"]
            readers = Pgbench(
                standby,
                name="readers",
                folder=folder,
                arguments=[same, *on_standby, *numbers, *files],
            )
            undo.callback(readers.kill)
        start, end = (round(limit.total_seconds()) for limit in scenario.rest)
        holders = Pgbench(
            database,
            name="holders",
            folder=folder,
            arguments=[
                *(same, f"--client={scenario.holders}", f"--define=rest_from={start}"),
                *(f"--define=rest_to={end}", f"--file={REQUESTS / 'hold.sql'}"),
            ],
        )
        undo.callback(holders.kill)
        yield Traffic(users=users, holders=holders, readers=readers)
