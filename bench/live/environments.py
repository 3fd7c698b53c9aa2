"""An environment of its own for each peer, under .cache/bench: made on first use, pinned, loud when it cannot be."""

import shutil
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[1]
ROOT = BENCH.parent
CACHE = ROOT / ".cache" / "bench"
PEERS = BENCH / "peers"


class NotInstalled(Exception):
    """A peer cannot be measured; the text says which, and why."""


def python_environment(name: str, *, requirements: Path) -> Path:
    """The `bin` folder of a virtual environment with these requirements."""
    place = CACHE / name
    python, uv = place / "bin" / "python", ROOT / ".venv" / "bin" / "uv"
    wanted = requirements.read_text()
    if not _has(place, wanted):
        _install(
            name,
            [str(uv), "venv", "--clear", "--quiet", "--python", sys.executable, str(place)],
            [
                *(str(uv), "pip", "install", "--quiet", "--python", str(python)),
                *("--requirement", str(requirements)),
            ],
        )
        (place / "installed").write_text(wanted)
    return place / "bin"


def node_environment(name: str, *, source: Path) -> Path:
    """A copy of the folder `source` with the modules that its package.json pins."""
    place = CACHE / name
    wanted = (source / "package.json").read_text()
    if shutil.which("npm") is None:
        raise NotInstalled(f"{name} needs Node.js 20 or newer: npm is not on the PATH")
    shutil.rmtree(place / "migrations", ignore_errors=True)  # one that is gone would still be run
    shutil.copytree(source, place, dirs_exist_ok=True)
    if not _has(place, wanted):
        _install(
            name, ["npm", "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(place)]
        )
        (place / "installed").write_text(wanted)
    return place


def _has(place: Path, wanted: str) -> bool:
    installed = place / "installed"
    return installed.exists() and installed.read_text() == wanted


def _install(name: str, *commands: list[str]) -> None:
    print(f"installing {name} into {CACHE / name} ...", file=sys.stderr, flush=True)
    for command in commands:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=600, check=False, cwd=BENCH
        )
        if ended.returncode:
            said = (ended.stderr + ended.stdout).strip()[-2000:]
            raise NotInstalled(f"{name} could not be installed: {' '.join(command)}\n{said}")
