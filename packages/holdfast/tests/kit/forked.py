"""The command line in a process of its own, forked from one that has imported everything: a start takes no second.

What it imports of the project, its environment, its folder and its streams are those of a new process. That a new
interpreter does the same: `cli/test_cli.py`, `./dev bench noop`, and `./dev build` with the commands of docs/start.md.
"""

import io
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Timer

# By the process that all are forked from, which does not find this file.
IMPORTED = (
    "alembic.command",
    "asyncpg",
    "flask",
    "flask_migrate",
    "flask_sqlalchemy",
    "holdfast.execute.pooler_console",
    "holdfast.migrate.final_look",
    "holdfast.migrate.flask_application",
    "holdfast.migrate.pause",
    "holdfast.migrate.revision_run",
    "psycopg2",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.postgresql.psycopg2",
    "sqlmodel",
    *(
        f"holdfast.cli.{file.stem}"
        for file in sorted(
            (Path(__file__).parents[2] / "src" / "holdfast" / "cli").glob("[!_]*.py")
        )
    ),
)
LIMIT = 60  # seconds


class Forked:
    """A process that runs a module as `python -m` does; like subprocess.Popen with text in two pipes."""

    def __init__(self, words: tuple[str, ...], *, cwd: Path, env: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(IMPORTED))
        read = context.Pipe(duplex=False), context.Pipe(duplex=False)
        streams = tuple(write for _, write in read)
        self._process = context.Process(target=_run, args=(words, str(cwd), dict(env), streams))
        self._process.start()
        for stream in streams:
            stream.close()
        self.stdout, self.stderr = (open(os.dup(each.fileno())) for each, _ in read)  # noqa: PTH123, SIM115  # a descriptor, closed by `wait`
        for each, _ in read:
            each.close()
        self.words = words

    @property
    def returncode(self) -> int | None:
        """The exit status, a signal as a negative number; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it one signal."""
        assert self._process.pid
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL, where it is still there."""
        self._process.kill()

    def wait(self, timeout: float = LIMIT) -> int | None:
        """Return its exit status when it has ended."""
        self._process.join(timeout)
        self.stdout.close()
        self.stderr.close()
        return self.returncode

    def communicate(self, timeout: float = LIMIT) -> tuple[str, str]:
        """Read all that it prints, until it has ended; at the limit it is killed."""
        limit = Timer(timeout, self.kill)
        limit.start()
        with ThreadPoolExecutor(2) as readers:
            said, errors = readers.map(lambda stream: stream.read(), (self.stdout, self.stderr))
        self.wait(timeout)
        limit.cancel()
        return said, errors


def holdfast(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end."""
    return run("holdfast", *arguments, cwd=cwd, env=env)


def run(
    *words: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a module with its arguments to its end."""
    process = begin(*words, cwd=cwd, env=env)
    said, errors = process.communicate()
    assert process.returncode is not None
    return subprocess.CompletedProcess(words, process.returncode, said, errors)


def begin(*words: str, cwd: Path, env: Mapping[str, str] | None = None) -> Forked:
    """Begin a module, to be stopped."""
    return Forked(words, cwd=cwd, env=os.environ if env is None else env)


def _run(
    words: tuple[str, ...], cwd: str, env: dict[str, str], streams: tuple[Connection, ...]
) -> None:
    """What the process does: first everything that a new interpreter would find."""
    for number, stream in enumerate(streams, 1):
        os.dup2(stream.fileno(), number)
        stream.close()
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb", closefd=False), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(
        os.fdopen(2, "wb", closefd=False), encoding="utf-8", line_buffering=True
    )
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    tempfile.tempdir = None  # it is looked for once
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    sys.path.insert(0, cwd)
    sys.argv = list(words)
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
