"""A failover in the middle of a migration: the next run goes on at the new primary, and nothing is lost or done twice.

`./dev prove failover [backfill] [build]`. A primary with one streaming standby, asynchronous and synchronous; every
process of the primary is killed in the middle of a backfill, and of a concurrent build, and the standby is promoted.
What the first run says, the journal and the rows of the new primary must fit together; a second run finishes.
A line each; status 1 when one does not hold.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import psycopg
from sqlalchemy import make_url

sys.path.insert(0, str(Path(__file__).parents[1] / "packages/holdfast/tests/kit"))
from alembic_project import Project
from standby import Pair, streaming_pair

from holdfast.migrate.run import upgrade
from holdfast.scratch import processes

ROWS = 200_000
SEED = f"""
    CREATE TABLE acc (id bigint PRIMARY KEY, bal int);
    INSERT INTO acc SELECT n, 0 FROM generate_series(1, {ROWS}) n;
"""
CHANGE = """
op.create_index("acc_bal", "acc", ["bal"])
op.execute("UPDATE acc SET bal = bal + 1")
op.alter_column("acc", "bal", nullable=False)
"""
MOMENTS = {
    "backfill": "SELECT 1 FROM holdfast.queue WHERE reached IS NOT NULL",
    "build": "SELECT 1 FROM pg_stat_progress_create_index",
}
MODES = {
    "asynchronous": {},
    "synchronous": {"synchronous_standby_names": "*", "synchronous_commit": "on", "fsync": "on"},
}
# What must be so at the end: each row written once, no invalid index, one "done" of each revision.
ROWS_WRITTEN = "SELECT bal, count(*) FROM acc GROUP BY bal ORDER BY bal"
INVALID = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
DONE = "SELECT revision, count(*) FROM holdfast.history WHERE outcome = 'done' GROUP BY revision ORDER BY 1"
PATIENCE = 120  # s


def both(pair: Pair) -> str:
    """One URL for both servers: whoever takes writes."""
    sockets = [make_url(each.url()).query["host"] for each in (pair.primary, pair.standby)]
    hosts = "&".join(f"host={socket}:5432" for socket in sockets)
    return f"postgresql://postgres@/postgres?{hosts}&target_session_attrs=read-write"


def wait_for(is_so: Callable[[], bool], *, what: str) -> None:
    limit = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > limit:
            raise AssertionError(f"waited {PATIENCE} s for {what}")
        time.sleep(0.01)


def fail_over(pair: Pair) -> None:
    processes.kill_all(pair.primary.pgdata)
    with psycopg.connect(pair.standby.url(), autocommit=True) as connection:
        connection.execute("SELECT pg_promote(true, 60)")


def run(project: Project) -> subprocess.Popen[str]:
    holdfast = Path(sys.executable).parent / "holdfast"
    command = [holdfast, "-c", project.folder / "alembic.ini", "run"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def tried(mode: str, moment: str) -> str:
    with (
        tempfile.TemporaryDirectory() as place,
        streaming_pair({"fsync": "on"}, of_primary=MODES[mode]) as pair,
    ):
        project = Project(folder=Path(place) / "project", database=pair.primary.url())
        project.revision(f"op.execute({SEED!r})")
        upgrade(project.config, "head")
        project.revision(CHANGE)
        project.database = both(pair)
        project.env((project.folder / "env.py").read_text())
        reader = psycopg.connect(pair.primary.url())  # it ends with its server
        if moment == "build":  # which waits for whoever has an older snapshot
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT pg_current_snapshot()")
        first = run(project)
        look = psycopg.connect(pair.primary.url(), autocommit=True)
        wait_for(lambda: bool(look.execute(MOMENTS[moment].encode()).fetchone()), what=moment)
        fail_over(pair)
        for connection in (reader, look):
            connection.close()
        said, _ = first.communicate(timeout=PATIENCE)
        assert first.returncode == 3, f"the first run ended with {first.returncode}: {said}"
        assert "Traceback" not in said, said
        assert "Nothing was changed" not in said, said
        project.database = pair.standby.url()
        [written] = project.query("SELECT count(*) FROM acc WHERE bal = 1")
        reached = project.query("SELECT reached FROM holdfast.queue WHERE reached IS NOT NULL")
        second = run(project)
        again, _ = second.communicate(timeout=PATIENCE)
        assert second.returncode == 0, f"the second run: {again}"
        assert project.query(ROWS_WRITTEN) == [(1, ROWS)], project.query(ROWS_WRITTEN)
        assert project.query(INVALID) == [(0,)], "an index is invalid"
        assert project.query(DONE) == [("r1", 1), ("r2", 1)], project.query(DONE)
        return f"{written[0]} rows and the key {reached} on the new primary, then finished"


@click.command()
@click.argument("moments", nargs=-1, type=click.Choice(list(MOMENTS)))
def main(moments: tuple[str, ...]) -> None:
    failed, cases = 0, len(MODES) * len(moments or MOMENTS)
    for mode in MODES:
        for moment in moments or MOMENTS:
            try:
                said = tried(mode, moment)
            except (AssertionError, subprocess.TimeoutExpired, psycopg.Error) as error:
                failed += 1
                print(f"FAILED  {mode}, in the middle of a {moment}: {error}", flush=True)
            else:
                print(f"ok      {mode}, in the middle of a {moment}: {said}", flush=True)
    print(f"failover: {cases - failed} of {cases} held")
    sys.exit(bool(failed))


main()
