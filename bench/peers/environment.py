"""The environment of each peer: pinned in `bench/peers/PEER/`, installed at its first use, kept in `.cache/peers/`.

A peer shares nothing with the workspace or with another peer. What cannot be installed ends the measurement, with
the reason: a peer that is silently left out makes the others look good.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PEERS = Path(__file__).parent
KEPT = PEERS.parents[1] / ".cache" / "peers"
LIMIT = 600  # seconds


def python_of(peer: str) -> Path:
    """The interpreter of a virtual environment with what PEER/requirements.txt pins, and nothing else."""
    requirements = PEERS / peer / "requirements.txt"

    def install(folder: Path) -> None:
        venv.create(folder / "venv", clear=True, with_pip=False)
        python = folder / "venv" / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(python), "install"]
        run([*pip, "--no-deps", "--requirement", str(requirements)], peer=peer, folder=folder)

    return installed(peer, [requirements], install) / "venv" / "bin" / "python"


def node_modules_of(peer: str) -> Path:
    """The folder with what PEER/package-lock.json pins: for NODE_PATH."""
    files = [PEERS / peer / name for name in ("package.json", "package-lock.json")]

    def install(folder: Path) -> None:
        for file in files:
            shutil.copy(file, folder)
        npm = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        run(npm, peer=peer, folder=folder)

    return installed(peer, files, install) / "node_modules"


def installed(peer: str, pins: list[Path], install: Callable[[Path], None]) -> Path:
    """The folder of a peer, installed again when its pins or our interpreter have changed."""
    stamp = hashlib.sha256(sys.version.encode() + b"".join(pin.read_bytes() for pin in pins))
    folder, mark = KEPT / peer, KEPT / peer / "installed"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        if not mark.exists() or mark.read_text() != stamp.hexdigest():
            print(f"Installing {peer} into {folder} ...", file=sys.stderr, flush=True)
            mark.unlink(missing_ok=True)
            install(folder)
            mark.write_text(stamp.hexdigest())
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Of two measurements that begin at once the second waits."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def run(command: list[str], *, peer: str, folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, timeout=LIMIT, stdout=sys.stderr)
    except (OSError, subprocess.SubprocessError) as error:
        sys.exit(
            f"The peer {peer} could not be installed: {error}.\n"
            f"Without it there is nothing to compare with, so nothing was measured. Mend that (often: "
            f"{command[0]} is missing, or no package index within reach) and run it again."
        )
