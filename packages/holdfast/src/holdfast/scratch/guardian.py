"""A process that outlives the owner of a temporary server: at its death it ends the server and removes the folder.

`guardian.py FOLDER`; standard input is a pipe of which only the owner has the other end. However
the owner ends, kill -9 included, the system closes that end.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.scratch.folder import PGDATA, USER_FOR_ROOT, remove_socket_folder, server_user
from holdfast.scratch.processes import IMMEDIATE, kill_all, postmaster, shut_down

# A Ctrl-C, a closed terminal, the end of a CI job are for the owner: what follows is clean-up.
FOR_THE_OWNER = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """Make sure that after the block, or this process's death, the folder is gone and nothing runs in it."""
    guardian = subprocess.Popen(
        [sys.executable, "-P", "-m", "holdfast.scratch.guardian", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
    try:
        yield
    finally:
        remove(folder)
        guardian.communicate()


def remove(folder: Path) -> None:
    """End what runs in the folder and remove it; no error if there is nothing."""
    server = postmaster(folder / PGDATA)
    if server:
        shut_down(server, how=IMMEDIATE)
    kill_all(folder)
    remove_socket_folder(folder, server_user(USER_FOR_ROOT))
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for number in FOR_THE_OWNER:
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    remove(Path(sys.argv[1]))
