"""`./dev build`: wheel and sdist of holdfast in dist/, checked as whoever installs them would find them.

The wheel is made from the sdist, both are read by `twine check --strict`, and the wheel is installed into an empty
environment for each Python from 3.11 on that is on this machine; the last line says which these were.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
PACKAGE = ROOT / "packages" / "holdfast"
UV = ROOT / ".venv" / "bin" / "uv"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
EXTRAS = "scratch,asyncpg,psycopg2,otel"
# What an importer and a type checker rely on; each name is loaded on demand, so each is asked for.
LOOK = """
import importlib.metadata, importlib.resources, holdfast
assert importlib.resources.files("holdfast").joinpath("py.typed").is_file(), "py.typed is missing"
for name in holdfast.__all__:
    getattr(holdfast, name)
assert importlib.metadata.entry_points(group="pytest11", name="holdfast"), "no pytest plugin"
"""


def run(*command: str | Path, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """Standard output; ends the build with what the command said where it fails."""
    ended = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        print(ended.stdout + ended.stderr, file=sys.stderr)
        sys.exit(
            f"./dev build: `{' '.join(map(str, command))}` ended with status {ended.returncode}"
        )
    return ended.stdout


def build() -> Path:
    """The wheel."""
    shutil.rmtree(DIST, ignore_errors=True)
    where = ("--python", sys.executable, "--no-build-isolation", "--out-dir", DIST)
    run(UV, "build", "--quiet", *where, PACKAGE)
    [wheel] = DIST.glob("*.whl")
    tools = ("run", "--no-project", "--with-requirements", ROOT / "tools/build_requirements.txt")
    run(UV, *tools, "twine", "check", "--strict", *sorted(DIST.glob("holdfast-*")))
    return wheel


def pythons() -> Iterator[tuple[str, str]]:
    """Version and interpreter of each Python that is on the PATH, or that pyenv has installed."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in PYTHONS:
        name = f"python{version}"
        candidates = [name, *map(str, sorted(versions.glob(f"{version}.*/bin/{name}")))]
        found = next(filter(works, candidates), None)
        if found is not None:
            yield version, found


def works(python: str) -> bool:
    """A name on the PATH may be a shim for what is not there."""
    try:
        return not subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode
    except OSError:
        return False


def try_wheel(wheel: Path, *, python: str) -> None:
    """Install it where nothing else is, then use it: alone first, then with its extras."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)  # as root, the embedded server runs as another user
        bin_ = place / "environment" / "bin"
        run(UV, "venv", "--quiet", "--python", python, place / "environment")
        install = (UV, "pip", "install", "--quiet", "--python", bin_ / "python")
        run(*install, wheel)
        version = run(bin_ / "holdfast", "--version", cwd=place)
        assert version.split()[-1] in wheel.name, version
        run(bin_ / "holdfast", "--help", cwd=place)
        run(bin_ / "python", "-c", LOOK, cwd=place)
        run(*install, f"{wheel}[{EXTRAS}]")
        try_first_steps(bin_, place)
        try_start(bin_)


def try_first_steps(bin_: Path, place: Path) -> None:
    """The first commands of the README, in the project that `alembic init` writes and one revision."""
    run(bin_ / "alembic", "init", "migrations", cwd=place)
    run(bin_ / "alembic", "revision", "-m", "first", cwd=place)
    assert "nothing found" in run(bin_ / "holdfast", "check", cwd=place)


def try_start(bin_: Path) -> None:
    """docs/start.md as a test, its commands run by the wheel."""
    test = PACKAGE / "tests" / "test_start.py"
    environment = os.environ | {"START_PYTHON": str(bin_ / "python")}
    run(sys.executable, "-m", "pytest", "-n0", test, environment=environment)


def main() -> None:
    """Build, check, try."""
    wheel = build()
    tried = []
    for version, python in pythons():
        print(f"installing into an empty environment of Python {version} ...", file=sys.stderr)
        try_wheel(wheel, python=python)
        tried.append(version)
    for file in sorted(DIST.glob("holdfast-*")):
        print(file.relative_to(ROOT))
    print(f"installed and used on Python {', '.join(tried)}")


if __name__ == "__main__":
    main()
