"""No user waits for a migration, whatever it executes: the guard ends what users wait for."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from alembic_project import ASYNC_ENV, SYNC_ENV, Project
from backends import terminate, wait_until
from background import BackgroundRun
from contract import Process
from everywhere import each, named
from sqlalchemy import NullPool, create_engine

from holdfast.errors.locks import KeepsUsersWaiting, LockNotFree
from holdfast.errors.unfinished import FunctionWasInterrupted
from holdfast.execute import lock_patience
from holdfast.execute.guard import Guard
from holdfast.execute.progress import LockBusy, UsersWaited
from holdfast.execute.session import MigrationSession
from holdfast.execute.verdict import EndedByGuard, GuardVerdict, Reason
from holdfast.migrate.run import upgrade
from holdfast.observe.schema_constants import GUARD_KEY
from holdfast.testing.blockers import holding

READ = "SELECT count(*) FROM t"
IN_DO = "DO $$ BEGIN {} END $$"
ADD = "ALTER TABLE t ADD COLUMN note text;"
HAS_NOTE = (
    "SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'note'"
    " AND NOT attisdropped"
)
FUNCTION = f"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {ADD} END $$"
PROCEDURE = f"CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN {ADD} END $$"
ON_INSERT = f"""
    CREATE TABLE told (n int);
    CREATE FUNCTION on_insert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {ADD} RETURN NULL; END $$;
    CREATE TRIGGER on_insert AFTER INSERT ON told EXECUTE FUNCTION on_insert();
"""
ON_DDL = """
    CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
      IF tg_tag = 'CREATE TABLE' THEN
        BEGIN ALTER TABLE t ADD COLUMN note text; EXCEPTION WHEN OTHERS THEN RAISE NOTICE '%', SQLERRM; END;
      END IF; END $$;
    CREATE EVENT TRIGGER on_ddl ON ddl_command_end WHEN tag IN ('CREATE TABLE') EXECUTE FUNCTION on_ddl();
"""
CAUGHT = IN_DO.format(f"{ADD} EXCEPTION WHEN OTHERS THEN RAISE NOTICE '%', SQLERRM;")
# Each adds the column, in a way that nobody can look into: what is there before, and the revision.
OPAQUE = {
    "DO": ("SELECT 1", [IN_DO.format(ADD)]),
    "DO with WHEN OTHERS": ("SELECT 1", [CAUGHT]),
    "DO behind DDL": ("SELECT 1", ["ALTER TABLE t ADD COLUMN more text", CAUGHT]),
    "DO behind a build": ("SELECT 1", ["CREATE INDEX i ON t (a)", CAUGHT]),
    "function": (FUNCTION, ["SELECT f()"]),
    "function behind a build": (FUNCTION, ["CREATE INDEX i ON t (a)", "SELECT f()"]),
    "CALL": (PROCEDURE, ["CALL p()"]),
    "CREATE TABLE AS": (FUNCTION, ["CREATE TABLE other AS SELECT 1 AS n FROM f()"]),
    "CREATE TABLE AS behind a build": (
        FUNCTION,
        ["CREATE INDEX i ON t (a)", "CREATE TABLE other AS SELECT 1 AS n FROM f()"],
    ),
    "trigger": (ON_INSERT, ["INSERT INTO told VALUES (1)"]),
    "trigger behind a build": (
        ON_INSERT,
        ["CREATE INDEX i ON t (a)", "INSERT INTO told VALUES (1)"],
    ),
    "LOCK TABLE": ("SELECT 1", ["LOCK TABLE t IN ACCESS EXCLUSIVE MODE", ADD]),
}


OPAQUE_HERE = ("DO behind DDL", "function behind a build", "CALL", "CREATE TABLE AS", "trigger")


@pytest.mark.parametrize("way", named(OPAQUE, here=OPAQUE_HERE))
def test_what_waits_for_a_lock_lets_users_through_and_loses_nothing(
    in_use: Project, way: str
) -> None:
    """However a lock is asked for: users go first, and once it is free the change is made."""
    before, statements = OPAQUE[way]
    in_use.query(f"{before}; SELECT 1")
    in_use.revision("\n".join(f"op.execute({statement!r})" for statement in statements))
    with holding(in_use.database, READ):
        run = BackgroundRun(in_use)
        wait_until(lambda: len(run.busy) > 1, what="two tries")
        assert in_use.query(READ) == [(5000,)]  # not behind the migration
    run.end()
    assert in_use.query(HAS_NOTE) == [(1,)]


def test_a_lock_wait_that_a_body_sees_names_who_is_in_the_way(in_use: Project) -> None:
    """Of a statement that nobody can look into, the guard has seen what it wanted."""
    in_use.revision(f"op.execute({CAUGHT!r})")
    with (
        holding(in_use.database, READ) as reader,
        pytest.raises(LockNotFree, match=f"pid {reader.info.backend_pid} "),
    ):
        upgrade(in_use.config, "head", lock_budget=timedelta(milliseconds=200))
    assert in_use.query(HAS_NOTE) == [(0,)]


def test_beside_event_triggers_no_lock_timeout_is_set(in_use: Project) -> None:
    """Their bodies may catch it, like any other: the column is not lost."""
    in_use.query(f"{ON_DDL}; SELECT 1")
    in_use.revision("op.execute('CREATE TABLE other (id int)')")
    with holding(in_use.database, READ):
        run = BackgroundRun(in_use)
        wait_until(lambda: bool(run.busy), what="a try")
    run.end()
    in_use.query("DROP EVENT TRIGGER on_ddl")
    assert in_use.query(HAS_NOTE) == [(1,)]


@contextmanager
def reading(project: Project, ended: threading.Event | None = None) -> Iterator[list[int]]:
    """A user who reads the table all the time, or until an event; gives the number of reads."""
    reads, ended = [0], ended or threading.Event()

    def read() -> None:
        with psycopg.connect(project.database, autocommit=True) as connection:
            while not ended.is_set():
                connection.execute(READ)
                reads[0] += 1

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield reads
    finally:
        ended.set()
        thread.join()


LONG = IN_DO.format(f"{ADD} PERFORM pg_sleep(60);")
SWALLOWED = IN_DO.format(
    f"BEGIN {ADD} PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(60); END;"
)


WITH_DRIVERS = pytest.mark.parametrize(
    "env",
    each([(ASYNC_ENV, "asyncpg"), (SYNC_ENV, "psycopg"), (SYNC_ENV, "psycopg2")], here=1),
    ids=lambda env: env[1],
)


@WITH_DRIVERS
def test_what_works_long_under_a_lock_is_ended_and_refused(
    in_use: Project, env: tuple[str, str]
) -> None:
    """Whatever the driver: users are let through each time, and after five times the reason is told."""
    source, driver = env
    in_use.env(source, driver=driver)
    in_use.revision(f"op.execute({LONG!r})")
    events: list[object] = []
    with reading(in_use), pytest.raises(KeepsUsersWaiting) as raised:
        upgrade(in_use.config, "head", report=events.append)
    waited = [event for event in events if isinstance(event, UsersWaited)]
    assert [event.tries for event in waited] == [1, 2, 3, 4, 5]
    assert {event.verdict.reason for event in waited} == {Reason.USERS}
    assert "AccessExclusiveLock on public.t" in raised.value.held
    assert "holdfast: allow REASON until" in str(raised.value)
    assert in_use.query(HAS_NOTE) == [(0,)]


LONG_FUNCTION = """
    CREATE SCHEMA app;
    CREATE FUNCTION app.version() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
      LOCK TABLE public.t; PERFORM pg_sleep(5); RETURN ''; END $$
"""
BLOCK = "with op.get_context().autocommit_block():\n    op.execute({!r})"
OTHER = "with op.get_bind().engine.{} as other:\n    other.execute(sa.text({!r}))"
IN_AUTOCOMMIT = "connect().execution_options(isolation_level='AUTOCOMMIT')"
# Whatever connection it comes on, whatever it is taken for: what calls the function.
LONG_WAYS = {
    "a setting": "op.execute(\"SELECT set_config('app.x', app.version(), true)\")",
    "a block of AUTOCOMMIT, DO": BLOCK.format(LONG),
    "a block of AUTOCOMMIT, read": BLOCK.format("SELECT app.version() FROM t LIMIT 1"),
    "another connection": OTHER.format("begin()", "SELECT app.version()"),
    "another connection, idle": (
        f"{OTHER.format('begin()', 'LOCK TABLE t')}; import time; time.sleep(5)"
    ),
    "another connection, AUTOCOMMIT": OTHER.format(IN_AUTOCOMMIT, LONG),
}


LONG_HERE = ("a setting", "a block of AUTOCOMMIT, DO", "another connection")


@pytest.mark.parametrize("way", named(LONG_WAYS, here=LONG_HERE))
def test_users_are_let_through_whatever_way_it_comes(
    in_use: Project, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement is watched on whatever connection of the engine it is sent, and whatever it is taken for."""
    monkeypatch.setattr(lock_patience, "USERS_WAIT_AT_MOST", 1)
    in_use.query(f"{LONG_FUNCTION}; SELECT 1")
    in_use.revision(LONG_WAYS[way])
    with reading(in_use), pytest.raises(KeepsUsersWaiting):
        upgrade(in_use.config, "head")
    assert in_use.query("SELECT version_num FROM alembic_version") == [("r1",)]


def test_a_cancel_that_a_body_catches_does_not_count_as_success(in_use: Project) -> None:
    """EXCEPTION WHEN query_canceled ends well, without the change: it is tried again, then refused."""
    caught = IN_DO.format(f"{ADD} PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL;")
    in_use.revision(f"op.execute({caught!r})")
    with reading(in_use), pytest.raises(KeepsUsersWaiting):
        upgrade(in_use.config, "head")
    assert in_use.query("SELECT version_num FROM alembic_version") == [("r1",)]


def test_users_may_wait_where_the_author_allows_it(in_use: Project) -> None:
    """In a comment on its line, until a day."""
    short = IN_DO.format(f"{ADD} PERFORM pg_sleep(0.5);")
    in_use.revision(
        f"op.execute({short!r})  # holdfast: allow a night without users until 2999-01-01"
    )
    with reading(in_use):
        upgrade(in_use.config, "head")
    assert in_use.query(HAS_NOTE) == [(1,)]


@WITH_DRIVERS
def test_an_idle_transaction_for_which_users_wait_is_terminated_and_run_again(
    in_use: Project, env: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python computes between two statements, under a lock: the server's side of it is ended, and it goes on anew."""
    monkeypatch.setattr(lock_patience, "USERS_WAIT_AT_MOST", 50)  # on a machine that is busy
    source, driver = env
    in_use.env(source, driver=driver)
    flag = in_use.folder / "slept"
    in_use.revision(
        f"""
        import pathlib, time
        flag = pathlib.Path({str(flag)!r})
        op.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        if not flag.exists():
            flag.touch()
            time.sleep(2)
        op.execute({ADD!r})
        """
    )
    events: list[object] = []
    ended = (
        threading.Event()
    )  # the user's, whom the next try meets no more: on a busy machine each try is slow

    def report(event: object) -> None:
        events.append(event)
        if isinstance(event, UsersWaited):
            ended.set()

    with reading(in_use, ended):
        upgrade(in_use.config, "head", report=report)
    [waited] = [event for event in events if isinstance(event, UsersWaited)][:1]
    assert waited.verdict.is_terminated
    assert in_use.query(HAS_NOTE) == [(1,)]
    assert in_use.query("SELECT count(*) FROM holdfast.history WHERE outcome = 'done'") == [(2,)]


def test_whoever_waits_for_rows_only_ends_nothing(in_use: Project) -> None:
    """Writes that hold rows, and no lock that blocks a table's users, are those of any writer."""
    in_use.revision(
        "op.execute('UPDATE u SET id = -id WHERE id = 1'); op.execute('SELECT pg_sleep(1)')"
    )
    events: list[object] = []
    user = threading.Thread(target=lambda: in_use.query("UPDATE u SET id = id WHERE id IN (1, -1)"))

    run = BackgroundRun(in_use)
    wait_until(
        lambda: in_use.query("SELECT count(*) FROM pg_locks WHERE locktype = 'relation'"
                             " AND relation = 'u'::regclass AND mode = 'RowExclusiveLock'") == [(1,)],
        what="the write",
    )  # fmt: skip
    user.start()
    run.end()
    user.join()
    events = [event for event in run.events if isinstance(event, UsersWaited | LockBusy)]
    assert events == []


WAITS = """
    CREATE TABLE told (n int);
    CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'lets it pass') THEN
        PERFORM pg_sleep(60);
      END IF; RETURN NULL; END $$;
"""
# What lasts between the function of a revision and the end of COMMIT.
LATE = {
    "at COMMIT": "CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON told DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION waits()",
    "at the version row": "CREATE TRIGGER waits AFTER UPDATE ON alembic_version"
    " FOR EACH ROW EXECUTE FUNCTION waits()",
}


def ends_once_users_have_waited(project: Project) -> None:
    """A user waits and the run gives way; then nothing is in its way, and all of it is done, once."""
    with reading(project):
        run = BackgroundRun(project)
        wait_until(
            lambda: any(isinstance(event, UsersWaited) for event in run.events), what="a user"
        )
    with psycopg.connect(project.database, application_name="lets it pass"):
        run.end()
    assert project.query(HAS_NOTE) == [(1,)]
    assert project.query("SELECT n FROM told") == [(1,)]


@pytest.mark.parametrize("late", LATE)
@pytest.mark.parametrize(
    ("env", "driver"), each([(SYNC_ENV, "psycopg"), (ASYNC_ENV, "asyncpg")], here=1)
)
def test_what_comes_behind_the_function_is_watched_too(
    in_use: Project, monkeypatch: pytest.MonkeyPatch, env: str, driver: str, late: str
) -> None:
    """Whatever works long under its locks at Alembic's version row or at COMMIT, with any driver: users go on."""
    monkeypatch.setattr(lock_patience, "USERS_WAIT_AT_MOST", 50)  # on a machine that is busy
    in_use.env(env, driver=driver)
    in_use.query(f"{WAITS}; {LATE[late]}; SELECT 1")
    both = IN_DO.format(f"{ADD} INSERT INTO told VALUES (1);")
    in_use.revision(f"op.execute({both!r})")
    ends_once_users_have_waited(in_use)


COMMITS = {
    "at an autocommit_block": "with op.get_context().autocommit_block():\n    op.execute('SELECT 1')",
    "by itself": "op.get_bind().commit()",
}


@pytest.mark.parametrize("commits", each(list(COMMITS), here=1))
def test_a_commit_of_the_author_that_was_ended_is_tried_again(
    in_use: Project, monkeypatch: pytest.MonkeyPatch, commits: str
) -> None:
    """Wherever its author commits: SQLAlchemy's transaction is over then, and the next try has one of its own."""
    monkeypatch.setattr(lock_patience, "USERS_WAIT_AT_MOST", 50)  # on a machine that is busy
    in_use.query(f"{WAITS}; {LATE['at COMMIT']}; SELECT 1")
    both = IN_DO.format(f"{ADD} INSERT INTO told VALUES (1);")
    in_use.revision(f"op.execute({both!r})\n{COMMITS[commits]}\nop.execute('SELECT 2')")
    ends_once_users_have_waited(in_use)


HANDED_IN = """
from alembic import context
context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
"""


@pytest.mark.parametrize("late", LATE)
def test_on_a_connection_that_was_handed_in_it_is_ended_and_told(
    in_use: Project, late: str
) -> None:
    """Users are let through to the end of COMMIT there too; it is not repeated, and leaves nothing."""
    in_use.env(HANDED_IN)
    in_use.query(f"{WAITS}; {LATE[late]}; SELECT 1")
    both = IN_DO.format(f"{ADD} INSERT INTO told VALUES (1);")
    in_use.revision(f"op.execute({both!r})")
    engine = create_engine(in_use.url, poolclass=NullPool)
    config = in_use.config
    with (
        reading(in_use),
        engine.connect() as config.attributes["connection"],
        pytest.raises(KeepsUsersWaiting, match=r"AccessExclusiveLock on public\.t"),
    ):
        upgrade(config, "head")
    assert in_use.query(HAS_NOTE) == [(0,)]


@pytest.mark.parametrize("env", [(SYNC_ENV, "psycopg"), (ASYNC_ENV, "asyncpg")],
                         ids=["psycopg", "asyncpg"])  # fmt: skip
def test_nobody_waits_while_the_version_row_is_not_free(
    in_use: Project, env: tuple[str, str]
) -> None:
    """Somebody has Alembic's row locked: with a lock on a table in hand it is not waited for, and who it is is said."""
    source, driver = env
    in_use.env(source, driver=driver)
    in_use.revision(f"op.execute({IN_DO.format(ADD)!r})")
    with holding(in_use.database, "UPDATE alembic_version SET version_num = version_num") as other:
        run = BackgroundRun(in_use)
        pid = other.info.backend_pid
        wait_until(
            lambda: any(each.pid == pid for event in run.busy for each in event.blockers),
            what="the holder of the row to be named",
        )
        assert in_use.query(READ) == [(5000,)]
    run.end()
    assert in_use.query(HAS_NOTE) == [(1,)]


LOCKED = "SELECT 1 FROM pg_locks WHERE relation = 't'::regclass AND mode = 'AccessExclusiveLock' AND granted"


def test_a_migrator_that_is_stopped_lets_users_through(in_use: Project) -> None:
    """SIGSTOP while it holds a lock that blocks users: they go on; when it is woken up it does its work, once."""
    stopped = in_use.folder / "stopped"
    in_use.revision(
        f"""
        import pathlib, time
        op.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        while not pathlib.Path({str(stopped)!r}).exists():
            time.sleep(0.01)
        op.execute("INSERT INTO u VALUES (-1)")
        op.execute({ADD!r})
        """
    )
    run = Process(in_use)
    wait_until(lambda: bool(in_use.query(LOCKED)), what="the lock")
    assert run.process.pid is not None
    os.kill(run.process.pid, signal.SIGSTOP)
    stopped.touch()
    assert in_use.query(READ) == [(5000,)]
    os.kill(run.process.pid, signal.SIGCONT)
    run.end()
    assert in_use.query(HAS_NOTE) == [(1,)]
    assert in_use.query("SELECT count(*) FROM u WHERE id = -1") == [(1,)]
    done = "SELECT count(*) FROM holdfast.history WHERE revision = 'r2' AND outcome = 'done'"
    assert in_use.query(done) == [(1,)]


GUARDS = f"""
    SELECT a.pid FROM pg_stat_activity a
    WHERE a.datname = current_database() AND a.query LIKE '%guard%' AND a.state = 'active'
      AND a.pid <> pg_backend_pid()
      AND EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = {GUARD_KEY} AND granted)
"""


def test_without_its_guard_a_unit_does_not_go_on(in_use: Project) -> None:
    """The guard's connection is ended in the middle of a long statement: that is cancelled, and made again."""
    slow = IN_DO.format(f"{ADD} PERFORM pg_sleep(1);")
    in_use.revision(f"op.execute({slow!r})")
    run = BackgroundRun(in_use)
    wait_until(lambda: bool(in_use.query(GUARDS)), what="the guard")
    [(guard,)] = in_use.query(GUARDS)
    terminate(in_use.database, int(str(guard)))
    run.end()
    assert Reason.SILENCE in reasons(run)
    assert in_use.query(HAS_NOTE) == [(1,)]
    assert in_use.query(
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
        " WHERE locktype = 'advisory' AND datname = current_database()"
    ) == [(0,)]


def reasons(run: BackgroundRun) -> set[Reason]:
    """Why the guard has ended units of this run."""
    return {event.verdict.reason for event in run.events if isinstance(event, UsersWaited)}


@pytest.mark.parametrize(
    ("env", "driver", "where"),
    [
        (SYNC_ENV, "psycopg", "in a statement"),
        (SYNC_ENV, "psycopg", "between two"),
        (ASYNC_ENV, "asyncpg", "in a statement"),
    ],
)
def test_a_guard_that_is_silent_ends_the_unit_wherever_that_is(
    in_use: Project, env: str, driver: str, where: str
) -> None:
    """Its process is stopped, for good: a user who waits is let through all the same, and a new guard is made."""
    in_use.env(env, driver=driver)
    calm = in_use.folder / "calm"
    in_use.query("CREATE TABLE hurry (n int); SELECT 1")
    long = IN_DO.format(
        f"{ADD} IF NOT EXISTS (SELECT FROM hurry) THEN PERFORM pg_sleep(60); END IF;"
    )
    if where == "in a statement":
        in_use.revision(f"op.execute({long!r})")
    else:
        in_use.revision(
            f"""
            import pathlib, time
            op.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            limit = time.monotonic() + 60
            while not pathlib.Path({str(calm)!r}).exists() and time.monotonic() < limit:
                time.sleep(0.01)
            op.execute({ADD!r})
            """
        )
    run = BackgroundRun(in_use)
    wait_until(lambda: bool(in_use.query(LOCKED)) and bool(in_use.query(GUARDS)), what="the lock")
    [(guard,)] = in_use.query(GUARDS)
    os.kill(int(str(guard)), signal.SIGSTOP)
    try:
        with psycopg.connect(in_use.database, options="-c statement_timeout=20s") as user:
            assert user.execute(READ).fetchone() == (5000,)  # the work would last 60 s
        calm.touch()
        in_use.query("INSERT INTO hurry VALUES (1)")
        run.end()
    finally:
        os.kill(int(str(guard)), signal.SIGCONT)
    assert Reason.SILENCE in reasons(run)
    assert in_use.query(HAS_NOTE) == [(1,)]


COMMITTING = {
    "CALL": "CALL p()",
    "DO": "DO $$ BEGIN INSERT INTO done VALUES (1); COMMIT; {} END $$",
    "DO that calls": "DO $$ BEGIN CALL p(); END $$",
}
PROCEDURE_THAT_COMMITS = """
    CREATE TABLE done (n int);
    CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO done VALUES (1); COMMIT; {} END $$;
"""


@pytest.mark.parametrize("way", COMMITTING)
def test_what_may_commit_inside_is_never_repeated(in_use: Project, way: str) -> None:
    """Ended by the guard or not: its first part is there once, and the run says that it was interrupted."""
    body = "LOCK TABLE t IN ACCESS EXCLUSIVE MODE; PERFORM pg_sleep(60);"
    in_use.query(PROCEDURE_THAT_COMMITS.format(body) + "; SELECT 1")
    statement = COMMITTING[way].format(body)
    in_use.revision(f"with op.get_context().autocommit_block():\n    op.execute({statement!r})")
    with reading(in_use), pytest.raises(FunctionWasInterrupted, match="did not end"):
        upgrade(in_use.config, "head")
    with pytest.raises(FunctionWasInterrupted, match="did not end"):
        upgrade(in_use.config, "head")
    assert in_use.query("SELECT n FROM done") == [(1,)]


@pytest.mark.parametrize("way", COMMITTING)
def test_what_commits_inside_and_ends_is_done_once(in_use: Project, way: str) -> None:
    """Also where the function is called again after it."""
    in_use.query(PROCEDURE_THAT_COMMITS.format("NULL;") + "; SELECT 1")
    statement = COMMITTING[way].format("NULL;")
    in_use.revision(
        f"with op.get_context().autocommit_block():\n    op.execute({statement!r})\nop.execute({ADD!r})"
    )
    with holding(in_use.database, READ):
        run = BackgroundRun(in_use)
        wait_until(lambda: bool(run.busy), what="a try")
    run.end()
    assert in_use.query("SELECT n FROM done") == [(1,)]
    assert in_use.query(HAS_NOTE) == [(1,)]


class _Ended:
    """A watch whose loop has ended the connection of what it watched."""

    def settled(self) -> GuardVerdict:
        return GuardVerdict(reason=Reason.USERS, is_terminated=True)


def test_a_connection_that_is_ended_as_it_commits_is_known_to_be_gone(project: Project) -> None:
    """What is committed stays; whoever goes on asks a new connection, and not this one."""
    with create_engine(project.url).connect() as connection:
        guard = Guard(MigrationSession(connection))
        guard.is_armed, guard._watch = True, _Ended()  # type: ignore[assignment]  # all that committed() asks
        with pytest.raises(EndedByGuard):
            guard.committed()


AS_OWNER = """
from alembic import context
from sqlalchemy import create_engine, event, pool

engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)

@event.listens_for(engine, "connect")
def set_role(connection, record):
    connection.cursor().execute("SET {becomes} {role}")
    connection.commit()

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


@pytest.mark.parametrize("becomes", ["ROLE", "SESSION AUTHORIZATION"])
def test_users_are_let_through_where_each_connection_sets_a_role(
    in_use: Project, becomes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role that may not cancel what the login role executes: the guard's own connection is the login's."""
    role = f"owner_{uuid4().hex}"
    in_use.query(
        f"CREATE ROLE {role}; ALTER TABLE t OWNER TO {role}; GRANT CREATE ON SCHEMA public TO {role};"
        f" GRANT ALL ON ALL TABLES IN SCHEMA public, holdfast TO {role};"
        f" GRANT ALL ON ALL SEQUENCES IN SCHEMA holdfast TO {role}; GRANT ALL ON SCHEMA holdfast TO {role}"
    )
    monkeypatch.setattr(lock_patience, "USERS_WAIT_AT_MOST", 1)
    in_use.env(AS_OWNER.format(role=role, becomes=becomes))
    in_use.revision(f"op.execute({LONG!r})")
    try:
        with reading(in_use), pytest.raises(KeepsUsersWaiting):
            upgrade(in_use.config, "head")
        assert in_use.query(HAS_NOTE) == [(0,)]
    finally:
        in_use.query(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")
