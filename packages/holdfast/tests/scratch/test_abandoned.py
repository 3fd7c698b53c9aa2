"""What a killed process leaves on a server of the team's own goes at a later start; what is in use stays."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

import psycopg
import pytest
from alembic_project import Project

from holdfast.scratch.abandoned import drop_abandoned
from holdfast.scratch.databases import Postgres
from holdfast.scratch.template import scratch_database, scratch_server

LIMIT = 60
OWNER = """
import sys
from alembic.config import Config
from holdfast.scratch.template import scratch_database, scratch_server

with scratch_server() as server, scratch_database(Config(sys.argv[1]), server=server) as url:
    print(url.partition("?")[0].rpartition("/")[2], flush=True)
    sys.stdin.read()
"""


def of_the_same_owner(postgres: Postgres, database: str) -> set[str]:
    owner = database.rpartition("_")[0]
    with psycopg.connect(postgres.url("postgres")) as connection:
        rows = connection.execute("SELECT datname FROM pg_database").fetchall()
    return {name for (name,) in rows if name.startswith(owner)}


def test_left_by_a_killed_process(
    project: Project, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL: a template and its copy stay, young ones for a while; then they are dropped, those in use never."""
    url = postgres.url("postgres")
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", url)
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    command = [sys.executable, "-c", OWNER, project.folder / "alembic.ini"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        database = owner.stdout.readline().strip()
        left = of_the_same_owner(postgres, database)
        assert len(left) == 2
        assert not left & set(drop_abandoned(url, older_than=timedelta()))
        os.kill(owner.pid, signal.SIGKILL)
    with scratch_server() as server, scratch_database(project.config, server=server) as mine:
        assert of_the_same_owner(postgres, database) == left  # not old enough
        dropped: set[str] = set()
        until = time.monotonic() + LIMIT
        while not left <= dropped:  # the server sees the end of a client in its own time
            assert time.monotonic() < until, f"not dropped within {LIMIT} s: {left - dropped}"
            dropped.update(drop_abandoned(url, older_than=timedelta()))
        assert len(of_the_same_owner(postgres, mine.partition("?")[0].rpartition("/")[2])) == 2
