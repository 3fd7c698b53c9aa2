"""Outlives the owner of a temporary server: at its death, ends the server and removes the folder.

`guardian.py FOLDER`, standard input: a pipe of which only the owner has the other end. However the
owner ends, kill -9 included, the system closes that end.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from holdfast.scratch.processes import kill_all

# A Ctrl-C, a closed terminal or the end of a CI job is for the owner: what follows is clean-up.
NOT_FOR_US = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """For the block a guardian waits; after it nothing works in the folder, and it is gone."""
    command = [sys.executable, "-P", "-m", "holdfast.scratch.guardian", str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, cwd="/", start_new_session=True
    ) as guardian:
        try:
            yield
        finally:
            remove(folder)
            guardian.communicate()


def remove(folder: Path) -> None:
    """Ends what works in the folder and removes it; fine when there is nothing."""
    kill_all(folder)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for number in NOT_FOR_US:
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    remove(Path(sys.argv[1]))
