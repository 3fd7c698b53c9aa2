"""Through a pooler nobody migrates twice either, and what is set or held there ends with each transaction."""

import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest
from alembic_project import SYNC_ENV, Project
from backends import wait_until
from background import BackgroundRun
from pooler import pooler, socket_of
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, NullPool, create_engine

from holdfast.errors.leadership import AnotherMigratorIsStillAtWork, RoleHasLimits, TakenOver
from holdfast.errors.statement import NeedsSession
from holdfast.execute.leader import Leadership
from holdfast.execute.lease import Lease
from holdfast.execute.progress import (
    BackfillMoved,
    Event,
    NoGuardBehindPooler,
    WaitingForLeader,
    silent,
)
from holdfast.execute.session import MigrationSession
from holdfast.migrate.run import upgrade

SHORT = timedelta(milliseconds=300)
ROWS = 6_000
# What a stranger would find in a session that the pooler hands on.
LEFT = """
    SELECT (SELECT count(*) FROM pg_settings WHERE source = 'session'
             AND name NOT IN ('client_encoding', 'application_name', 'DateStyle', 'TimeZone')),
           (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
           (SELECT count(*) FROM pg_prepared_statements)
"""
BUILD = "/* holdfast step */ CREATE INDEX CONCURRENTLY t_x ON t (id)"
WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '/* hold%' AND wait_event_type = 'Lock'"
    " AND datname = current_database()"
)


def waits(url: str) -> bool:
    with psycopg.connect(url) as connection:
        return connection.execute(WAITS).fetchone() == (1,)


@pytest.fixture
def pooled(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The project's way leads through a pooler, the only one there is; gives the direct URL."""
    direct = project.database
    monkeypatch.setenv("HOLDFAST_POOLER", "transaction")
    with pooler(socket_of(direct)) as port:
        name = conninfo_to_dict(direct)["dbname"]
        project.database = f"postgresql://postgres@127.0.0.1:{port}/{name}"
        project.env(SYNC_ENV, driver="psycopg")
        yield direct


def connected(url: str) -> Connection:
    return create_engine(
        url.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool
    ).connect()


def leased(connection: Connection) -> MigrationSession:
    session = MigrationSession(connection)
    assert session.notice_pooler()
    session.commit()
    return session


def test_whole_revision(project: Project, pooled: str) -> None:
    """A table, rows, an index, a constraint, a backfill: all of it, and nothing is left in a session."""
    project.revision(
        f"""
        op.create_table("t", sa.Column("id", sa.Integer, primary_key=True), sa.Column("a", sa.Integer))
        op.execute("INSERT INTO t SELECT n, n FROM generate_series(1, {ROWS}) n")
        """
    )
    events: list[Event] = []
    upgrade(project.config, "head", report=events.append)
    project.revision(
        """
        op.add_column("t", sa.Column("b", sa.Integer))
        op.execute("UPDATE t SET b = a")
        op.alter_column("t", "b", nullable=False)
        op.create_index("t_b", "t", ["b"])
        op.create_check_constraint("positive", "t", "b > 0")
        op.drop_index("t_b", "t")
        """
    )
    left = []

    def report(event: Event) -> None:
        events.append(event)
        if isinstance(event, BackfillMoved):
            left.append(event.rows)

    upgrade(project.config, "head", report=report)
    with psycopg.connect(pooled) as connection:
        assert connection.execute("SELECT count(*) FROM t WHERE b = a").fetchone() == (ROWS,)
        assert connection.execute("SELECT count(*) FROM holdfast.lease").fetchone() == (0,)
    assert left
    assert NoGuardBehindPooler() in events


def test_nothing_left_in_the_session(project: Project, pooled: str) -> None:
    """On a connection that goes on afterwards, as the pooler's does: no setting, no lock, nothing prepared."""
    project.revision("op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))")
    upgrade(project.config, "head")
    project.revision("op.create_index('t_id', 't', ['id'])\nop.execute('UPDATE t SET id = id')")
    with connected(project.database) as connection:
        project.config.attributes["connection"] = connection
        upgrade(project.config, "head")
        left = connection.exec_driver_sql(LEFT).one()
    assert tuple(left) == (0, 0, 0)


@pytest.mark.parametrize(
    ("first", "second"), [("lease", "lease"), ("lease", "lock"), ("lock", "lease")]
)
def test_one_at_a_time(project: Project, pooled: str, first: str, second: str) -> None:
    """Whoever migrates, by whichever way, the next one waits for it, whichever way that takes."""
    project.revision("op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))")
    upgrade(project.config, "head")

    def elect(how: str, connection: Connection) -> Leadership | Lease:
        session = leased(connection) if how == "lease" else MigrationSession(connection)
        found = Lease(session) if how == "lease" else Leadership(connection)
        try:
            found.acquire(report=seen.append, patience=SHORT)
            found.take_over(session, report=seen.append, patience=SHORT)
        except BaseException:
            found.close()
            raise
        return found

    seen: list[Event] = []
    urls = {"lease": project.database, "lock": pooled}
    with connected(urls[first]) as one, connected(urls[second]) as other:
        with closing(elect(first, one)), pytest.raises(AnotherMigratorIsStillAtWork):
            elect(second, other)
        assert any(isinstance(event, WaitingForLeader) for event in seen)
        elect(second, other).close()


def test_lost_lease_is_taken(project: Project, pooled: str) -> None:
    """Who does not renew it any more, for whatever reason, commits nothing once another one has it."""
    project.revision("op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))")
    upgrade(project.config, "head")
    with connected(project.database) as one, connected(project.database) as other:
        former, later = leased(one), leased(other)
        lease, next_lease = Lease(former), Lease(later)
        lease.acquire(report=silent, patience=SHORT)
        lease.take_over(former, report=silent, patience=SHORT)
        with psycopg.connect(pooled) as connection:
            connection.execute("UPDATE holdfast.lease SET until = now() - interval '1 s'")
        next_lease.acquire(report=silent, patience=SHORT)
        next_lease.take_over(later, report=silent, patience=SHORT)
        with pytest.raises(TakenOver):
            former.execute_sql("INSERT INTO t VALUES (1)")
        with pytest.raises(TakenOver), former.autocommit(), former.step_outside_transaction():
            pass
        next_lease.close()
        former.rollback()


def test_build_of_killed_leader_is_waited_for(project: Project, pooled: str) -> None:
    """A step that outlives its process is known by the mark in its text: also to who migrates past the pooler."""
    project.revision("op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))")
    upgrade(project.config, "head")
    project.revision("op.add_column('t', sa.Column('b', sa.Integer))")
    project.database = pooled
    project.env(SYNC_ENV, driver="psycopg")
    with psycopg.connect(pooled) as holder, psycopg.connect(pooled, autocommit=True) as builder:
        holder.execute("INSERT INTO t VALUES (1)")
        building = threading.Thread(target=builder.execute, args=[BUILD], daemon=True)
        building.start()
        wait_until(lambda: waits(pooled), what="the build")
        run = BackgroundRun(project)
        is_told = lambda: any(isinstance(event, WaitingForLeader) for event in run.events)  # noqa: E731
        wait_until(is_told, what="the run")
        holder.rollback()
        building.join(30)
        run.end()
    with psycopg.connect(pooled) as connection:
        assert connection.execute("SELECT count(b) FROM t").fetchone() == (0,)


def test_refused_with_the_way_past(project: Project, pooled: str) -> None:
    """What nobody can look into names the way past the pooler; nothing of its revision is done."""
    project.revision("op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))")
    upgrade(project.config, "head")
    project.revision(
        """
        op.add_column("t", sa.Column("b", sa.Integer))
        op.execute("DO $$ BEGIN PERFORM 1; END $$")
        """
    )
    with pytest.raises(NeedsSession, match="HOLDFAST_MIGRATION_URL"):
        upgrade(project.config, "head")
    with psycopg.connect(pooled) as connection:
        columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0"
        assert connection.execute(columns).fetchone() == (1,)


@pytest.mark.parametrize("limit", ["statement_timeout", "lock_timeout"])
def test_limits_of_the_role(project: Project, pooled: str, limit: str) -> None:
    """A limit of the role, which would end a build each time, is named before anything is done."""
    project.revision("op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))")
    with psycopg.connect(pooled, autocommit=True) as connection:
        name = conninfo_to_dict(pooled)["dbname"]
        connection.execute(f'ALTER DATABASE "{name}" SET {limit} = 30000')
    with pytest.raises(RoleHasLimits, match=f"SET {limit} = 0"):
        upgrade(project.config, "head")
