"""A migration gets its locks so that users come first, whoever is in the way."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import psycopg
import pytest
from alembic_project import Project
from backends import wait_until
from background import BackgroundRun
from contract import users_of
from everywhere import each
from sqlalchemy import NullPool, create_engine, make_url, text

from holdfast.errors.locks import KeepsUsersWaiting, LockNotFree, NobodyWatched
from holdfast.execute import lock_patience
from holdfast.execute.guard import Guard
from holdfast.execute.lock_patience import LockPatience, LockTimeouts, NewConnections
from holdfast.execute.progress import AutovacuumIsCancelled, LockBusy, StepStarted, silent
from holdfast.execute.progress import Event as Progress
from holdfast.execute.session import MigrationSession
from holdfast.execute.verdict import EndedByGuard, GuardVerdict, Reason
from holdfast.migrate.run import upgrade
from holdfast.observe.blockers import BlockerKind
from holdfast.scratch.server import EmbeddedServer, temporary_server
from holdfast.testing.blockers import holding

# A vacuum that is at it for minutes: one page costs more than the limit, and each pause is long.
SLOW_VACUUM = """
    CREATE TABLE t (id integer, b text) WITH (
        autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
    INSERT INTO t SELECT n, repeat('x', 200) FROM generate_series(1, 50000) AS n;
    UPDATE t SET b = 'y';
"""
VACUUMS = """
    SELECT pid FROM pg_locks
    WHERE relation = to_regclass('t') AND mode = 'ShareUpdateExclusiveLock' AND pid <> pg_backend_pid()
"""
ADD_COLUMN = "op.add_column('t', sa.Column('c', sa.Integer, server_default='7'))"


def test_a_row_lock_stalls_nobody_else(in_use: Project) -> None:
    """A client keeps a row locked: the migration steps aside again and again, and others write on."""
    in_use.revision(ADD_COLUMN)
    with holding(in_use.database, "UPDATE t SET a = 0 WHERE id = 1") as client:
        pid = client.info.backend_pid
        run = BackgroundRun(in_use)
        with psycopg.connect(in_use.database, autocommit=True) as other:
            for number in range(5):
                wait_until(lambda n=number: len(run.busy) > n, what="another try")
                other.execute("UPDATE t SET b = 'other' WHERE id = %s", [2 + number])
        found = {
            (blocker.kind, blocker.pid, blocker.relation, blocker.mode)
            for event in run.busy
            for blocker in event.blockers
        }
        client.commit()
    run.end()
    kind = BlockerKind.IDLE_IN_TRANSACTION
    assert found == {(kind, pid, "t", "RowExclusiveLock")}
    assert in_use.query("SELECT DISTINCT c FROM t") == [(7,)]


@pytest.mark.parametrize(
    "change",
    [ADD_COLUMN, "op.create_foreign_key('t_u', 't', 'u', ['u'], ['id'])"],
    ids=["one transaction", "a queued step"],
)
def test_the_budget_ends_and_the_holder_is_named(in_use: Project, change: str) -> None:
    """Who, on what, since when, and how to make room; nothing is held, and the next run succeeds."""
    in_use.revision(change)
    with holding(in_use.database, "UPDATE t SET a = 0 WHERE id = 1") as client:
        pid = client.info.backend_pid
        with pytest.raises(LockNotFree) as raised:
            upgrade(in_use.config, "head", lock_budget=timedelta(milliseconds=300))
        assert raised.value.blockers.startswith(
            f"session idle in transaction pid {pid} (postgres) holds RowExclusiveLock on t since "
        )
        assert raised.value.blockers.endswith(", last query: UPDATE t SET a = $1 WHERE id = $2")
        assert raised.value.ways_out == (
            f"end its transaction, or SELECT pg_terminate_backend({pid})"
        )
        with psycopg.connect(in_use.database) as other:
            other.execute("UPDATE t SET b = 'other' WHERE id = 2")
    upgrade(in_use.config, "head")
    assert in_use.query("SELECT version_num FROM alembic_version") == [("r2",)]


@pytest.mark.parametrize(
    "change",
    [
        "op.add_column('t', sa.Column('c', sa.Integer)); op.add_column('u', sa.Column('c', sa.Integer))",
        "op.create_foreign_key('t_u', 't', 'u', ['u'], ['id'])",
    ],
    ids=["one transaction", "a queued step"],
)
def test_the_application_is_never_the_victim_of_a_deadlock(in_use: Project, change: str) -> None:
    """Users lock u and then t, the migration t and then u: no user gets an error, the migration succeeds."""
    in_use.revision(change)
    ended, errors = Flag(), list[str]()

    def use() -> None:
        try:
            with psycopg.connect(in_use.database) as connection:
                while not ended.wait(0.005):
                    connection.execute("UPDATE u SET id = id WHERE id = 1")
                    connection.execute("UPDATE t SET a = a WHERE id = 1")
                    connection.commit()
        except psycopg.Error as error:
            errors.append(str(error))

    users = [Thread(target=use, daemon=True) for _ in range(3)]
    for user in users:
        user.start()
    run = BackgroundRun(in_use)
    try:
        run.end()
    finally:
        ended.set()
        for user in users:
            user.join(10)
    assert errors == []


@pytest.fixture(scope="module")
def vacuuming_server() -> Iterator[EmbeddedServer]:
    """With autovacuum and prepared transactions, which the server of the other tests has not."""
    settings = {
        "autovacuum": "on",
        "autovacuum_naptime": "1s",
        "max_prepared_transactions": "2",
    }
    with temporary_server(settings=settings) as server:
        yield server


def test_a_prepared_transaction_is_named(vacuuming_server: EmbeddedServer, tmp_path: Path) -> None:
    """It has no process that could be ended: its identifier, and what to say with it."""
    with psycopg.connect(vacuuming_server.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE prepared")
    project = Project(folder=tmp_path / "project", database=vacuuming_server.url("prepared"))
    project.revision("op.create_table('t', sa.Column('id', sa.Integer))")
    upgrade(project.config, "head")
    project.revision(ADD_COLUMN)
    with psycopg.connect(project.database, autocommit=True) as client:
        for statement in ("BEGIN", "INSERT INTO t VALUES (1)", "PREPARE TRANSACTION 'forgotten'"):
            client.execute(statement)
    with pytest.raises(LockNotFree) as raised:
        upgrade(project.config, "head", lock_budget=timedelta(milliseconds=100))
    assert raised.value.blockers.startswith(
        "prepared transaction (forgotten) holds RowExclusiveLock on t since "
    )
    assert raised.value.ways_out == "COMMIT PREPARED or ROLLBACK PREPARED 'forgotten'"
    with psycopg.connect(project.database, autocommit=True) as client:
        client.execute("ROLLBACK PREPARED 'forgotten'")
    upgrade(project.config, "head")


HOLDERS = {
    "session": ("", "session idle in transaction pid "),
    "prepared": ("PREPARE TRANSACTION 'row'", "prepared transaction (row) "),
}
WRITES = {
    "along a key": "op.execute('UPDATE t SET a = 1')",
    "by blocks": "op.alter_column('t', 'a', type_=sa.BigInteger)",
}


@pytest.mark.parametrize("holder", each(list(HOLDERS), here=1))
@pytest.mark.parametrize("write", WRITES)
def test_whoever_has_rows_of_the_table_is_named(
    vacuuming_server: EmbeddedServer, tmp_path: Path, holder: str, write: str
) -> None:
    """A batch that waits for a row, whoever holds it: which rows a transaction has nobody tells, but of which table."""
    ends, words = HOLDERS[holder]
    name = f"rows_{holder}_{write.split()[-1]}"
    with psycopg.connect(vacuuming_server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    project = Project(folder=tmp_path / "project", database=vacuuming_server.url(name))
    project.revision("op.execute('CREATE TABLE t (id int PRIMARY KEY, a int)')")
    upgrade(project.config, "head")
    project.query("INSERT INTO t SELECT n, n FROM generate_series(1, 10) AS n")
    project.revision(WRITES[write])
    held: list[Progress] = []
    with psycopg.connect(project.database, autocommit=True) as client:

        def hold(event: Progress) -> None:
            """Behind the first step of a copy, which locks the table for a moment."""
            is_writing = isinstance(event, StepStarted) and "UPDATE" in event.step
            if is_writing and not held:
                for statement in ("BEGIN", "UPDATE t SET a = 7 WHERE id = 3", ends):
                    client.execute(statement.encode())
            if is_writing or isinstance(event, LockBusy):
                held.append(event)

        with pytest.raises(LockNotFree) as raised:
            upgrade(project.config, "head", report=hold, lock_budget=timedelta(milliseconds=100))
        assert raised.value.blockers.startswith(words)
        assert "holds RowExclusiveLock on t" in raised.value.blockers
        client.execute("ROLLBACK PREPARED 'row'" if ends else "ROLLBACK")
    upgrade(project.config, "head")


@pytest.mark.parametrize("role", ["postgres", "ordinary"])
def test_an_autovacuum_gives_way(
    vacuuming_server: EmbeddedServer, tmp_path: Path, role: str
) -> None:
    """Beside busy users too one longer try cancels it, whether or not the role may set deadlock_timeout."""
    name = f"vacuumed_by_{role}"
    with psycopg.connect(vacuuming_server.url(), autocommit=True) as connection:
        if role != "postgres":
            connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        connection.execute(f"CREATE DATABASE {name} OWNER {role}".encode())
    url = make_url(vacuuming_server.url(name)).set(username=role).render_as_string()
    project = Project(folder=tmp_path / "project", database=url)
    project.revision("pass")
    upgrade(project.config, "head")
    project.revision(ADD_COLUMN)
    project.query(SLOW_VACUUM)
    wait_until(lambda: bool(project.query(VACUUMS)), what="an autovacuum of t")
    events: list[Progress] = []
    with users_of(url, {"t": {"id integer"}}) as users:
        upgrade(project.config, "head", report=events.append)
    assert users.errors == []
    busy = [event for event in events if isinstance(event, LockBusy)]
    assert BlockerKind.AUTOVACUUM in {b.kind for event in busy for b in event.blockers}
    assert {e.lock_timeout for e in events if isinstance(e, AutovacuumIsCancelled)} == {
        timedelta(milliseconds=500 if role == "postgres" else 1100)
    }
    assert project.query("SELECT DISTINCT c FROM t") == [(7,)]


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        (Reason.USERS, KeepsUsersWaiting),
        (Reason.SILENCE, NobodyWatched),
        (Reason.LOCK, LockNotFree),
    ],
)
def test_whatever_ends_connection_after_connection_is_refused_in_the_end(
    monkeypatch: pytest.MonkeyPatch, reason: Reason, error: type[Exception]
) -> None:
    """No reason of the guard is a retry without an end; what is committed in between begins a new count."""
    monkeypatch.setattr(lock_patience, "PAUSE", (timedelta(), timedelta()))
    verdict = GuardVerdict(reason=reason)
    connections = NewConnections(budget=timedelta(hours=1), report=silent)
    for commits in (*range(20), *[20] * 4):
        connections.ended("revision r1", verdict, at=commits)
    connections.budget = timedelta(seconds=-1)
    with pytest.raises(error):
        connections.ended("revision r1", verdict, at=20)


EVERY_SESSION = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def test_on_a_connection_that_is_gone_nothing_is_tried_again(database: str) -> None:
    """Whoever has ended it, and whatever the guard says it has done: the run goes on on a new one."""
    url = make_url(database).set(drivername="postgresql+psycopg")
    tries = []

    def unit(_: LockTimeouts) -> None:
        tries.append(1)
        session.watch(own_wait=timedelta(seconds=1))
        with psycopg.connect(database) as other:
            other.execute(
                EVERY_SESSION
            )  # the guard's, too, whose verdict is then that it was silent
        session.execute(text("SELECT 1"))

    with create_engine(url, poolclass=NullPool).connect() as connection:
        session = MigrationSession(connection)
        session.guard = Guard(session)
        with pytest.raises(EndedByGuard) as raised:
            LockPatience(session=session, report=silent).run(unit, what="a unit", locks=tuple)
        session.guard.close()
        session.close()
    assert (raised.value.verdict.is_terminated, len(tries)) == (True, 1)
