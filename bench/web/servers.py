"""One process of one way to write the shop, which listens on a port and is measured by its processor time."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LIMIT = 60  # seconds until it serves
TICKS = os.sysconf("SC_CLK_TCK")


class DidNotServe(Exception):
    """A server ended, or did not answer in time; the text has what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A process that serves."""

    port: int
    pid: int

    def cpu(self) -> float:
        """The seconds of processor that it and its children have used so far."""
        return sum(_cpu(pid) for pid in (self.pid, *_descendants(self.pid)))


@contextmanager
def serving(command: list[str], *, environment: dict[str, str], log: Path) -> Iterator[Server]:
    """The server of a command, in which PORT stands for a free port; it ends with the block."""
    port = _free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [part.replace("PORT", str(port)) for part in command],
            env=os.environ | environment | {"PORT": str(port)},
            stdout=output,
            stderr=output,
        )
        try:
            _wait_until_up(process, port, log)
            yield Server(port=port, pid=process.pid)
        finally:
            process.terminate()
            try:
                process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + LIMIT
    while time.monotonic() < end and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as probe:
                probe.sendall(b"GET /healthz HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
                probe.settimeout(5)
                if b" 200 " in probe.recv(64):
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise DidNotServe(log.read_text()[-2000:])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _descendants(pid: int) -> list[int]:
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, tasks.read_text().split()):
            found += [child, *_descendants(child)]
    return found
