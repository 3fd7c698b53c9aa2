"""A function that was interrupted after a commit is called again, and given what it got before."""

import datetime
import decimal
import uuid
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic_project import ASYNC_ENV, SYNC_ENV, Project
from everywhere import each
from side_by_side import side_by_side
from sqlalchemy.exc import DBAPIError

from holdfast.errors.unfinished import FunctionWasInterrupted, ReplayMismatch
from holdfast.execute.result_json import CannotBeRecorded, Result, from_json, to_json
from holdfast.migrate.abandon import abandon
from holdfast.migrate.database_state import State
from holdfast.migrate.run import upgrade
from holdfast.migrate.status import status
from holdfast.scratch.databases import Postgres

DRIVERS = [
    pytest.param(SYNC_ENV, "psycopg", id="psycopg"),
    pytest.param(SYNC_ENV, "psycopg2", id="psycopg2"),
    pytest.param(ASYNC_ENV, "psycopg", id="async psycopg"),
    pytest.param(ASYNC_ENV, "asyncpg", id="asyncpg"),
]

# It queues, reads (so the queue is run and committed), writes what it read, queues and reads again.
READS_AND_WRITES = """
bind = op.get_bind()
op.add_column('a', sa.Column('m', sa.Integer))
op.create_index('a_n', 'a', ['n'])
before = bind.execute(sa.text("SELECT count(*), max(id), now() FROM a")).one()
table = sa.table('log', sa.column('id', sa.Integer), sa.column('what', sa.Text))
key = bind.execute(sa.insert(table).values(what=f"{before[0]} rows").returning(table.c.id)).scalar_one()
changed = bind.execute(sa.text("UPDATE a SET m = :k WHERE id <= 10"), {"k": key}).rowcount
op.create_index('a_m', 'a', ['m'])
names = sa.inspect(bind).get_indexes('a')
op.execute(sa.text(f"INSERT INTO log (what) VALUES ('{changed} changed, {len(names)} indexes')"))
op.create_check_constraint('a_m_check', 'a', 'm > 0')
bind.execute(sa.text("SELECT count(*) FROM log")).scalar_one()
bind.execute(sa.text("SELECT fail_if_told()"))
"""

FAIL_IF_TOLD = """
    CREATE FUNCTION fail_if_told() RETURNS void LANGUAGE plpgsql AS
    $$BEGIN IF EXISTS (SELECT FROM told) THEN RAISE division_by_zero; END IF; END$$
"""


def in_use(project: Project) -> None:
    project.revision(
        "op.create_table('a', sa.Column('id', sa.Integer), sa.Column('n', sa.Integer))\n"
        "op.execute('CREATE TABLE log (id int GENERATED ALWAYS AS IDENTITY, what text)')\n"
        "op.execute('CREATE TABLE told ()')"
    )
    upgrade(project.config, "head")
    project.query(FAIL_IF_TOLD)
    project.query("INSERT INTO a SELECT i, i FROM generate_series(1, 100) i")


@pytest.mark.parametrize(("env", "driver"), each(DRIVERS, here=2))
def test_goes_on_where_it_was_interrupted(project: Project, env: str, driver: str) -> None:
    """Nothing is done twice, nothing is left out: reads, RETURNING and row counts come from the record."""
    in_use(project)
    project.env(env, driver=driver)
    project.revision(READS_AND_WRITES)
    project.query("INSERT INTO told DEFAULT VALUES")
    with pytest.raises(DBAPIError, match="division"):
        upgrade(project.config, "head")
    assert status(project.config).state is State.HALF_WAY
    project.query("INSERT INTO a SELECT i, i FROM generate_series(101, 150) i")  # traffic goes on
    project.query("DELETE FROM told")
    upgrade(project.config, "head")
    assert status(project.config).state is State.UP_TO_DATE
    assert project.query("SELECT id, what FROM log ORDER BY id") == [
        (1, "100 rows"),
        (2, "10 changed, 2 indexes"),
    ]
    assert project.query(
        "SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'a'::regclass"
    ) == [("a_m_check", True)]
    assert project.query("SELECT * FROM holdfast.calls") == []


def test_another_text_stops_it(project: Project) -> None:
    """The function sends a value of a clock: it does not fit, and nothing is guessed."""
    in_use(project)
    project.revision(
        "import time\n"
        "op.create_index('a_n', 'a', ['n'])\n"
        "op.get_bind().execute(sa.text(f'SELECT {time.time_ns()}, count(*) FROM a'))\n"
        "op.create_index('a_id', 'a', ['id'])\n"
        "op.get_bind().execute(sa.text('SELECT count(*) FROM a'))\n"
        "op.execute(sa.text('SELECT 1/0'))"
    )
    with pytest.raises(DBAPIError, match="division by zero"):
        upgrade(project.config, "head")
    with pytest.raises(ReplayMismatch):
        upgrade(project.config, "head")
    [given_up] = abandon(project.config)
    assert given_up.stays == (
        "build index a_n on public.a",
        "build index a_id on public.a",
    )


def test_a_savepoint_that_was_rolled_back_cannot_be_replayed(project: Project) -> None:
    """The next run says why, and does nothing."""
    in_use(project)
    project.revision(
        "op.create_index('a_n', 'a', ['n'])\n"
        "try:\n"
        "    with op.get_bind().begin_nested():\n"
        "        op.execute('SELECT nothing')\n"
        "except Exception:\n"
        "    pass\n"
        "op.create_index('a_id', 'a', ['id'])\n"
        "op.get_bind().execute(sa.text('SELECT count(*) FROM a'))\n"
        "op.execute(sa.text('SELECT 1/0'))"
    )
    with pytest.raises(DBAPIError, match="division by zero"):
        upgrade(project.config, "head")
    with pytest.raises(FunctionWasInterrupted, match="rolled a savepoint back"):
        upgrade(project.config, "head")


def test_values_come_back_as_they_were() -> None:
    """Every type that a driver returns, through JSON and back."""
    row = (
        None, True, 7, 1.5, "text", b"\x00\xff", decimal.Decimal("1.10"), uuid.UUID(int=5),
        datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), datetime.date(2026, 1, 2),
        datetime.time(1, 2), datetime.timedelta(days=-1, seconds=3), [1, [None, "x"]], {"a": [1]},
    )  # fmt: skip
    result = Result(columns=(("c", 25),) * len(row), rows=(row,), count=1)
    assert from_json(to_json(result)) == result


def test_a_value_of_an_unknown_type_is_not_recorded() -> None:
    """Rather no replay than a wrong one."""
    with pytest.raises(CannotBeRecorded, match="object"):
        to_json(Result(columns=(("c", 1),), rows=((object(),),)))


BRACKETS = {
    "trigger": ("ALTER TABLE w DISABLE TRIGGER noted", "ALTER TABLE w ENABLE TRIGGER noted"),
    "row security": (
        "ALTER TABLE w DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE w ENABLE ROW LEVEL SECURITY",
    ),
    "trigger dropped": (
        "DROP TRIGGER noted ON w",
        "CREATE TRIGGER noted BEFORE UPDATE ON w FOR EACH ROW EXECUTE FUNCTION note()",
    ),
    "view that becomes a table": ("DROP VIEW v", "CREATE TABLE v (id int)"),
    "policy": ("DROP POLICY own ON w", "CREATE POLICY own ON w USING (id > 0)"),
}
AROUND = """
CREATE TABLE w (id int PRIMARY KEY, b text);
INSERT INTO w SELECT n, 'x' FROM generate_series(1, 100) AS n;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.b := ''noted''; RETURN NEW; END';
CREATE TRIGGER noted BEFORE UPDATE ON w FOR EACH ROW EXECUTE FUNCTION note();
CREATE POLICY own ON w USING (true);
ALTER TABLE w ENABLE ROW LEVEL SECURITY;
CREATE VIEW v AS SELECT id, b FROM w;
"""


@pytest.mark.parametrize("bracket", each(list(BRACKETS.values()), here=1))
def test_what_is_kept_open_over_a_read_is_replayed(
    postgres: Postgres, tmp_path: Path, bracket: tuple[str, str]
) -> None:
    """Whatever is switched off or dropped before a read, and given back behind it: a kill between the two, or behind
    them, leaves something in force, and the next run ends as plain Alembic does."""
    with ExitStack() as lifetime:
        both = side_by_side(
            postgres,
            tmp_path,
            before=f"CREATE TABLE a (id int, n int); CREATE TABLE told (); {AROUND}",
            lifetime=lifetime,
        )
        taken, given = bracket
        both.revision(
            "op.create_index('a_n', 'a', ['n'])\n"
            f"op.execute({taken!r})\n"
            "op.create_index('a_id', 'a', ['id'])\n"
            "op.execute(\"UPDATE w SET b = 'y' WHERE id <= 10\")\n"
            "op.get_bind().execute(sa.text('SELECT count(*) FROM a'))\n"
            "op.get_bind().execute(sa.text('SELECT 1 / (1 - count(*)) FROM told'))\n"
            f"op.execute({given!r})\n"
            "op.create_index('a_both', 'a', ['id', 'n'])\n"
            "op.get_bind().execute(sa.text('SELECT 1 / (2 - count(*)) FROM told'))"
        )
        online = both.online
        for _ in range(2):
            online.query("INSERT INTO told DEFAULT VALUES")
            with pytest.raises(DBAPIError, match="division"):
                upgrade(online.config, "head")
            assert status(online.config).state is State.HALF_WAY
            assert online.query("SELECT tgenabled FROM pg_trigger WHERE tgname = 'noted'") == [
                ("O",)
            ]
            assert online.query("SELECT count(*) FROM pg_policy") == [(1,)]
            assert online.query("SELECT count(*) FROM v") is not None
        for project in (both.plain, both.online):
            project.query("DELETE FROM told")
        both.upgrade()
