"""A step asks the catalog before it repeats anything, and leaves nothing invalid behind."""

from datetime import timedelta
from pathlib import Path
from threading import Thread

import psycopg
import pytest
from alembic_project import Project
from backends import terminate, wait_until
from background import BackgroundRun
from contract import OBSERVER, STOPPED, Process, kill_at
from everywhere import each, named
from old_snapshot import old_snapshot
from sqlalchemy.exc import ProgrammingError

from holdfast.errors.locks import BuildDeadlocks, StillBuilding
from holdfast.errors.steps import DataInTheWay
from holdfast.migrate.run import upgrade
from holdfast.scratch.databases import postgres_at
from holdfast.scratch.server import temporary_server

BUILDING = """
    SELECT pid FROM pg_stat_progress_create_index
    WHERE datname = current_database() AND phase = 'waiting for old snapshots'
"""
INDEX = "SELECT oid::int, indisvalid FROM pg_class JOIN pg_index ON indexrelid = oid WHERE relname = 'i'"


def building(project: Project) -> int:
    """The process that builds, once it waits for the old snapshot."""
    wait_until(lambda: bool(project.query(BUILDING)), what="a build that waits")
    [(pid,)] = project.query(BUILDING)
    return int(str(pid))


def interrupted_build(project: Project) -> int:
    """A run is killed in the middle of its build, and its backend with it; gives the invalid index."""
    with old_snapshot(project.database):
        process = Process(project)
        pid = building(project)
        process.kill()
        terminate(project.database, pid)
    [(oid, is_valid)] = project.query(INDEX)
    assert not is_valid
    return int(str(oid))


def test_a_leftover_of_a_killed_run_is_built_anew(in_use: Project) -> None:
    """The invalid index goes, a valid one takes its place."""
    in_use.revision("op.create_index('i', 't', ['a'])")
    leftover = interrupted_build(in_use)
    upgrade(in_use.config, "head")
    [(oid, is_valid)] = in_use.query(INDEX)
    assert is_valid
    assert oid != leftover


def test_a_build_of_somebody_else_is_not_waited_for_without_an_end(in_use: Project) -> None:
    """A process that goes on building is named, with the way to end it, once the budget for locks is spent."""
    in_use.revision("op.create_index('i', 't', ['a'])")
    with psycopg.connect(in_use.database, autocommit=True) as other:
        build = Thread(target=other.execute, args=["CREATE INDEX CONCURRENTLY i ON t (a)"])
        with old_snapshot(in_use.database):
            build.start()
            pid = building(in_use)
            with pytest.raises(StillBuilding, match=rf"pg_terminate_backend\({pid}\)"):
                upgrade(in_use.config, "head", lock_budget=timedelta(milliseconds=300))
        build.join()


@pytest.mark.parametrize(("said", "workers"), [(None, "0"), ("3", "3")])
def test_a_build_leaves_the_cores_to_users(
    in_use: Project, monkeypatch: pytest.MonkeyPatch, said: str | None, workers: str
) -> None:
    """No process of the server helps with it, unless HOLDFAST_BUILD_WORKERS says how many."""
    if said is not None:
        monkeypatch.setenv("HOLDFAST_BUILD_WORKERS", said)
    in_use.query(
        """
        CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
          BEGIN RAISE 'with %', current_setting('max_parallel_maintenance_workers'); END $$;
        SELECT 1
        """
    )
    in_use.revision("op.execute('CREATE INDEX i ON t (f(a))')")
    with pytest.raises(Exception, match=f"with {workers}\n"):
        upgrade(in_use.config, "head")


def test_a_build_that_meets_deadlocks_is_given_up(in_use: Project) -> None:
    """After five of them, and nothing invalid stays."""
    in_use.query(
        """
        CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
          BEGIN RAISE EXCEPTION USING ERRCODE = 'deadlock_detected'; END $$;
        SELECT 1
        """
    )
    in_use.revision("op.execute('CREATE INDEX i ON t (f(a))')")
    with pytest.raises(BuildDeadlocks, match="after 5 deadlocks"):
        upgrade(in_use.config, "head")
    assert in_use.query(INDEX) == []


def test_a_build_that_is_still_alive_is_adopted(in_use: Project) -> None:
    """The next run waits for it and keeps what it built."""
    in_use.revision("op.create_index('i', 't', ['a'])")
    interrupted_build(in_use)
    in_use.query("DROP INDEX i")
    with psycopg.connect(in_use.database, autocommit=True) as other:
        build = Thread(target=other.execute, args=["CREATE INDEX CONCURRENTLY i ON t (a)"])
        with old_snapshot(in_use.database):
            build.start()
            building(in_use)
            [(oid, _)] = in_use.query(INDEX)
            run = BackgroundRun(in_use)
            wait_until(lambda: run.has_started("build index i on public.t"), what="the next run")
        run.end()
        build.join(10)
    assert in_use.query(INDEX) == [(oid, True)]


IN_AUTOCOMMIT = "with op.get_context().autocommit_block():\n    "
AUTHORS_BUILDS = {
    "CONCURRENTLY": IN_AUTOCOMMIT
    + "op.create_index('i', 't', ['a'], postgresql_concurrently=True)",
    "plain": IN_AUTOCOMMIT + "op.create_index('i', 't', ['a'])",
    "unnamed": IN_AUTOCOMMIT + "op.execute('CREATE INDEX ON t (a)')",
}
INDEXES = (
    "SELECT indexrelid::int, indisvalid FROM pg_index WHERE indrelid = 't'::regclass ORDER BY 1"
)
RECORDED = 4  # of the journal's entries: queued, planned, started, done


@pytest.mark.parametrize("build", each(list(AUTHORS_BUILDS), here=1))
def test_a_kill_between_an_authors_own_build_and_its_record(in_use: Project, build: str) -> None:
    """The next run finds the index as its own and goes on behind it; nothing is done twice."""
    in_use.query(OBSERVER)
    in_use.revision(
        "op.execute('INSERT INTO u VALUES (-1)')\n"
        + AUTHORS_BUILDS[build]
        + "\n    op.execute('CREATE INDEX j ON u (id, id)')\nop.execute('INSERT INTO u VALUES (-2)')"
    )
    assert kill_at(in_use, RECORDED)
    built = in_use.query(INDEXES)
    assert [is_valid for _, is_valid in built] == [True, True]
    Process(in_use).end()
    assert in_use.query(INDEXES) == built
    assert in_use.query("SELECT id FROM u WHERE id < 0 ORDER BY 1") == [(-2,), (-1,)]
    assert in_use.query("SELECT indisvalid FROM pg_index WHERE indexrelid = 'j'::regclass") == [
        (True,)
    ]


WAIT_IF_TOLD = """
    CREATE TABLE told ();
    INSERT INTO told DEFAULT VALUES;
    CREATE FUNCTION wait_if_told() RETURNS void LANGUAGE plpgsql AS
    'BEGIN IF EXISTS (SELECT FROM told) THEN PERFORM pg_sleep(60); END IF; END';
"""


def killed_while_it_waits(project: Project) -> None:
    """A run is killed in wait_if_told(), where the next one will not wait."""
    process = Process(project)
    wait_until(lambda: bool(project.query(STOPPED)), what="the function to wait")
    [(pid,)] = project.query(STOPPED)
    process.kill()
    terminate(project.database, int(str(pid)))
    project.query("DELETE FROM told")


def test_a_kill_after_a_build_on_a_second_connection(in_use: Project) -> None:
    """It is in no journal; the function is called again, and the index is found as its own."""
    in_use.query(WAIT_IF_TOLD)
    in_use.revision(
        "bind = op.get_bind()\n"
        "with bind.engine.connect().execution_options(isolation_level='AUTOCOMMIT') as second:\n"
        "    second.execute(sa.text('CREATE INDEX CONCURRENTLY i ON t (a)'))\n"
        "bind.execute(sa.text('SELECT wait_if_told()'))"
    )
    killed_while_it_waits(in_use)
    built = in_use.query(INDEX)
    Process(in_use).end()
    assert in_use.query(INDEX) == built


def test_a_kill_after_a_write_that_commits_itself(in_use: Project) -> None:
    """It is recorded with its rows: neither an UPDATE nor its result comes twice."""
    in_use.query(WAIT_IF_TOLD)
    in_use.revision(
        "bind = op.get_bind()\n"
        "with op.get_context().autocommit_block():\n"
        "    op.execute('UPDATE u SET id = id + 10000 WHERE id < 3')\n"
        "    more = bind.execute(sa.text('INSERT INTO u VALUES (30000) RETURNING id')).scalar_one()\n"
        "op.execute(f'INSERT INTO u VALUES ({more} + 1)')\n"
        "bind.execute(sa.text('SELECT wait_if_told()'))"
    )
    killed_while_it_waits(in_use)
    Process(in_use).end()
    assert in_use.query("SELECT id FROM u WHERE id > 1000 ORDER BY id") == [
        (10001,), (10002,), (30000,), (30001,),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change",
    each(
        [
            "op.create_index('i', 't', ['a'])",
            "op.create_unique_constraint('i', 't', ['a'])",
            "op.execute('COMMIT'); op.execute('CREATE INDEX CONCURRENTLY i ON t (a)')",
            AUTHORS_BUILDS["CONCURRENTLY"],
            AUTHORS_BUILDS["plain"],
        ],
        here=2,
    ),
)
def test_an_index_of_that_name_that_was_there_before(in_use: Project, change: str) -> None:
    """PostgreSQL's own error, at each run again; the other index stays what it was."""
    in_use.query("CREATE INDEX i ON t (b)")
    before = in_use.query(INDEX)
    in_use.revision(change)
    for _ in range(2):
        with pytest.raises(ProgrammingError, match='relation "i" already exists'):
            upgrade(in_use.config, "head")
    assert in_use.query(INDEX) == before
    assert in_use.query("SELECT version_num FROM alembic_version") == [("r1",)]


def test_an_index_that_appears_while_its_turn_has_come(in_use: Project) -> None:
    """Somebody makes another index of that name between plan and build: it is not taken for ours."""
    in_use.revision("op.create_unique_constraint('i', 't', ['a'])")
    in_use.query("UPDATE t SET a = 1 WHERE id < 3")
    with pytest.raises(DataInTheWay):
        upgrade(in_use.config, "head")
    in_use.query("UPDATE t SET a = id; CREATE UNIQUE INDEX i ON t (b)")
    with pytest.raises(ProgrammingError, match='relation "i" already exists'):
        upgrade(in_use.config, "head")
    in_use.query("DROP INDEX i")
    upgrade(in_use.config, "head")
    assert in_use.query(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'i'"
    ) == [("UNIQUE (a)",)]


NOT_NULL = "op.alter_column('t', 'b', nullable=False)"
NULLS = "UPDATE t SET b = NULL WHERE id IN (3, 5, 8, 13)"
BAD_DATA = {
    "NOT NULL": (NOT_NULL, NULLS, "rows against NOT NULL b", 4),
    "CHECK": (
        "op.create_check_constraint('positive', 't', 'a > 0')",
        "UPDATE t SET a = -a WHERE id < 3",
        "rows against CHECK ((a > 0))",
        2,
    ),
    "foreign key": (
        "op.create_foreign_key('t_u', 't', 'u', ['u'], ['id'])",
        "UPDATE t SET u = 5000 + id WHERE id < 6",
        "rows without their row in u",
        5,
    ),
    "foreign key of two columns, MATCH FULL": (
        "op.execute('ALTER TABLE t ADD FOREIGN KEY (a, u) REFERENCES pairs MATCH FULL')",
        (
            "CREATE TABLE pairs (x int, y int, PRIMARY KEY (x, y)); INSERT INTO pairs SELECT a, u FROM t;"
            "UPDATE t SET a = NULL WHERE id = 7; UPDATE t SET a = NULL, u = NULL WHERE id = 8"
        ),
        "row without its row in pairs",
        1,
    ),
    "unique": (
        "op.create_unique_constraint('i', 't', ['a', 'b'])",
        "UPDATE t SET a = 1, b = 'same' WHERE id < 6; UPDATE t SET a = NULL WHERE id > 4990",
        "duplicate key",
        1,
    ),
    "unique expression": (
        "op.create_index('i', 't', [sa.text('lower(b)')], unique=True, postgresql_where=sa.text('id < 9'))",
        "UPDATE t SET b = 'SAME' WHERE id = 3; UPDATE t SET b = 'same' WHERE id IN (4, 10)",
        "duplicate key",
        1,
    ),
}
MENDED = "UPDATE t SET a = id, b = 'b' || id, u = 1 + id % 1000"
INVALID = """
    SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid
    UNION ALL SELECT oid::regclass FROM pg_class WHERE relname = 'i'
"""


@pytest.mark.parametrize("case", named(BAD_DATA, here=("CHECK", "unique expression")))
def test_rows_in_the_way_are_counted_and_shown(in_use: Project, case: str) -> None:
    """The query in the error finds just them; when they are mended, the next run ends in the full schema."""
    change, damage, found, count = BAD_DATA[case]
    in_use.query(damage)
    in_use.revision(change)
    with pytest.raises(DataInTheWay) as raised:
        upgrade(in_use.config, "head")
    error = raised.value
    assert (error.found, error.count, len(error.examples)) == (found, count, min(count, 3))
    assert len(in_use.query(error.query)) == count
    assert in_use.query(INVALID) == []
    in_use.query(MENDED)
    upgrade(in_use.config, "head")
    assert in_use.query("SELECT version_num FROM alembic_version") == [("r2",)]
    assert in_use.query("SELECT conname FROM pg_constraint WHERE NOT convalidated") == []


@pytest.mark.everywhere
def test_nulls_before_postgresql_18(tmp_path: Path) -> None:
    """The detour by a CHECK counts and shows them too, and is gone at the end."""
    with temporary_server(major=16) as server, postgres_at(server.url()).database() as url:
        project = Project(folder=tmp_path / "project", database=url)
        project.revision("op.execute('CREATE TABLE t (id int PRIMARY KEY, b text)')")
        upgrade(project.config, "head")
        project.query("INSERT INTO t SELECT n FROM generate_series(1, 4) AS n")
        project.revision(NOT_NULL)
        with pytest.raises(DataInTheWay) as raised:
            upgrade(project.config, "head")
        assert (raised.value.count, raised.value.examples) == (
            4,
            ("(1, NULL)", "(2, NULL)", "(3, NULL)"),
        )
        project.query("UPDATE t SET b = ''")
        upgrade(project.config, "head")
        assert (
            project.query(
                "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = 't'::regclass"
            )
            == []
        )
        assert project.query(
            "SELECT attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'b'"
        ) == [(True,)]
