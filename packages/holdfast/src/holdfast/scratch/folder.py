"""The folder of an embedded server: what lies where in it, whose it is, who may enter it.

    owner.pid    the lock of the process that owns the server; its pid
    pgdata/      PostgreSQL's data folder, of the server's user
    server.log   of the running server; server.log.old of the one before
    socket       the folder of the socket, or a link to a short one in the temp folder

PostgreSQL refuses to run as root. For root it runs as another user, who can enter the folder and
owns `pgdata` and `socket`, nothing else: root neither follows nor makes a name in a folder of his.
"""

import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from holdfast.errors.scratch import (
    DataFolderInUse,
    DataFolderOfAnotherMajor,
    DataFolderOfAnotherUser,
    FolderOutOfReach,
    NotADataFolder,
    UnknownServerUser,
)
from holdfast.scratch.processes import RunAs, kill_all

OURS = frozenset({"owner.pid", "pgdata", "server.log", "server.log.old", "socket"})
NEW = "initdb-"  # pgdata while initdb works on it
# The address of a socket holds 104 bytes on macOS, 108 on Linux, the last one zero.
LONGEST_SOCKET = 103
SOCKET = ".s.PGSQL.5432"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUser:
    """Whom the server runs as: ourselves, or another when we are root."""

    name: str
    uid: int
    gid: int

    @property
    def run_as(self) -> RunAs:
        """Nothing for ourselves: only root may change the user."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    @property
    def folder_mode(self) -> int:
        """Of a folder that is ours: the server's user passes through, nobody lists it."""
        return 0o711 if self.run_as else 0o700

    def require_way_to(self, folder: Path) -> None:
        """Refuses a folder that this user cannot enter, naming the first closed one."""
        way = [str(step) for step in (*reversed(folder.parents), folder) if step.exists()]
        script = 'for step do cd -- "$step" 2>/dev/null || { printf %s "$step"; exit 1; }; done'
        walk = subprocess.run(
            ["/bin/sh", "-c", script, "sh", *way],
            check=False,
            cwd="/",
            capture_output=True,
            text=True,
            **self.run_as,
        )
        if walk.returncode:
            raise FolderOutOfReach(folder=Path(walk.stdout), user=self.name)


def server_user(name: str) -> ServerUser:
    """`name` when we are root, otherwise ourselves."""
    if os.geteuid():
        return ServerUser(name=f"uid {os.geteuid()}", uid=os.geteuid(), gid=os.getegid())
    try:
        entry = pwd.getpwnam(name)
    except KeyError as missing:
        raise UnknownServerUser(user=name) from missing
    return ServerUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """The layout of a data folder, and what must hold before a server may run in it."""

    path: Path
    user: ServerUser

    @property
    def pgdata(self) -> Path:
        """What PostgreSQL calls the data directory."""
        return self.path / "pgdata"

    @property
    def log(self) -> Path:
        """Where the server writes."""
        return self.path / "server.log"

    def require_ours(self) -> None:
        """Refuses what is no data folder, or another's; touches nothing."""
        self.user.require_way_to(self.path)
        if not self.path.exists():
            return
        found = (
            sorted(entry.name for entry in self.path.iterdir()) if self.path.is_dir() else ["it"]
        )
        foreign = [name for name in found if name not in OURS and not name.startswith(NEW)]
        if foreign:
            raise NotADataFolder(data_dir=self.path, holds=foreign[0])
        self._require_owner(self.path, os.geteuid())

    def make(self) -> None:
        """Creates the folder, and what is missing above it; the server's user can pass."""
        for folder in (*reversed(self.path.parents), self.path):
            if not folder.exists():
                folder.mkdir()
                folder.chmod(self.user.folder_mode)  # whatever the umask

    def require_major(self, major: int) -> None:
        """Refuses the data of another major version, or of another user."""
        if not self.pgdata.exists():
            return
        self._require_owner(self.pgdata, self.user.uid)
        found = int((self.pgdata / "PG_VERSION").read_text())
        if found != major:
            raise DataFolderOfAnotherMajor(data_dir=self.path, found=found, wanted=major)

    def _require_owner(self, folder: Path, uid: int) -> None:
        owner = folder.stat().st_uid
        if owner != uid:
            raise DataFolderOfAnotherUser(folder=folder, owner=owner, wanted=uid)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Holds the lock of the owner; it ends with the process, whatever ends that."""
        lock = self.path / "owner.pid"
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as held:
                pid = lock.read_text().strip() or "unknown"
                raise DataFolderInUse(data_dir=self.path, pid=pid) from held
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
            yield
        finally:
            os.close(descriptor)

    def new_log(self) -> BinaryIO:
        """An empty log; that of the start before is kept beside it."""
        if self.log.exists():
            self.log.replace(self.path / "server.log.old")
        return self.log.open("xb")

    @contextmanager
    def new_pgdata(self) -> Iterator[Path]:
        """A folder for initdb; becomes `pgdata` at the end of the block, complete or not at all."""
        for left in self.path.glob(NEW + "*"):
            kill_all(left)
            shutil.rmtree(left)
        new = Path(tempfile.mkdtemp(prefix=NEW, dir=self.path))
        os.chown(new, self.user.uid, self.user.gid)
        yield new
        new.rename(self.pgdata)

    def socket_folder(self) -> Path:
        """The folder of the socket: 0700 of the server's user, with a short path."""
        entry = self.path / "socket"
        if entry.is_dir() and self._is_private(entry.resolve()):
            return entry.resolve()
        entry.unlink(missing_ok=True)
        if len(os.fsencode(entry / SOCKET)) <= LONGEST_SOCKET:
            entry.mkdir(0o700)
            os.chown(entry, self.user.uid, self.user.gid)
            return entry
        short = Path(tempfile.mkdtemp(prefix="holdfast-"))
        os.chown(short, self.user.uid, self.user.gid)
        self.user.require_way_to(short)
        entry.symlink_to(short)
        return short

    def _is_private(self, folder: Path) -> bool:
        state = folder.stat()
        return state.st_uid == self.user.uid and state.st_mode & 0o777 == 0o700

    def remove_socket_folder(self) -> None:
        """Of a server that is down; what PostgreSQL left there goes too."""
        shutil.rmtree((self.path / "socket").resolve(), ignore_errors=True)
        (self.path / "socket").unlink(missing_ok=True)
