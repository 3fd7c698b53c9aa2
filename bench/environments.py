"""An environment of its own for each peer, under .cache/bench: made at its first use, pinned, loud when it cannot be.

A peer shares nothing with the workspace or with another peer. What cannot be installed ends the measurement, with
the reason: a peer that is silently left out makes the others look good.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BENCH = Path(__file__).parent
ROOT = BENCH.parent
CACHE = ROOT / ".cache" / "bench"
PEERS = BENCH / "peers"
LIMIT = 600  # seconds


class NotInstalled(Exception):
    """A peer cannot be measured; the text says which, and why."""


def python_environment(name: str, *, requirements: Path) -> Path:
    """The `bin` folder of a virtual environment with these requirements."""
    place, uv = CACHE / name, str(ROOT / ".venv" / "bin" / "uv")
    python = str(place / "bin" / "python")
    make = [uv, "venv", "--clear", "--quiet", "--python", sys.executable, str(place)]
    install = [uv, "pip", "install", "--quiet", "--python", python, "-r", str(requirements)]
    _installed(name, make, install, pins=requirements)
    return place / "bin"


def node_environment(name: str, *, source: Path) -> Path:
    """A copy of the folder `source` with the modules that its package-lock.json pins."""
    place = CACHE / name
    if shutil.which("npm") is None:
        raise NotInstalled(f"{name} needs Node.js 20 or newer: npm is not on the PATH")
    shutil.rmtree(place / "migrations", ignore_errors=True)  # one that is gone would still be run
    shutil.copytree(source, place, dirs_exist_ok=True)
    install = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(place)]
    _installed(name, install, pins=source / "package-lock.json")
    return place


def _installed(name: str, *commands: list[str], pins: Path) -> None:
    """Again when the pins or our interpreter have changed."""
    mark = CACHE / f"{name}.installed"
    wanted = hashlib.sha256(sys.version.encode() + pins.read_bytes()).hexdigest()
    with _locked(name):
        if mark.exists() and mark.read_text() == wanted:
            return
        print(f"installing {name} into {CACHE / name} ...", file=sys.stderr, flush=True)
        mark.unlink(missing_ok=True)
        for command in commands:
            _run(command, name=name)
        mark.write_text(wanted)


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """Of two measurements that begin at once the second waits."""
    CACHE.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(CACHE / f"{name}.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _run(command: list[str], *, name: str) -> None:
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT, check=False, cwd=BENCH
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NotInstalled(f"{name} could not be installed: {error}") from error
    if ended.returncode:
        said = (ended.stderr + ended.stdout).strip()[-2000:]
        raise NotInstalled(f"{name} could not be installed: {' '.join(command)}\n{said}")
