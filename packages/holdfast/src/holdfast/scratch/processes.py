"""The processes of a PostgreSQL server, found by the folder they work in; ending them in order.

psutil comes with the extra `holdfast[scratch]`; `server.binary` says so before anything here runs.
"""

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypedDict

with suppress(ImportError):
    import psutil

NAMES = frozenset({"postgres", "initdb"})
# Fast shutdown, then without a last checkpoint (recovery follows), then by force: and for how long.
SHUTDOWN = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))


class RunAs(TypedDict, total=False):
    """The arguments of subprocess that change the user."""

    user: int
    group: int
    extra_groups: list[int]


def launch(
    command: Sequence[str | Path], *, log: BinaryIO, env: Mapping[str, str], run_as: RunAs
) -> "psutil.Popen":
    """Starts a server in a session of its own: Ctrl-C in a terminal is for us, who shut it down."""
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


def postmaster_of(pgdata: Path) -> "psutil.Process | None":
    """The living server of a data folder, by its postmaster.pid; never another's process."""
    try:
        process = psutil.Process(int(pid_file_lines(pgdata)[0]))
        is_it = process.name() in NAMES and Path(process.cwd()) == pgdata
    except (ValueError, psutil.Error):
        return None
    return process if is_it else None


def pid_file_lines(pgdata: Path) -> tuple[str, ...]:
    """postmaster.pid: pid, folder, start time, port, socket folder, host, memory, status."""
    try:
        text = (pgdata / "postmaster.pid").read_text()
    except (FileNotFoundError, PermissionError):
        text = ""
    return (*(line.strip() for line in text.splitlines()), *[""] * 8)[:8]


def working_in(folder: Path) -> "Iterator[psutil.Process]":
    """The PostgreSQL processes at work in a folder, those included whose postmaster is dead."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() in NAMES and _works_in(process, folder):
                yield process


def _works_in(process: "psutil.Process", folder: Path) -> bool:
    if Path(process.cwd()).is_relative_to(folder):
        return True
    return any(Path(word).is_relative_to(folder) for word in process.cmdline())


def shut_down(process: "psutil.Process") -> None:
    """Ends a server: its sessions are cut off, its data is safe."""
    for order, patience in SHUTDOWN:
        with suppress(psutil.TimeoutExpired, psutil.NoSuchProcess):
            process.send_signal(order)
            process.wait(patience)
        if not process.is_running():
            return


def kill_all(folder: Path) -> None:
    """Ends at once whatever works in a folder, also what it starts meanwhile."""
    while found := list(working_in(folder)):
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, timeout=10)
