"""Nobody migrates twice, whatever becomes of the connection that holds the lock."""

import signal
from contextlib import suppress
from datetime import timedelta

import pytest
from alembic_project import Project
from backends import terminate, wait_until
from background import BackgroundRun
from contract import Process
from everywhere import each
from met_statement import KilledAt, meeting

from holdfast.errors.connection import ConnectionLost
from holdfast.errors.leadership import AnotherMigratorIsStillAtWork, LeadershipLost, TakenOver
from holdfast.execute.progress import BackfillMoved, Event, StepStarted, WaitingForLeader
from holdfast.migrate.run import upgrade
from holdfast.observe.schema_constants import KEY, STEP_KEY
from holdfast.testing.blockers import holding

HOLDER = f"""
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
       AND (classid::bigint << 32) + objid::bigint = {KEY}
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
# The connection of a migrator that asks for the lock, again and again, and for what is in the way in between.
ENDED_AT_ELECTION = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND query LIKE '%pg_try_advisory_lock%'
"""
ADDED = "SELECT bal, count(*) FROM acc GROUP BY bal"
APPLIED = "SELECT count(*) FROM holdfast.history WHERE revision = 'r2' AND outcome = 'done'"
SHORT_TIMEOUTS = """
    DO $do$ DECLARE name text; BEGIN
      FOR name IN SELECT s.name FROM pg_settings s WHERE s.name IN
        ('idle_session_timeout', 'transaction_timeout', 'statement_timeout')
      LOOP
        EXECUTE format('ALTER DATABASE %I SET %I = 1500', current_database(), name);
      END LOOP;
    END $do$
"""
ROWS = 6_000


def accounts(project: Project, *statements: str) -> Project:
    """A table of accounts, and a revision that has these statements."""
    project.revision(
        f"""
        op.execute("CREATE TABLE acc (id bigint PRIMARY KEY, bal int)")
        op.execute("INSERT INTO acc SELECT n, 0 FROM generate_series(1, {ROWS}) n")
        op.execute("CREATE TABLE big (id bigint PRIMARY KEY, v int)")
        op.execute("INSERT INTO big SELECT n, n FROM generate_series(1, 400) n")
        op.create_index("big_old", "big", ["id", "v"])
        """
    )
    upgrade(project.config, "head")
    project.revision("\n".join(statements))
    return project


ADD = 'op.execute("UPDATE acc SET bal = bal + 1")'
BUILD = 'op.create_index("big_v", "big", ["v"])'
DROP = 'op.drop_index("big_old")'
TYPE = 'op.alter_column("big", "v", type_=sa.BigInteger)'
CHECK = 'op.create_check_constraint("positive", "big", "v > 0")'


@pytest.mark.parametrize(
    ("statements", "blocker"),
    each(
        [
            pytest.param([BUILD, ADD], "INSERT INTO big VALUES (0, 1)", id="a build"),
            pytest.param([DROP, ADD], "INSERT INTO big VALUES (0, 1)", id="a drop"),
            pytest.param([TYPE, ADD], "SELECT count(*) FROM big", id="a type change"),
            pytest.param([ADD], "SELECT 1", id="a backfill"),
            pytest.param(
                [CHECK, ADD], "LOCK TABLE big IN SHARE UPDATE EXCLUSIVE MODE", id="a moment"
            ),
            pytest.param([CHECK, ADD], "INSERT INTO big VALUES (0, 1)", id="a constraint"),
            pytest.param(
                ["op.execute('SELECT pg_sleep(1)')", ADD],
                "SELECT 1",
                id="the revision's transaction",
            ),
        ],
        here=2,
    ),
)
def test_a_second_migrator_that_starts_when_the_lock_is_lost_repeats_nothing(
    project: Project, statements: list[str], blocker: str
) -> None:
    """In whatever step the lock's connection is ended: each row is written once, the revision applied once."""
    accounts(project, *statements)
    with holding(project.database, blocker):
        first = BackgroundRun(project)
        what = BackfillMoved if statements == [ADD] else StepStarted
        if "sleep" not in statements[0]:
            wait_until(lambda: any(isinstance(e, what) for e in first.events), what="a step")
        wait_until(lambda: bool(project.query(HOLDER)), what="the first to be elected")
        [(holder,)] = project.query(HOLDER)
        terminate(project.database, int(str(holder)))
        second = Process(project)  # Alembic has one project a process
        wait_until(  # or the first has done all before, and there is nothing left
            lambda: bool(project.query(HOLDER)) or not second.process.is_alive(),
            what="the second to be elected",
        )
    with suppress(TakenOver, LeadershipLost):  # the second is ours too: while it is being elected
        first.end()
    second.end()
    assert project.query(ADDED) == [(1, ROWS)]
    assert project.query(APPLIED) == [(1,)]


IN_TRANSACTION = pytest.mark.parametrize(
    ("place", "number"),
    [pytest.param("'HF001'", 1, id="swap"), pytest.param("UPDATE .*acc", 2, id="batch")],
)


@IN_TRANSACTION
def test_a_migrator_that_is_killed_inside_a_transaction_is_followed(
    project: Project, place: str, number: int
) -> None:
    """SIGKILL in front of a type change's swap or a batch's write: the second one does the rest, once."""
    accounts(project, TYPE, ADD)
    first = Process(project, KilledAt(pattern=place, number=number))
    first.process.join(60)
    assert first.process.exitcode == -signal.SIGKILL
    upgrade(project.config, "head")
    assert project.query(ADDED) == [(1, ROWS)]
    assert project.query(APPLIED) == [(1,)]


@pytest.mark.parametrize("ends", each(["the lock", "the work"], here=1))
@IN_TRANSACTION
def test_a_second_migrator_that_starts_inside_a_transaction_repeats_nothing(
    project: Project, ends: str, place: str, number: int
) -> None:
    """Connections are ended in front of a type change's swap or a batch's write, whichever, and a second one starts."""
    accounts(project, TYPE, ADD)
    seconds: list[Process] = []

    def disturb(pid: int) -> None:
        [(holder,)] = project.query(HOLDER)
        terminate(project.database, int(str(holder)) if ends == "the lock" else pid)
        seconds.append(Process(project))  # Alembic has one project a process
        if ends == "the lock":
            wait_until(lambda: bool(project.query(HOLDER)), what="the second to be elected")

    with (
        meeting(place, disturb, number=number) as met,
        suppress(TakenOver, LeadershipLost, ConnectionLost),
    ):
        upgrade(project.config, "head")
    assert met.at is not None
    [second] = seconds
    second.end()
    assert project.query(ADDED) == [(1, ROWS)]
    assert project.query(APPLIED) == [(1,)]
    kind = "SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = 'big'::regclass AND attname = 'v'"
    assert project.query(kind) == [("bigint",)]


def test_a_lock_that_is_lost_while_one_is_elected_is_an_error_of_ours(project: Project) -> None:
    """Whoever ends the connection of a migrator that waits for another one: it says so, with what to do."""
    accounts(project, ADD)
    with holding(project.database, f"SELECT pg_advisory_lock({KEY})"):
        run = BackgroundRun(project)
        wait_until(
            lambda: any(isinstance(event, WaitingForLeader) for event in run.events),
            what="it to wait",
        )
        wait_until(lambda: project.query(ENDED_AT_ELECTION) == [(True,)], what="it to ask again")
        with pytest.raises(LeadershipLost):
            run.end()


def test_the_former_leader_says_that_another_one_migrates(project: Project) -> None:
    """Between two batches: it stops at once, and nothing of its last one stays."""
    accounts(project, ADD)
    taken_over: list[Event] = []

    def take_over(event: Event) -> None:
        if isinstance(event, BackfillMoved) and not taken_over:
            taken_over.append(event)
            project.query("UPDATE holdfast.leader SET epoch = epoch + 1")

    with pytest.raises(TakenOver) as raised:
        upgrade(project.config, "head", report=take_over)
    assert "Another process is migrating this database now" in str(raised.value)
    upgrade(project.config, "head")
    assert project.query(ADDED) == [(1, ROWS)]


def test_no_timeout_of_the_server_ends_the_lock_or_a_long_step(project: Project) -> None:
    """Whatever timeouts the database has: the lock's connection is idle meanwhile, and a build waits."""
    accounts(project, BUILD, ADD)
    project.query(SHORT_TIMEOUTS)
    with holding(
        project.database,
        "SELECT set_config(name, '0', false) FROM pg_settings"
        " WHERE name ~ '_timeout$' AND context = 'user' AND unit = 'ms'",
    ) as writer:
        writer.rollback()
        writer.execute(
            "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN"
            " ('idle_session_timeout', 'transaction_timeout', 'statement_timeout')"
        )
        writer.commit()
        writer.execute("INSERT INTO big VALUES (0, 1)")
        run = BackgroundRun(project)
        wait_until(lambda: run.has_started("build index big_v on public.big"), what="the build")
        [before] = project.query(HOLDER)
        writer.execute("SELECT pg_sleep(1.8)")
        assert project.query(HOLDER) == [before]
    run.end()
    assert project.query(ADDED) == [(1, ROWS)]


def test_a_new_leader_waits_for_a_former_one_s_step_outside_a_transaction(
    project: Project,
) -> None:
    """It would take the build in flight for a leftover: it polls for the lock of the step, within its patience."""
    accounts(project, ADD)
    events: list[Event] = []
    with holding(project.database, f"SELECT pg_advisory_lock({STEP_KEY})") as former:
        pid = former.info.backend_pid
        with pytest.raises(AnotherMigratorIsStillAtWork, match=f"pid {pid} "):
            upgrade(
                project.config,
                "head",
                patience=timedelta(milliseconds=300),
                report=events.append,
            )
        assert any(isinstance(event, WaitingForLeader) for event in events)
        assert project.query(ADDED) == [(0, ROWS)]
    upgrade(project.config, "head")
    assert project.query(ADDED) == [(1, ROWS)]


def test_a_new_leader_waits_for_the_transaction_in_flight(project: Project) -> None:
    """The former leader's transaction holds the row of the epoch until its end."""
    accounts(project, ADD)
    with (
        holding(project.database, "SELECT epoch FROM holdfast.leader FOR SHARE"),
        pytest.raises(AnotherMigratorIsStillAtWork, match="a transaction of the process"),
    ):
        upgrade(project.config, "head", patience=timedelta(milliseconds=300))
    upgrade(project.config, "head")
    assert project.query(ADDED) == [(1, ROWS)]
