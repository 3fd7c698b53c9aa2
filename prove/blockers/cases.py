"""One blocker, one function: it gives the words for its line, or raises Failed."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager

import psycopg
from alembic_project import SYNC_ENV, Project
from psycopg import IsolationLevel
from world import INDEX_ONLY, Ended, Failed, Shop, World

from holdfast.observe.schema_constants import KEY
from holdfast.scratch.server import binary

SHORT = 2.0  # s of patience, where the run is to give up
WAITS = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"


def gives_up(ended: Ended, who: str) -> None:
    """It says who, and where a person finds the way out."""
    if ended.is_done:
        raise Failed("it went past the blocker")
    ended.require(r"No lock within|It still waits for others")
    ended.require(who)


@contextmanager
def session(shop: Shop, *statements: str) -> Iterator[psycopg.Connection]:
    """A transaction of another session that stays open."""
    with psycopg.connect(shop.url) as connection:
        for statement in statements:
            connection.execute(statement)
        yield connection
        connection.rollback()


def idle_writer(around: World) -> str:
    with around.shop() as shop:
        with session(shop, "UPDATE t SET b = 'mine' WHERE id = 1") as writer:
            pid = writer.info.backend_pid
            gives_up(shop.run(budget=SHORT), f"idle in transaction pid {pid} ")
        shop.finish()
    return f"gave up and named pid {pid}, then ended; longest request {shop.longest:.0f} ms"


def idle_writer_of_the_index_build(around: World) -> str:
    with around.shop(change=INDEX_ONLY) as shop:
        with session(shop, "UPDATE t SET b = 'mine' WHERE id = 1") as writer:
            pid = writer.info.backend_pid
            run = shop.start(budget=120)
            run.wait_for(f"waits for pid {pid} ")
            writer.rollback()
            ended = run.end()
        if not ended.is_done:
            raise Failed(ended.said)
        shop.require_done()
    return f"waited for pid {pid}, named it and ended; longest request {shop.longest:.0f} ms"


def long_select_elsewhere(around: World) -> str:
    with around.shop() as shop:
        with busy(shop, "SELECT pg_sleep(600) FROM (SELECT count(*) FROM elsewhere) AS e") as pid:
            run = shop.start(budget=120)
            run.wait_for(f"waits for pid {pid} ")
            shop.admin.execute("SELECT pg_cancel_backend(%s)", [pid])
            ended = run.end()
        if not ended.is_done:
            raise Failed(ended.said)
        shop.require_done()
    return (
        f"the build waited for pid {pid}, named it and ended; longest request {shop.longest:.0f} ms"
    )


@contextmanager
def busy(shop: Shop, statement: str) -> Iterator[int]:
    """Another session that is executing the statement; gives its process id."""
    with closing(psycopg.connect(shop.url, autocommit=True)) as connection:
        connection.pgconn.send_query(statement.encode())
        connection.pgconn.flush()
        yield connection.info.backend_pid


@contextmanager
def old_snapshot(shop: Shop, statement: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(shop.url) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.execute(statement)
        yield connection
        connection.rollback()


def repeatable_read_reader(around: World) -> str:
    with around.shop() as shop:
        with old_snapshot(shop, "SELECT FROM t LIMIT 1") as reader:
            pid = reader.info.backend_pid
            gives_up(shop.run(budget=SHORT), f"idle in transaction pid {pid} ")
        with old_snapshot(shop, "SELECT FROM elsewhere") as reader:
            pid = reader.info.backend_pid
            gives_up(shop.run(budget=SHORT), f"pid {pid} ")
        shop.finish()
    return (
        "of the table, then of another one during the build: gave up, named it, then ended;"
        f" longest request {shop.longest:.0f} ms"
    )


def pg_dump(around: World) -> str:
    with around.shop() as shop:
        # Nobody reads what it writes: it stops in the middle of the large table, with its locks.
        command = [str(binary("pg_dump")), "--dbname", shop.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as dump:
            shop.wait_until(
                "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'pg_dump'"
                " AND datname = current_database() AND query LIKE 'COPY public.t %'"
                " AND wait_event = 'ClientWrite'",
                what="pg_dump to be in the middle of the table",
            )
            gives_up(shop.run(budget=SHORT), "pg_dump pid ")
            dump.communicate(timeout=120)
        if dump.returncode:
            raise Failed("pg_dump did not end well")
        shop.finish()
    return (
        f"gave up and named it, the dump ended, then the run; longest request {shop.longest:.0f} ms"
    )


# One page costs more than the limit, and each pause is long.
SLOW_VACUUM = """
    ALTER TABLE t SET (autovacuum_enabled = on, autovacuum_vacuum_threshold = 1,
        autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_insert_threshold = 1,
        autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1{more})
"""
VACUUMS = """
    SELECT EXISTS (SELECT FROM pg_stat_activity a JOIN pg_locks l USING (pid)
                   WHERE backend_type = 'autovacuum worker' AND datname = current_database()
                     AND l.relation = 't'::regclass AND mode = 'ShareUpdateExclusiveLock'
                     AND query LIKE 'autovacuum: VACUUM%t{kind}')
"""


def autovacuum(around: World) -> str:
    with around.shop() as shop:
        shop.admin.execute(SLOW_VACUUM.format(more=""))
        shop.wait_until(VACUUMS.format(kind=""), what="an autovacuum of the table")
        ended = shop.run()
        if not ended.is_done:
            raise Failed(ended.said)
        ended.require("an autovacuum is in the way")
        shop.require_done()
    return f"had it cancelled and ended; longest request {shop.longest:.0f} ms"


AGE = """
    DO $$ BEGIN FOR i IN 1 .. 100100 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$
"""


def anti_wraparound_autovacuum(around: World) -> str:
    with around.shop() as shop:
        shop.admin.execute(AGE)
        shop.admin.execute(SLOW_VACUUM.format(more=", autovacuum_freeze_max_age = 100000"))
        shop.wait_until(
            VACUUMS.format(kind=" (to prevent wraparound)"), what="an autovacuum against wraparound"
        )
        gives_up(shop.run(budget=SHORT), "autovacuum to prevent wraparound pid ")
        end_wraparound(shop)
        shop.finish()
    return f"gave up and named it, then ended; longest request {shop.longest:.0f} ms"


def end_wraparound(shop: Shop) -> None:
    """An administrator who knows what that means: it comes back until it is not needed any more."""
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        shop.admin.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'"
        )
        try:
            with shop.admin.transaction():
                shop.admin.execute("SET LOCAL lock_timeout = '20ms'")
                shop.admin.execute(
                    "ALTER TABLE t SET (autovacuum_freeze_max_age = 2000000000), "
                    "SET (autovacuum_enabled = off)"
                )
        except psycopg.errors.LockNotAvailable:
            continue
        return
    raise Failed("the autovacuum against wraparound could not be ended")


def prepared_transaction(around: World) -> str:
    with around.shop() as shop:
        with psycopg.connect(shop.url, autocommit=True) as client:
            client.execute("BEGIN")
            client.execute("UPDATE t SET b = 'mine' WHERE id = 1")
            client.execute("PREPARE TRANSACTION 'forgotten'")
        ended = shop.run(budget=SHORT)
        shop.admin.execute("ROLLBACK PREPARED 'forgotten'")
        gives_up(ended, r"prepared transaction \(forgotten\)")
        shop.finish()
    return f"gave up and named it, then ended; longest request {shop.longest:.0f} ms"


def advisory_waiter(around: World) -> str:
    """Somebody waits for the migrator's own lock, with a snapshot that the build has to wait for.

    It comes while the build waits for a writer: later ones are not waited for.
    """
    with around.shop(change=INDEX_ONLY) as shop:
        with session(shop, "UPDATE t SET b = 'mine' WHERE id = 1") as writer:
            run = shop.start(budget=10)
            run.wait_for(f"waits for pid {writer.info.backend_pid} ")
            with busy(shop, f"SELECT pg_advisory_lock({KEY})") as pid:
                shop.wait_until(WAITS, what="the waiter to wait")
                writer.rollback()
                gives_up(run.end(), f"pid {pid} ")
        shop.finish()
    return (
        f"a waiter for its own lock: gave up, named pid {pid}, then ended;"
        f" longest request {shop.longest:.0f} ms"
    )


def another_tool(around: World) -> str:
    """Another team's migration, by plain Alembic, keeps a lock in its transaction."""
    with around.shop() as shop:
        other = Project(folder=shop.project.folder.parent / "other", database=shop.url)
        own_table = "connection=connection, version_table='other_version'"
        other.env(SYNC_ENV.replace("connection=connection", own_table))
        other.revision(
            "op.execute('COMMENT ON TABLE t IS NULL')\n"
            "op.execute('SELECT pg_advisory_xact_lock(1)')"
        )
        shop.admin.execute("SELECT pg_advisory_lock(1)")
        with plain_alembic(other):
            shop.wait_until(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 't'::regclass"
                " AND mode = 'ShareUpdateExclusiveLock')",
                what="the other tool to hold its lock",
            )
            run = shop.start(budget=120)
            run.wait_for("holds ShareUpdateExclusiveLock on t")
            shop.admin.execute("SELECT pg_advisory_unlock(1)")
            ended = run.end()
        if not ended.is_done:
            raise Failed(ended.said)
        shop.require_done()
    return f"waited for its transaction, named it and ended; longest request {shop.longest:.0f} ms"


def same_revision_by_plain_alembic(around: World) -> str:
    """Both want to apply it at once: one of them does, and the next run finds everything there."""
    with around.shop(is_judged=False) as shop:  # Alembic itself keeps users waiting
        with plain_alembic(shop.project) as tool:
            ended = shop.run()
            status = tool.wait(60)
        if status != 0 and not ended.is_done:
            raise Failed(f"neither has applied it: {ended.said}")
        shop.finish()
    by = {
        name
        for name, is_done in {"Alembic": status == 0, "holdfast": ended.is_done}.items()
        if is_done
    }
    return f"without an error ended {' and '.join(sorted(by))}; everything is there once"


@contextmanager
def plain_alembic(project: Project) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "alembic", "-c", str(project.folder / "alembic.ini")]
    with subprocess.Popen([*command, "upgrade", "head"], stderr=subprocess.DEVNULL) as process:
        yield process


CASES: Mapping[str, Callable[[World], str]] = {
    case.__name__: case
    for case in (
        idle_writer,
        idle_writer_of_the_index_build,
        long_select_elsewhere,
        repeatable_read_reader,
        pg_dump,
        autovacuum,
        anti_wraparound_autovacuum,
        prepared_transaction,
        advisory_waiter,
        another_tool,
        same_revision_by_plain_alembic,
    )
}
