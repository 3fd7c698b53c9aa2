"""A migration loses to users on whatever node they are: a lock that is not free on a worker is given up after 10 ms,
whatever statement wants it and whatever driver sends it, and its holder is named."""

from threading import Event, Thread

import psycopg
import pytest
from alembic_project import SYNC_ENV, Project
from citus_cluster import Cluster

from holdfast.errors.locks import KeepsUsersWaiting
from holdfast.execute.progress import Event as Told
from holdfast.execute.progress import LockBusy, StepWatched
from holdfast.migrate.run import upgrade

STATEMENTS = {
    "as it is written": "ALTER TABLE t ADD COLUMN c int",
    # Several locks or statements: LOCK TABLE, whose error of a worker says XX000.
    "locks first": "ALTER TABLE t DROP CONSTRAINT ck, ADD CONSTRAINT ck CHECK (v > -2)",
    "two tables": "ALTER TABLE t ADD CONSTRAINT t_r FOREIGN KEY (r) REFERENCES r (id)",
    "dropped": "DROP TABLE t",
}


def in_use(project: Project, cluster: Cluster) -> None:
    project.revision("op.execute('CREATE TABLE marker (x int)')")
    upgrade(project.config, "head")
    cluster.execute(
        "CREATE TABLE t (k int PRIMARY KEY, v int CONSTRAINT ck CHECK (v > -1), r int)",
        "CREATE TABLE r (id int PRIMARY KEY)",
        "SELECT create_distributed_table('t', 'k')",
        "SELECT create_reference_table('r')",
        "INSERT INTO t SELECT n, n FROM generate_series(1, 20) AS n",
    )


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
@pytest.mark.parametrize("name", STATEMENTS)
def test_locks(name: str, driver: str, on_cluster: Project, cluster: Cluster) -> None:
    """Somebody reads in a transaction through a worker: the coordinator has no lock of theirs."""
    in_use(on_cluster, cluster)
    on_cluster.env(SYNC_ENV, driver=driver)
    on_cluster.revision(f"op.execute({STATEMENTS[name]!r})")
    busy: list[LockBusy] = []
    # Of a foreign key's lock a reader is no concern.
    holds = "INSERT INTO t VALUES (1000)" if name == "two tables" else "SELECT count(*) FROM t"
    with psycopg.connect(cluster.workers[0], application_name="report") as reader:
        reader.execute(holds)

        def report(event: Told) -> None:
            if isinstance(event, LockBusy):
                busy.append(event)
                if len(busy) == 3:
                    reader.rollback()

        upgrade(on_cluster.config, "head", report=report)
    assert len(busy) >= 3
    (blocker,) = busy[0].blockers
    assert blocker.worker is not None
    assert blocker.worker in cluster.workers[0]
    assert "report" in blocker.who
    assert str(blocker.pid) in blocker.way_out
    assert on_cluster.query("SELECT * FROM holdfast.unfinished") == []


def test_way_out(on_cluster: Project, cluster: Cluster) -> None:
    """What the message says ends the session on the worker, sent to the coordinator."""
    in_use(on_cluster, cluster)
    on_cluster.revision("op.execute('ALTER TABLE t ADD COLUMN c int')")
    with psycopg.connect(cluster.workers[0]) as reader:
        reader.execute("SELECT count(*) FROM t")

        def report(event: Told) -> None:
            if isinstance(event, LockBusy):
                for blocker in event.blockers:
                    cluster.execute(f"SELECT {blocker.way_out.partition('SELECT ')[2]}")

        upgrade(on_cluster.config, "head", report=report)
        with pytest.raises(psycopg.OperationalError):
            reader.execute("SELECT 1")
        reader.close()


def test_builds(on_cluster: Project, cluster: Cluster) -> None:
    """Whom a build waits for on a worker is named while it waits, with what ends that session."""
    in_use(on_cluster, cluster)
    on_cluster.revision("op.create_index('i', 't', ['v'])")
    waited_for: list[str] = []
    with psycopg.connect(cluster.workers[0], application_name="report") as reader:
        reader.execute("SELECT count(*) FROM t")

        def report(event: Told) -> None:
            if isinstance(event, StepWatched) and event.seen.waits_for:
                waited_for.extend(event.seen.waits_for)
                cluster.execute(f"SELECT {waited_for[0].rpartition('SELECT ')[2]}")

        upgrade(on_cluster.config, "head", report=report)
        reader.close()
    assert "report" in waited_for[0]


def test_guard(on_cluster: Project, cluster: Cluster) -> None:
    """A body that keeps a distributed table locked is cancelled for a user of the coordinator, on every node."""
    in_use(on_cluster, cluster)
    body = "DO $$ BEGIN ALTER TABLE t ADD COLUMN c int; PERFORM pg_sleep(2); END $$"
    on_cluster.revision(f"op.execute({body!r})")
    ended, errors = Event(), list[str]()
    user = Thread(target=read_on, args=(cluster.coordinator, ended, errors))
    user.start()
    try:
        with pytest.raises(KeepsUsersWaiting):
            upgrade(on_cluster.config, "head")
    finally:
        ended.set()
        user.join(60)
    assert errors == []
    question = "SELECT count(*) FROM pg_attribute WHERE attrelid = ''public.t''::regclass AND attname = ''c''"
    rows = cluster.execute(f"SELECT result FROM run_command_on_all_nodes('{question}')")
    assert {result for (result,) in rows} == {"0"}


def read_on(url: str, ended: Event, errors: list[str]) -> None:
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            while not ended.wait(0.005):
                connection.execute("SELECT count(*) FROM t WHERE k = 1")
    except psycopg.Error as error:
        errors.append(str(error))


def test_prepared(on_cluster: Project, cluster: Cluster) -> None:
    """What holds a shard without a session in the cluster is waited for, too: a prepared transaction, an autovacuum."""
    in_use(on_cluster, cluster)
    on_cluster.revision("op.execute('ALTER TABLE t ADD COLUMN c int')")
    busy: list[LockBusy] = []
    with psycopg.connect(cluster.workers[0], autocommit=True) as worker:
        worker.execute("SET citus.override_table_visibility = off")
        worker.execute("SET citus.enable_manual_changes_to_shards = on")
        [(shard,)] = worker.execute(
            "SELECT relname FROM pg_class WHERE relname ~ '^t_[0-9]+$' AND relkind = 'r' LIMIT 1"
        )
        worker.execute("BEGIN")
        worker.execute(f"LOCK TABLE {shard} IN ACCESS EXCLUSIVE MODE".encode())
        worker.execute("PREPARE TRANSACTION 'held'")

        def report(event: Told) -> None:
            if isinstance(event, LockBusy):
                busy.append(event)
                if len(busy) == 2:
                    worker.execute("ROLLBACK PREPARED 'held'")

        upgrade(on_cluster.config, "head", report=report)
    (blocker,) = busy[0].blockers
    assert "prepared" in str(blocker)
    assert "None" not in blocker.with_way_out
