"""A run that is killed inside any step goes on from there: the next one ends as if nothing had been, on every node."""

import time
from contextlib import ExitStack

import psycopg
import pytest
from alembic_project import Project
from citus_cluster import Cluster
from contract import OBSERVER, Process, kill_at

from holdfast.migrate.run import upgrade

STEPS = {
    "not null": "ALTER TABLE t ALTER COLUMN v SET NOT NULL",
    "unique": "ALTER TABLE t ADD CONSTRAINT u UNIQUE (k, v)",
    "check": "ALTER TABLE t ADD CHECK (v > 0)",
    "foreign key": "ALTER TABLE t ADD FOREIGN KEY (r) REFERENCES r (id)",
    "replaced": "ALTER TABLE t DROP CONSTRAINT ck, ADD CONSTRAINT ck CHECK (v > -5)",
    "backfill": "UPDATE t SET s = 'y'",
    "several": "ALTER TABLE t ADD COLUMN a int DEFAULT 1, ADD CONSTRAINT c2 CHECK (v > 0)",
}
# Outside a transaction: killed while one shard waits for an old transaction of a worker.
BUILDS = {
    "create": ("", "CREATE INDEX i ON t (v)"),
    "unique": ("", "CREATE UNIQUE INDEX i ON t (k, v)"),
    "drop": ("CREATE INDEX i ON t (v)", "DROP INDEX i"),
    "reindex": ("CREATE INDEX i ON t (v)", "REINDEX INDEX CONCURRENTLY i"),
}
PATIENCE = 60
INDEXES = """
    SELECT coalesce(json_agg(json_build_object('name', regexp_replace(relname, '_[0-9]{5,}', ''), 'valid', indisvalid)
             ORDER BY relname), '[]') FROM pg_index JOIN pg_class ON oid = indexrelid
    WHERE relname ~ '^i(_[0-9]+)?(_cc.*)?$'
"""
WAITS = """
    SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query ~* 'INDEX CONCURRENTLY'
      AND pid <> pg_backend_pid() AND wait_event_type = 'Lock'
"""


@pytest.fixture
def in_use(on_cluster: Project, cluster: Cluster) -> Project:
    """A distributed table with rows, and what the contract looks through."""
    on_cluster.revision("op.execute('CREATE TABLE marker (x int)')")
    upgrade(on_cluster.config, "head")
    cluster.execute(
        "CREATE TABLE t (k int PRIMARY KEY, v int CONSTRAINT ck CHECK (v > -1), r int, s text)",
        "CREATE TABLE r (id int PRIMARY KEY)",
        "SELECT create_distributed_table('t', 'k')",
        "SELECT create_reference_table('r')",
        "INSERT INTO t SELECT n, n FROM generate_series(1, 200) AS n",
    )
    return on_cluster


@pytest.mark.parametrize("name", STEPS)
def test_kills_in_steps(name: str, in_use: Project, cluster: Cluster) -> None:
    """At each entry of the journal, one after the other, until there is none left."""
    with psycopg.connect(cluster.coordinator) as connection:
        connection.execute(OBSERVER.encode())
    in_use.revision(f"op.execute({STEPS[name]!r})")
    kills = 0
    # Each run goes on from where the one before was killed, and is killed at its next entry.
    while kill_at(in_use, 2):
        kills += 1
        assert kills < 30
    assert kills
    upgrade(in_use.config, "head")
    assert in_use.query("SELECT * FROM holdfast.unfinished") == []
    assert (
        cluster.execute(
            "SELECT result FROM run_command_on_all_nodes('SELECT count(*) FROM pg_prepared_xacts') WHERE result <> '0'"
        )
        == []
    )


@pytest.mark.parametrize("name", BUILDS)
def test_kills_in_builds(name: str, in_use: Project, cluster: Cluster) -> None:
    """Shards are left valid, invalid and without the index; nothing of it stays."""
    before, change = BUILDS[name]
    if before:
        cluster.execute(before)
    in_use.revision(f"op.execute({change!r})")
    with psycopg.connect(cluster.workers[0]) as reader:
        reader.execute("SELECT count(*) FROM t")
        process = Process(in_use)
        wait_for_build(cluster, process)
        process.kill()
        reader.rollback()
    upgrade(in_use.config, "head")
    assert in_use.query("SELECT * FROM holdfast.unfinished") == []
    rows = cluster.execute(f"SELECT result FROM run_command_on_all_nodes($$ {INDEXES} $$)")
    found = "".join(str(result) for (result,) in rows)
    assert "false" not in found
    assert "_cc" not in found
    assert ("true" in found) is (name != "drop")


def wait_for_build(cluster: Cluster, process: Process) -> None:
    """Until it waits on a worker for the reader."""
    limit = time.monotonic() + PATIENCE
    with ExitStack() as open_ones:
        workers = [
            open_ones.enter_context(psycopg.connect(url, autocommit=True))
            for url in cluster.workers
        ]
        while time.monotonic() < limit:
            if any(worker.execute(WAITS).fetchone() != (0,) for worker in workers):
                return
            assert process.process.is_alive()
            time.sleep(0.02)
    raise TimeoutError(f"no build waited within {PATIENCE} s")
