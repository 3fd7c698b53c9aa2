"""A process that owns an embedded server and can be killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from holdfast.scratch.processes import pid_file

OWNER = """
import sys
from pathlib import Path
from holdfast.scratch.server import EmbeddedServer, temporary_server
with eval(sys.argv[1]) as server:
    print(server.url(), server.pgdata, sep="\\n", flush=True)
    sys.stdin.read()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The process, and its server."""

    process: subprocess.Popen[str]
    url: str
    postmaster: psutil.Process

    def kill(self) -> None:
        """With its whole process group: the end of a terminal, of a CI job."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def kill_with_server(self) -> None:
        """What the loss of power leaves."""
        self.kill()
        self.postmaster.kill()
        self.postmaster.wait(10)


def spawn(server: str) -> subprocess.Popen[str]:
    """Starts the owner of a server, given as an expression."""
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, server],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@contextmanager
def owner_of(server: str) -> Iterator[Owner]:
    """For the block another process owns a server; at the end it is told to stop."""
    with spawn(server) as process:
        url, pgdata = (_line(process), _line(process))
        postmaster = psutil.Process(int(pid_file(Path(pgdata)).pid))
        yield Owner(process=process, url=url, postmaster=postmaster)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def owner_of_folder(data_dir: Path) -> str:
    """The expression for `owner_of`."""
    return f"EmbeddedServer(Path({str(data_dir)!r}))"
