"""A project with several databases: no verb stops at the first, each is named, the worst of them counts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from alembic_project import Project
from click.testing import CliRunner, Result
from sqlalchemy import make_url

from holdfast.cli import holdfast
from holdfast.errors.steps import DataInTheWay
from holdfast.migrate.run import upgrade
from holdfast.scratch.databases import Postgres

TWO = """
from alembic import context
from sqlalchemy import create_engine, pool

# As `alembic init -t multidb` writes it: all are connected, and in transactions of env.py, to the end.
opened = []
try:
    for name in ("sqlalchemy.url", "second.url"):
        engine = create_engine(context.config.get_main_option(name), poolclass=pool.NullPool)
        connection = engine.connect()
        opened.append((connection, connection.begin()))
    for connection, _ in opened:
        context.configure(connection=connection)
        context.run_migrations()
    for _, transaction in opened:
        transaction.commit()
except:
    for _, transaction in opened:
        transaction.rollback()
    raise
finally:
    for connection, _ in opened:
        connection.close()
"""
TABLE = "op.execute('CREATE TABLE a (id int PRIMARY KEY, n int)')"
UNIQUE = """
op.create_index('a_id', 'a', ['id'])
op.create_index('a_n', 'a', ['n'], unique=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Two:
    """A project whose env.py goes through two databases, both at the first revision."""

    project: Project
    urls: tuple[str, str]

    @property
    def names(self) -> list[str]:
        return [str(make_url(url).database) for url in self.urls]

    def execute(self, sql: str, *, number: int) -> list[tuple[object, ...]]:
        with psycopg.connect(self.urls[number], autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def two(project: Project, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))
    monkeypatch.setenv("DATABASE_URL", project.database)
    monkeypatch.chdir(project.folder)
    project.env(TWO)
    project.revision(TABLE)
    with postgres.database() as second:
        url = make_url(second).set(drivername="postgresql+psycopg").render_as_string()
        with (project.folder / "alembic.ini").open("a") as file:
            file.write(f"second.url = {url.replace('%', '%%')}\n")
        upgrade(project.config, "head")
        yield Two(project=project, urls=(project.database, second))


def call(*words: str) -> Result:
    return CliRunner().invoke(holdfast, words)


def half_way(two: Two) -> None:
    """The second database stops in the middle of the second revision; the first one is through."""
    two.execute("INSERT INTO a VALUES (1, 1), (2, 1)", number=1)
    two.project.revision(UNIQUE)
    with pytest.raises(DataInTheWay):
        upgrade(two.project.config, "head")


def test_doctor_judges_each(two: Two) -> None:
    """What is wrong with the second one is found, under its name."""
    half_way(two)
    two.execute("ALTER TABLE a ADD CONSTRAINT later CHECK (n > 0) NOT VALID", number=1)
    first, second = (f"{name}, public.alembic_version" for name in two.names)
    ended = call("doctor")
    lines = ended.output.splitlines()
    assert f"ok     30 no revision half-way ({first}): no revision is half-way" in lines
    assert f"refuse 30 no revision half-way ({second}): half-way: r2 up" in lines
    [left] = [line for line in lines if "nothing left over" in line and "later" in line]
    assert left.startswith(f"warn   30 nothing left over ({second}): ")
    assert ended.exit_code == 3
    checks = json.loads(call("doctor", "--format", "json").output)["checks"]
    assert [each["of"] for each in checks if each["name"] == "half-way"] == [first, second]


def test_leave_leaves_each(two: Two) -> None:
    """Nothing of ours stays in any of them; the way back from what was half-way was tried where it was."""
    half_way(two)
    ended = call("leave", "--yes")
    gone = "the schema holdfast is gone; public.alembic_version is as it was, and Alembic alone goes on from there"
    tried = "tried on a copy of the schema, without rows"
    assert ended.stdout.splitlines() == [
        f"database {two.names[0]}:",
        gone,
        f"database {two.names[1]}:",
        "abandoned: revision r2 (up); its version row was not written",
        "stays     build index a_id on public.a",
        "not done  build unique index a_n on public.a",
        f"The way back to where it began, in this order ({tried}):",
        "undo      DROP INDEX CONCURRENTLY IF EXISTS public.a_id",
        "To go forward instead, do what is not done by hand, then: holdfast baseline r2",
        gone,
    ]
    for number in (0, 1):
        assert two.execute("SELECT to_regnamespace('holdfast')", number=number) == [(None,)]


def test_abandon_gives_up_each(two: Two) -> None:
    """Whatever is half-way in whichever of them: asked about, given up and tried there, under its name."""
    half_way(two)
    two.execute(
        "DELETE FROM holdfast.history WHERE revision = 'r2'; DROP INDEX a_id, a_n", number=0
    )
    two.execute("UPDATE alembic_version SET version_num = 'r1'", number=0)
    two.execute("INSERT INTO a VALUES (1, 1), (2, 1)", number=0)
    with pytest.raises(DataInTheWay):
        upgrade(two.project.config, "head")
    places = [f"{name}, public.alembic_version" for name in two.names]
    left = "step 2 of 2: build unique index a_n on public.a"
    lost = ", ".join(f"what is left of revision r2 (up) in {each}: {left}" for each in places)
    assert str(call("abandon").exception).splitlines()[0] == (
        f"holdfast abandon did nothing: nobody confirmed that this is lost: {lost}."
    )
    assert call("abandon", "--yes").stdout.splitlines() == [
        line
        for place in places
        for line in (
            f"database {place}:",
            "abandoned: revision r2 (up); its version row was not written",
            "stays     build index a_id on public.a",
            "not done  build unique index a_n on public.a",
            "The way back to where it began, in this order (tried on a copy of the schema, without rows):",
            "undo      DROP INDEX CONCURRENTLY IF EXISTS public.a_id",
            "To go forward instead, do what is not done by hand, then: holdfast baseline r2",
        )
    ]
    assert str(call("abandon", "--yes").exception).splitlines()[0] == (
        "No revision of this project is half-way in this database; nothing was changed."
    )


def test_baseline_and_revert_name_each(two: Two) -> None:
    """Where each of them is recorded; a revision of both is one that is taken back, of each its own are two."""
    two.project.revision(
        "op.add_column('a', sa.Column('m', sa.Integer))", "op.drop_column('a', 'm')"
    )
    upgrade(two.project.config, "head")
    first, second = (f"{name}, public.alembic_version," for name in two.names)
    assert call("baseline", "r2").output.splitlines() == [
        f"recorded: the database {first} is at r2",
        f"recorded: the database {second} is at r2",
    ]
    both = call("revert")
    assert both.stderr.splitlines()[0] == f"takes back 1: r2 about r2 (in {', '.join(two.names)})"
    assert both.stdout.startswith(f"reverted 2: r2 in {two.names[0]}, r2 in {two.names[1]} (")
    two.execute("ALTER TABLE a ADD m int; UPDATE alembic_version SET version_num = 'r2'", number=0)
    apart = call("revert")
    listed = [f"r2 about r2 (in {two.names[0]})", f"r1 about r1 (in {two.names[1]})"]
    assert apart.stderr == f"takes back 2: {'; '.join(listed)}\n"
    assert str(apart.exception).splitlines() == [
        f"holdfast revert -n 1 did nothing: nobody confirmed that this is lost: {', '.join(listed)}.",
        "It asks on a terminal; this is not one, or the answer was no.",
        "To do it without being asked: holdfast revert -n 1 --yes",
    ]
    assert str(call("revert", "-n", "2", "--yes").exception).splitlines()[0] == (
        f"2 revisions were to be taken back in {two.names[1]}, and only 1 can be; none was."
    )


def test_pause_and_resume_act_on_each(two: Two) -> None:
    """A run of any of them waits; where holdfast has never run there is no place for the request."""
    names = ", ".join(two.names)
    go_on = "a run waits after its step or batch; go on with: holdfast resume"
    assert call("pause").output == f"paused in {names}: {go_on}\n"
    asked = [two.execute("SELECT count(*) FROM holdfast.pause", number=n) for n in (0, 1)]
    assert asked == [[(1,)], [(1,)]]
    assert [call("resume").output for _ in range(2)] == [
        f"resumed in {names}\n",
        "nothing was paused\n",
    ]
    two.execute("DROP SCHEMA holdfast CASCADE", number=0)
    assert call("pause").output == f"paused: {go_on}\n"
    two.execute("DROP SCHEMA holdfast CASCADE", number=1)
    assert str(call("pause").exception).splitlines()[0] == (
        "There is nothing to pause: holdfast has not run in any database of this project yet."
    )


def test_finish_names_each(two: Two) -> None:
    """What waits in the second one is shown and let go, with the name of its database."""
    two.project.revision("op.alter_column('a', 'n', new_column_name='m')")
    upgrade(two.project.config, "head", expand=True)
    shown = call("finish", "--dry-run").output.splitlines()
    headings = [f"database {name}, public.alembic_version:" for name in two.names]
    assert [line for line in shown if line.startswith("database")] == headings
    told = json.loads(call("finish", "--dry-run", "--format", "json").output)["databases"]
    assert [each["database"] for each in told] == two.names
    ended = call("finish", "--yes").stdout.splitlines()
    assert [line for line in ended if line.startswith("database")] == headings
    assert ended[-1] == "finished: 2 waited"


def test_drift_and_status_name_each(two: Two) -> None:
    """A difference in the second one decides the exit status."""
    two.execute("CREATE TABLE by_hand (id int)", number=1)
    ended = call("drift")
    assert ended.exit_code == 1
    assert ended.output.splitlines() == [
        f"database {two.names[0]}:",
        "no differences from the history at r1",
        f"database {two.names[1]}:",
        "extra      table public.by_hand",
        "1 difference from the history at r1",
    ]
    two.execute("DELETE FROM alembic_version; DROP TABLE a", number=1)
    ended = call("status")
    assert (ended.exit_code, ended.output.splitlines()) == (
        1,
        [
            f"database {two.names[0]}, public.alembic_version:",
            "up to date",
            "at       r1",
            f"database {two.names[1]}, public.alembic_version:",
            "pending: holdfast run applies the revisions below",
            "at       (no revision)",
            "pending  r1 about r1",
        ],
    )
