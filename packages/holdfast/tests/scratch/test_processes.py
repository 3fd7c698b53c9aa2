"""A server's processes are told from others, and their end is noticed."""

import os
import subprocess
import sys

import psutil

from holdfast.scratch.processes import has_ended

# Ends a child and never reaps it, like the first process of many a container.
CARELESS_PARENT = """
import os, subprocess, sys
child = subprocess.Popen(["true"])
os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_a_zombie_has_ended() -> None:
    """Whoever adopts a server cannot count on its parent to reap it."""
    with subprocess.Popen(
        [sys.executable, "-c", CARELESS_PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout
        zombie = psutil.Process(int(parent.stdout.readline()))
        assert zombie.is_running()
        assert has_ended(zombie)


def test_what_runs_has_not_ended() -> None:
    """Asking does not wait, and does no harm."""
    assert not has_ended(psutil.Process(os.getpid()))
