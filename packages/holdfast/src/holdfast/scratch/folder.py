"""The folder of an embedded server: what is where in it, who owns it, who may enter it.

    owner.pid    the lock of the process that owns the server; its pid
    pgdata/      what PostgreSQL calls the data directory; of the server's user
    server.log   of the running server; server.log.old of the one before
    socket       the folder of the socket, or a link to one with a shorter path

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
    FolderNotCreated,
    FolderOutOfReach,
    NoScratchFolder,
    NotADataFolder,
    UnknownServerUser,
)
from holdfast.scratch.processes import RunAs, kill_all

USER_FOR_ROOT = "nobody"
PGDATA = "pgdata"
OURS = frozenset({"owner.pid", PGDATA, "server.log", "server.log.old", "socket"})
NEW = "initdb-"  # pgdata, while initdb works on it
# The address of a socket holds 104 bytes on macOS, 108 on Linux, and ends with a zero byte.
LONGEST_SOCKET = 103
MEMORY = Path("/dev/shm")  # noqa: S108  # what we put there has a name that nobody can guess
ROOM_IN_MEMORY = 2 * 1024**3
# A program that prints the first folder, from / on, that cannot be entered.
WALK = """
for step do
    [ -e "$step" ] || exit 0
    cd -- "$step" 2>/dev/null || { printf %s "$step"; exit 1; }
done
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUser:
    """The user whom the server runs as: ourselves, or another if we are root."""

    name: str
    uid: int
    gid: int

    @property
    def run_as(self) -> RunAs:
        """The arguments of subprocess that change the user; none for ourselves, as only root may."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    @property
    def folder_mode(self) -> int:
        """The mode of a folder of ours: the server's user passes through, nobody else lists it."""
        return 0o711 if self.run_as else 0o700

    def first_closed(self, folder: Path) -> Path | None:
        """Give the first folder on the way to this one, itself included, that the user cannot enter."""
        walk = subprocess.run(
            ["/bin/sh", "-c", WALK, "sh", *map(str, reversed(folder.parents)), str(folder)],
            check=False,
            cwd="/",
            stdout=subprocess.PIPE,
            text=True,
            **self.run_as,
        )
        return Path(walk.stdout) if walk.returncode else None

    def has_private(self, folder: Path) -> bool:
        """Whether only this user and root can enter a folder."""
        try:
            state = folder.stat()
        except OSError:
            return False
        return (state.st_uid, state.st_mode & 0o7777) == (self.uid, 0o700)


def server_user(name: str) -> ServerUser:
    """Give the user that the server runs as: `name` when we are root, otherwise ourselves."""
    if os.geteuid():
        return ServerUser(name=f"uid {os.geteuid()}", uid=os.geteuid(), gid=os.getegid())
    try:
        entry = pwd.getpwnam(name)
    except KeyError as missing:
        raise UnknownServerUser(user=name) from missing
    return ServerUser(name=name, uid=entry.pw_uid, gid=entry.pw_gid)


def fast_folder() -> Path:
    """Choose the folder for a temporary server: as HOLDFAST_SCRATCH_DIR or TMPDIR says, otherwise in memory.

    A database is 300 files: a new one takes 10 ms there, and up to 200 ms on a disk. Where memory has no room, the
    system's folder for temporary files. Raises NoScratchFolder where none can be written.
    """
    from holdfast.engine.settings import (
        ScratchSettings,
    )  # the guardian of a server needs none of it

    named = ScratchSettings().dir
    if named is not None:
        if not os.access(named, os.W_OK | os.X_OK):
            raise NoScratchFolder(tried=str(named))
        return named
    if "TMPDIR" not in os.environ and memory_has_room():
        return MEMORY
    return temporary_folder()


def memory_has_room() -> bool:
    """Whether the file system in memory can take files; it may be read only."""
    is_writable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK | os.X_OK)
    return is_writable and has_room(shutil.disk_usage(MEMORY).free)


def has_room(free: int) -> bool:
    """Whether a server and its work fit into that many bytes: a container may have 64 MB of shared memory."""
    return free >= ROOM_IN_MEMORY


def temporary_folder() -> Path:
    """Give the system's folder for temporary files: TMPDIR, /tmp ... Raises NoScratchFolder."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError as none:  # of a read-only container, for example
        raise NoScratchFolder(tried=str(none.strerror or none)) from none


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFolder:
    """The layout of a data folder, and what must hold before a server may run in it."""

    path: Path
    user: ServerUser

    @property
    def pgdata(self) -> Path:
        """PostgreSQL's data directory: complete, or absent."""
        return self.path / PGDATA

    @property
    def log(self) -> Path:
        """The file that the server writes its log to."""
        return self.path / "server.log"

    def prepare(self) -> None:
        """Create what is missing; refuse, and leave untouched, what is not ours or out of reach."""
        self._require_way_to(self.path)
        for folder in (*reversed(self.path.parents), self.path):
            self._make(folder)
        self._require_owner(self.path, os.geteuid())
        for name in sorted(entry.name for entry in self.path.iterdir()):
            if name not in OURS and not name.startswith(NEW):
                raise NotADataFolder(data_dir=self.path, holds=name)

    def require_major(self, major: int) -> None:
        """Refuse the data of another major version or of another user."""
        if not self.pgdata.exists():
            return
        self._require_owner(self.pgdata, self.user.uid)
        try:
            found = int((self.pgdata / "PG_VERSION").read_text())
        except FileNotFoundError as missing:
            holds = "pgdata without a PG_VERSION"
            raise NotADataFolder(data_dir=self.path, holds=holds) from missing
        if found != major:
            raise DataFolderOfAnotherMajor(data_dir=self.path, found=found, wanted=major)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the owner's lock for the block; it also ends with the process, however that ends."""
        lock = self.path / "owner.pid"
        # Not filelock: it empties the file before it has the lock, and the pid would be lost.
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as held:
                raise DataFolderInUse(data_dir=self.path, pid=lock.read_text().strip()) from held
            # In place and padded, so that there is a pid to read at every moment.
            os.pwrite(descriptor, f"{os.getpid():<10}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def new_pgdata(self) -> Iterator[Path]:
        """Make a folder for initdb that becomes `pgdata` at the end of the block, complete or not at all."""
        for left in self.path.glob(NEW + "*"):
            kill_all(left)
            shutil.rmtree(left)
        new = Path(tempfile.mkdtemp(prefix=NEW, dir=self.path))
        os.chown(new, self.user.uid, self.user.gid)
        try:
            yield new
            new.rename(self.pgdata)
        except BaseException:
            kill_all(new)
            shutil.rmtree(new, ignore_errors=True)
            raise

    def new_log(self) -> BinaryIO:
        """Begin an empty log; that of the previous start is kept beside it."""
        if self.log.exists():
            self.log.replace(self.path / "server.log.old")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        return os.fdopen(os.open(self.log, flags, 0o600), "wb")

    def socket_folder(self) -> Path | None:
        """Where the socket of a server of ours is."""
        folder = (self.path / "socket").resolve()
        return folder if self.user.has_private(folder) else None

    def new_socket_folder(self) -> Path:
        """Make a folder for the socket that only the server's user and root can enter."""
        remove_socket_folder(self.path, self.user)
        entry = self.path / "socket"
        if _fits(entry):
            entry.mkdir(0o700)
        else:
            entry.symlink_to(_short_folder())
        self._require_way_to(entry.resolve().parent)
        os.chown(entry, self.user.uid, self.user.gid)
        return entry.resolve()

    def _require_way_to(self, folder: Path) -> None:
        closed = self.user.first_closed(folder)
        if closed:
            raise FolderOutOfReach(folder=closed, user=self.user.name)

    def _make(self, folder: Path) -> None:
        if folder.exists():
            return
        try:
            folder.mkdir()
            folder.chmod(self.user.folder_mode)  # whatever the umask
        except FileExistsError:
            return  # another start was faster
        except OSError as error:
            raise FolderNotCreated(folder=folder, reason=str(error.strerror)) from error

    def _require_owner(self, folder: Path, uid: int) -> None:
        owner = folder.stat().st_uid
        if owner != uid:
            raise DataFolderOfAnotherUser(folder=folder, owner=owner, wanted=uid)


def remove_socket_folder(path: Path, user: ServerUser) -> None:
    """Remove the socket folder of a server that is down, with what it left there."""
    entry = path / "socket"
    if entry.is_symlink():
        if user.has_private(entry.resolve()):  # somebody else's by now, after a clean-up of /tmp?
            shutil.rmtree(entry.resolve(), ignore_errors=True)
        entry.unlink()
    shutil.rmtree(entry, ignore_errors=True)


def _short_folder() -> str:
    """Make a folder with mode 0700 and a short name that nobody can guess."""
    temp = temporary_folder()
    if _fits(Path(temp, "holdfast-12345678")):
        return tempfile.mkdtemp(prefix="holdfast-")
    return tempfile.mkdtemp(prefix="holdfast-", dir="/tmp")


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder / ".s.PGSQL.5432")) <= LONGEST_SOCKET
