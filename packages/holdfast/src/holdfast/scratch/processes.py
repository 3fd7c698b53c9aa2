"""Finds the processes of a PostgreSQL server by the folder they run in, and ends them in order.

psutil comes with the extra `holdfast[scratch]`; `server.binary` says so before anything here runs.
"""

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypedDict

with suppress(ImportError):
    import psutil

# What to send, and for how long to wait (s). Fast shutdown: sessions end, a last checkpoint.
FAST = ((signal.SIGINT, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 10))
# Immediate shutdown: no checkpoint; unlike SIGKILL it gives the shared memory back.
IMMEDIATE = FAST[1:]


class RunAs(TypedDict, total=False):
    """The arguments of subprocess that change the user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PidFile:
    """The lines that PostgreSQL writes into postmaster.pid."""

    pid: str
    port: str
    socket: str
    status: str


def pid_file(pgdata: Path) -> PidFile:
    """Read postmaster.pid: all fields empty when there is none, later ones while the server starts."""
    try:
        text = (pgdata / "postmaster.pid").read_text()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        text = ""
    lines = [*(line.strip() for line in text.splitlines()), *[""] * 8]
    return PidFile(pid=lines[0], port=lines[3], socket=lines[4], status=lines[7])


def launch(
    command: Sequence[str | Path], *, log: BinaryIO, env: Mapping[str, str], run_as: RunAs
) -> "psutil.Popen":
    """Start a server in a session of its own: Ctrl-C in a terminal is for us, who shut it down."""
    return psutil.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd="/",
        env=env,
        start_new_session=True,
        **run_as,
    )


def postmaster(pgdata: Path) -> "psutil.Process | None":
    """Give the living server of a data folder, and never another process that has its pid by now."""
    try:
        process = psutil.Process(int(pid_file(pgdata).pid))
        is_it = process.name() == "postgres" and Path(process.cwd()) == pgdata
    except (ValueError, psutil.Error):
        return None
    return process if is_it else None


def has_ended(process: "psutil.Process") -> bool:
    """Whether a process is gone; a child of ours is reaped then, another's may stay a zombie for ever."""
    try:
        is_zombie = process.status() == psutil.STATUS_ZOMBIE  # asked first: a child may end now
        process.wait(0)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return is_zombie
    return True


def shut_down(process: "psutil.Process", *, how: Sequence[tuple[int, float]] = FAST) -> None:
    """End a server by the signals of `how`, one after the other, each with its patience."""
    for number, patience in how:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        limit = time.monotonic() + patience
        while time.monotonic() < limit:
            if has_ended(process):
                return
            time.sleep(0.005)


def kill_all(folder: Path) -> None:
    """Kill at once what runs in a folder, even without its postmaster, and what it starts meanwhile."""
    limit = time.monotonic() + 10
    while (found := list(_working_in(folder))) and time.monotonic() < limit:
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.005)


def _working_in(folder: Path) -> "Iterator[psutil.Process]":
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # ended meanwhile, or another user's
            if process.name() in {"postgres", "initdb"} and _works_in(process, folder):
                yield process


def _works_in(process: "psutil.Process", folder: Path) -> bool:
    """Whether a process runs in a folder; a starting server has the folder only among its arguments."""
    places = [process.cwd(), *process.cmdline()]
    return any(Path(place).is_relative_to(folder) for place in places)
