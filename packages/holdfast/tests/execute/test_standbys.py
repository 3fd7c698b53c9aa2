"""Who reads on a standby does not wait behind a lock of a migration, and what cannot be seen of a standby is said."""

import secrets
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from alembic_project import Project
from backends import wait_until
from background import BackgroundRun
from sqlalchemy import NullPool, create_engine, make_url
from standby import Pair, streaming_pair

from holdfast.cli.plan import as_text
from holdfast.doctor.check import Severity
from holdfast.doctor.examine import examine
from holdfast.engine.settings import Settings, StandbySettings
from holdfast.errors.locks import LockNotFree
from holdfast.errors.settings import InvalidSettings
from holdfast.execute import backfill_pace, standbys
from holdfast.execute.backfill_pace import Pace
from holdfast.execute.progress import (
    BackfillPaused,
    Event,
    LagUnseen,
    StandbyNotAsked,
    StandbyReadersUnseen,
)
from holdfast.execute.session import MigrationSession
from holdfast.execute.standbys import TablesWatched
from holdfast.migrate.run import upgrade
from holdfast.observe.blockers import Blocker, BlockerKind
from holdfast.observe.replicas import HoldingSlot
from holdfast.observe.standbys import StandbyReader
from holdfast.preview.forecast import forecast

READ = "SELECT count(*) FROM t"
# What counts as a long read here, and one.
LONG = timedelta(milliseconds=100)
LONG_READ = f"{READ}, pg_sleep(0.15)".encode()
ADD = "op.add_column('t', sa.Column('note', sa.Text))"
BUILD = "op.create_index('t_a', 't', ['a'])"


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """One primary with one standby, whose readers may take as long as they want."""
    with streaming_pair(
        {"max_standby_streaming_delay": "-1"}, of_primary={"wal_level": "logical"}
    ) as both:
        yield both


def project_with_a_table(folder: Path, url: str) -> Project:
    project = Project(folder=folder, database=url)
    project.revision(
        "op.execute('CREATE TABLE t (id int PRIMARY KEY, a int)')\n"
        "op.execute('INSERT INTO t SELECT n, n FROM generate_series(1, 500) n')"
    )
    return project


@pytest.fixture(scope="module")
def template(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database in which the first revision is applied, to be copied."""
    create(pair, "template0", name="with_a_table")
    url = pair.primary.url("with_a_table")
    upgrade(project_with_a_table(tmp_path_factory.mktemp("a") / "project", url).config, "head")
    return "with_a_table"


def create(pair: Pair, template: str, *, name: str) -> None:
    with psycopg.connect(pair.primary.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())


@pytest.fixture
def replicated(
    pair: Pair, template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Project]:
    """A project with a table, in a database of its own."""
    monkeypatch.setattr(standbys, "LONG_READ", LONG)
    name = f"d{secrets.token_hex(4)}"
    create(pair, template, name=name)
    project = project_with_a_table(tmp_path / "project", pair.primary.url(name))
    pair.wait_for_replay()
    yield project
    with psycopg.connect(pair.standby.url(), autocommit=True) as connection:
        connection.execute("SELECT pg_wal_replay_resume()")


def on_standby(pair: Pair, project: Project) -> str:
    return pair.standby.url(make_url(project.database).database or "")


def blockers(run: BackgroundRun) -> list[Blocker]:
    return [blocker for event in run.busy for blocker in event.blockers]


@pytest.mark.parametrize(
    "change", [ADD, f"{BUILD}\n{ADD}", "op.drop_column('t', 'a')", "op.execute('LOCK TABLE t')"]
)
def test_a_long_read_on_a_standby_is_waited_for(
    pair: Pair, replicated: Project, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However a revision locks a table: not while somebody reads it there for long, who is named; others read on."""
    url = on_standby(pair, replicated)
    monkeypatch.setenv("HOLDFAST_STANDBYS", url)
    replicated.revision(change)
    with psycopg.connect(url) as reader:
        reader.execute(LONG_READ)
        pid = reader.info.backend_pid
        run = BackgroundRun(replicated)
        wait_until(lambda: any(each.pid == pid for each in blockers(run)), what="its name")
        pair.wait_for_replay()
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("SET statement_timeout = '5s'")
            assert other.execute(READ.encode()).fetchall() == [(500,)]
    run.end()
    [named] = {str(each) for each in blockers(run) if each.pid == pid}
    assert f"pid {pid} (postgres) on standby " in named
    assert "holds AccessShareLock on t" in named


def test_a_read_that_never_ends_ends_the_run(
    pair: Pair, replicated: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the budget for locks, with what a person can do about it, and where."""
    url = on_standby(pair, replicated)
    monkeypatch.setenv("HOLDFAST_STANDBYS", url)
    replicated.revision(ADD)
    with psycopg.connect(url) as reader:
        reader.execute(LONG_READ)
        way_out = rf"pg_terminate_backend\({reader.info.backend_pid}\) on "
        with pytest.raises(LockNotFree, match=way_out):
            upgrade(replicated.config, "head", lock_budget=timedelta(milliseconds=300))


@pytest.mark.parametrize("is_named", [True, False])
def test_the_next_lock_waits_until_the_last_one_is_replayed(
    pair: Pair, replicated: Project, is_named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the standby is not named, as far as the role may see how far it is."""
    if is_named:
        monkeypatch.setenv("HOLDFAST_STANDBYS", on_standby(pair, replicated))
    replicated.revision(f"{ADD}\n{BUILD}\nop.drop_column('t', 'note')")
    with psycopg.connect(pair.standby.url(), autocommit=True) as standby:
        standby.execute("SELECT pg_wal_replay_pause()")
        run = BackgroundRun(replicated)
        wait_until(
            lambda: any(each.kind is BlockerKind.STANDBY for each in blockers(run)),
            what="the standby to be named",
        )
        standby.execute("SELECT pg_wal_replay_resume()")
    run.end()
    told = [event for event in run.events if isinstance(event, StandbyReadersUnseen)]
    assert told == ([] if is_named else [StandbyReadersUnseen(standbys=1, hidden=0)])


def test_builds_and_writes_wait_for_nobody_there(
    pair: Pair, replicated: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only ACCESS EXCLUSIVE is replayed as a lock."""
    url = on_standby(pair, replicated)
    monkeypatch.setenv("HOLDFAST_STANDBYS", url)
    replicated.revision(f"{BUILD}\nop.execute('UPDATE t SET a = 0')")
    with psycopg.connect(url) as reader:
        reader.execute(LONG_READ)
        upgrade(replicated.config, "head")


def test_a_standby_that_does_not_answer_is_told_and_left_out(
    replicated: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be down for the night; the run says so once."""
    monkeypatch.setenv("HOLDFAST_STANDBYS", "postgresql://nobody@/t?host=/nowhere")
    replicated.revision(f"{ADD}\n{BUILD}\nop.drop_column('t', 'note')")
    events: list[Event] = []
    upgrade(replicated.config, "head", report=events.append)
    [told] = [event for event in events if isinstance(event, StandbyNotAsked)]
    assert told.standby == "/nowhere:5432"


def test_a_url_that_is_none_is_an_error_of_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything has run, and without the value, which may hold a password."""
    monkeypatch.setenv("HOLDFAST_STANDBYS", "postgresql://a@b/c,host=db2 password=secret")
    with pytest.raises(InvalidSettings, match="HOLDFAST_STANDBYS: Value error") as raised:
        StandbySettings()
    assert "secret" not in str(raised.value)


def test_a_lag_that_a_role_may_not_see_is_told_once(replicated: Project) -> None:
    """Without pg_monitor a standby looks as if it were not behind: the backfill says that it does not wait."""
    role = f"small_{secrets.token_hex(4)}"
    replicated.query(f"CREATE ROLE {role} LOGIN; SELECT 1")
    url = make_url(replicated.database).set(username=role, drivername="postgresql+psycopg")
    events: list[Event] = []
    with (
        create_engine(url, poolclass=NullPool).connect() as connection,
        closing(MigrationSession(connection)) as session,
    ):
        for _ in range(2):
            pace = Pace(session=session, report=events.append, table="t", step="s")
            pace.looked_at_others -= 60
            pace.wait_for_others()
    assert events == [LagUnseen(standbys=1, role=role)]


@pytest.mark.parametrize("slot_type", ["physical", "logical"])
def test_a_slot_that_keeps_wal_is_waited_for(
    replicated: Project, monkeypatch: pytest.MonkeyPatch, slot_type: str
) -> None:
    """Whatever reads from it, or nobody: the backfill waits at the budget, names it, and goes on without it."""
    monkeypatch.setattr(backfill_pace, "LOOK_AT_OTHERS_AFTER", timedelta())
    monkeypatch.setenv("HOLDFAST_BACKFILL_SLOT_WAL", "1kB")
    name = f"s{secrets.token_hex(4)}"
    made = {
        "physical": f"pg_create_physical_replication_slot('{name}', true)",
        "logical": f"pg_create_logical_replication_slot('{name}', 'pgoutput')",
    }
    replicated.query(f"SELECT 1 FROM {made[slot_type]}")
    # So many rows that it is written in batches, whatever the statistics say.
    replicated.query(
        "INSERT INTO t SELECT n, n FROM generate_series(501, 60000) n; ANALYZE t; SELECT 1"
    )
    replicated.revision("op.execute('UPDATE t SET a = -7')")
    run = BackgroundRun(replicated)
    try:
        wait_until(lambda: any(isinstance(e, BackfillPaused) for e in run.events), what="a pause")
        assert replicated.query("SELECT count(*) FROM t WHERE a = -7") == [(0,)]
    finally:
        replicated.query(f"SELECT pg_drop_replication_slot('{name}')")
    run.end()
    [why] = {e.why.partition(" keeps ")[0] for e in run.events if isinstance(e, BackfillPaused)}
    assert why == f"replication slot {name}"
    assert replicated.query("SELECT count(*) FROM t WHERE a = -7") == [(60_000,)]


@pytest.mark.parametrize(
    ("allowed", "held", "is_over"),
    [
        (None, 900, False),
        (None, 1_100, True),
        (10_000, 900, False),
        (1_000, 600, True),  # the server would give it up at 1,000
        (1_000, 400, False),
        (0, 1, True),
    ],
)
def test_budget_of_a_slot(allowed: int | None, held: int, is_over: bool) -> None:
    """What was asked for, and never more than half of what the server allows it."""
    slot = HoldingSlot(name="s", is_active=True, held=held, allowed=allowed)
    assert slot.is_over(1_000) is is_over


@pytest.mark.usefixtures("scratch")
def test_plan_says_what_followers_meet(
    pair: Pair, replicated: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers of each standby, who has the table there now, and subscribers, with the order for both sides."""
    replicated.query(
        "CREATE PUBLICATION p FOR TABLE t; CREATE PUBLICATION q FOR TABLE t (id); SELECT 1"
    )
    pair.wait_for_replay()
    replicated.revision(f"{ADD}\nop.drop_column('t', 'a')")
    unseen = "\n".join(as_text(forecast(replicated.config)))
    assert "note: 1 standby follows this server: whoever reads public.t there waits" in unseen
    url = on_standby(pair, replicated)
    monkeypatch.setenv("HOLDFAST_STANDBYS", url)
    with psycopg.connect(url) as reader:
        pid = reader.info.backend_pid
        reader.execute(LONG_READ)
        text = "\n".join(as_text(forecast(replicated.config)))
    assert (
        text.count("who reads public.t waits without end while a longer read keeps this lock") == 1
    )
    assert (
        f"in the way right now: session idle in transaction pid {pid} (postgres) on standby" in text
    )
    assert "note: the publication p sends t: add note on its subscribers first" in text
    assert "publication q" not in text


def test_doctor_asks_standbys(
    pair: Pair, replicated: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What their readers would meet, and what this role does not see of them, each with what changes it."""
    role = f"small_{secrets.token_hex(4)}"
    replicated.query(f"CREATE ROLE {role} LOGIN; SELECT 1")
    pair.wait_for_replay()
    url = make_url(replicated.database).set(username=role).render_as_string()
    monkeypatch.setenv("HOLDFAST_STANDBYS", on_standby(pair, replicated))
    found = examine(Settings(url=url, profile="test", migrate_on_start="off"), None)
    [verdict] = [each.verdict for each in found if each.check.name == "standbys"]
    assert verdict.severity is Severity.WARN
    assert f"{role} does not see how far 1 of 1 standbys are behind" in verdict.says
    assert "may wait without end behind a lock that waits for a long read" in verdict.says
    assert f"GRANT pg_monitor TO {role};" in verdict.remedy
    assert "max_standby_streaming_delay = '1s'" in verdict.remedy


# Seconds between looks at the same transaction, whose age is known or hidden; whether it is in the way at each.
LOOKS = [
    pytest.param(timedelta(seconds=2), [0.0], [True], id="old"),
    pytest.param(timedelta(seconds=0.1), [0.0], [False], id="young"),
    pytest.param(None, [0.0, 0.5, 1.2], [True, True, True], id="hidden, and it stays"),
]


@pytest.mark.parametrize(("age", "at", "expected"), LOOKS)
def test_who_is_there_for_long(
    age: timedelta | None, at: list[float], expected: list[bool]
) -> None:
    """A transaction whose age this role may not see counts until it has been watched for a second."""
    reader = StandbyReader(
        transaction="3/7", pid=1, who="", relation="t", mode="AccessShareLock", since=None, age=age,
        state=None, query=None,
    )  # fmt: skip
    now = [100.0]
    watched = TablesWatched(clock=lambda: now[0])
    seen = []
    for moment in at:
        now[0] = 100.0 + moment
        seen.append(watched.are_old((reader,)) == (reader,))
    assert seen == expected


def test_short_reads_of_others_do_not_add_up() -> None:
    """On a busy standby there is always somebody whose age is hidden: after a second only those who stay count."""
    now = [100.0]
    watched = TablesWatched(clock=lambda: now[0])

    def reader(number: int) -> StandbyReader:
        return StandbyReader(
            transaction=f"3/{number}", pid=number, who="", relation="t", mode="AccessShareLock",
            since=None, age=None, state=None, query=None,
        )  # fmt: skip

    assert watched.are_old((reader(1),))
    now[0] = 101.5
    assert watched.are_old((reader(2),)) == ()
