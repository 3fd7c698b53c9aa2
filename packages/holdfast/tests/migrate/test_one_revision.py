"""A database that nobody uses: each revision as it is written, in one transaction, as little as possible around it."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from alembic_project import ASYNC_ENV, SYNC_ENV, Project
from psycopg.conninfo import conninfo_to_dict
from round_trips import round_trips
from sqlalchemy.exc import IntegrityError

from holdfast.errors.leadership import TakenOver
from holdfast.execute.progress import Event, RevisionDone
from holdfast.migrate.run import upgrade

# Runs the command line, then says which of the packages it has imported that an empty database has no use for.
IMPORTED = """
import sys
from holdfast.cli import holdfast
try:
    holdfast(["run"])
finally:
    heavy = {"pydantic", "postgast", "google.protobuf", "rich", "pygments", "tenacity", "opentelemetry"}
    print(sorted(heavy & set(sys.modules)))
"""
TABLE = "op.create_table('t%d', sa.Column('id', sa.Integer, primary_key=True))"
TRIPS = 2  # the statement; version row and history with the look at the epoch and COMMIT, which begins anew


def test_nothing_is_loaded_that_only_a_database_in_use_needs(project: Project) -> None:
    """A cold run on an empty database loads neither the parser nor the settings; nor does one that finds nothing."""
    project.revision(TABLE % 1)
    for _ in range(2):
        ended = subprocess.run(
            [sys.executable, "-c", IMPORTED],
            cwd=project.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert ended.stdout.splitlines()[-1] == "[]"
    assert project.query("SELECT revision, outcome FROM holdfast.history") == [("r1", "done")]


def test_few_ways_to_the_server_for_each_revision(project: Project) -> None:
    """However long the history is, each of its revisions costs the same few round trips."""
    for number in range(8):
        project.revision(TABLE % number)
    done: list[int] = []
    with TemporaryDirectory() as folder, round_trips(project.database, Path(folder)) as trips:
        way = {name: str(value) for name, value in conninfo_to_dict(project.database).items()}
        project.database = (
            f"postgresql://{way['user']}@/{way['dbname']}?host={trips.host}&port=5432"
        )
        project.env(SYNC_ENV)

        def note(event: Event) -> None:
            if isinstance(event, RevisionDone):
                done.append(trips.number)

        upgrade(project.config, "head", report=note)
    # Once a second the lock is looked at, too.
    assert min(later - earlier for earlier, later in pairwise(done)) == TRIPS


PER_MIGRATION = SYNC_ENV.replace(
    "(connection=connection)", "(connection=connection, transaction_per_migration=True)"
)
ALONE = "SELECT count(*), bool_and(h.xmin = v.xmin) FROM holdfast.history h, alembic_version v WHERE revision = 'r2'"


@pytest.mark.parametrize(
    ("env", "driver", "body"),
    [
        (SYNC_ENV, "psycopg", ""),
        (SYNC_ENV, "psycopg2", ""),
        (ASYNC_ENV, "psycopg", ""),
        (ASYNC_ENV, "asyncpg", ""),
        (PER_MIGRATION, "psycopg", ""),
        (SYNC_ENV, "psycopg", "op.get_bind().commit(); op.get_bind().begin()"),
        (SYNC_ENV, "psycopg", "with op.get_context().autocommit_block(): pass"),
    ],
)
def test_the_history_is_committed_with_its_revision(
    project: Project, env: str, driver: str, body: str
) -> None:
    """Whoever commits it, and whatever the driver: one transaction writes the version row and the history."""
    project.env(env, driver=driver)
    project.revision(TABLE % 1)
    project.revision(f"{TABLE % 2}\n{body}")
    upgrade(project.config, "head")
    assert project.query(ALONE) == [(1, True)]


def test_what_fails_at_commit_leaves_neither(project: Project) -> None:
    """A constraint that is looked at by COMMIT only: no row of the revision, of the version, of the history."""
    project.revision(
        """
        op.execute("CREATE TABLE a (id int PRIMARY KEY)")
        op.execute("CREATE TABLE b (a int REFERENCES a DEFERRABLE INITIALLY DEFERRED)")
        """
    )
    project.revision("op.execute('INSERT INTO b VALUES (1)')")
    with pytest.raises(Exception, match="b_a_fkey"):
        upgrade(project.config, "head")
    assert project.query("SELECT version_num FROM alembic_version") == [("r1",)]
    assert project.query("SELECT revision, outcome FROM holdfast.history") == [("r1", "done")]
    assert project.query("SELECT count(*) FROM b") == [(0,)]


def test_what_the_author_has_left_to_commit_fails_as_itself(project: Project) -> None:
    """Also with the SQLSTATE by which another leader is noticed: the author's error is the one that is seen."""
    project.revision(
        """
        op.execute("CREATE TABLE a (id int PRIMARY KEY)")
        op.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS "
          "$$BEGIN RAISE EXCEPTION 'of the author' USING ERRCODE = 'not_null_violation'; END$$")
        op.execute("CREATE CONSTRAINT TRIGGER f AFTER INSERT ON a DEFERRABLE INITIALLY DEFERRED"
          " FOR EACH ROW EXECUTE FUNCTION f()")
        op.execute("INSERT INTO a VALUES (1)")
        """
    )
    with pytest.raises(IntegrityError, match="of the author"):
        upgrade(project.config, "head")
    assert project.query("SELECT to_regclass('a')") == [(None,)]


def test_another_leader_ends_it(project: Project) -> None:
    """Whoever finds another epoch commits nothing, on an empty database too, at any statement of a revision."""
    project.revision(
        "import psycopg\n"
        f"with psycopg.connect({project.database!r}) as other:\n"
        "    other.execute('UPDATE holdfast.leader SET epoch = epoch + 1')\n"
        f"{TABLE % 1}"
    )
    with pytest.raises(TakenOver):
        upgrade(project.config, "head")
    assert project.query("SELECT count(*) FROM alembic_version") == [(0,)]
    assert project.query("SELECT to_regclass('t1')") == [(None,)]
