"""What a revision commits on whatever connection is done once: not again with each try, nor after a kill."""

import pytest
from alembic_project import Project
from backends import terminate, wait_until
from background import BackgroundRun
from contract import Process
from everywhere import named
from project_at_work import ProjectWith

from holdfast.intercept.revision_interceptor import DRIVER_USED
from holdfast.migrate.abandon import abandon
from holdfast.migrate.run import upgrade
from holdfast.testing.blockers import holding

ADD = "op.add_column('t', sa.Column('note', sa.Text))\n"
IN_AUTOCOMMIT = "connect().execution_options(isolation_level='AUTOCOMMIT')"
OTHER = "with op.get_bind().engine.{} as other:\n    other.execute(sa.text('{}'))\n"
MANY = "sa.table('told', sa.column('n')).insert().returning(sa.column('n')), [{'n': 1}, {'n': 2}]"
# Each leaves one row, or the two of MANY.
WAYS = {
    "another connection": OTHER.format("begin()", "INSERT INTO told VALUES (1)"),
    "another connection, AUTOCOMMIT": OTHER.format(IN_AUTOCOMMIT, "INSERT INTO told VALUES (1)"),
    "another connection, DDL": OTHER.format("begin()", "CREATE TABLE more AS SELECT 1 AS n"),
    "another connection, DDL in AUTOCOMMIT": OTHER.format(
        IN_AUTOCOMMIT, "ALTER TABLE told ADD COLUMN more int"
    )
    + OTHER.format("begin()", "INSERT INTO told VALUES (1)"),
    "another connection, a cursor of SQLAlchemy": (
        f"with op.get_bind().engine.begin() as other:\n    other.execute({MANY}).all()\n"
    ),
    "a session": (
        "from sqlalchemy.orm import Session\n"
        "with Session(op.get_bind().engine) as session:\n"
        "    n = session.execute(sa.text('INSERT INTO told VALUES (1) RETURNING n')).scalar_one()\n"
        "    session.execute(sa.text(f'UPDATE told SET n = n + {n}'))\n"
        "    session.commit()\n"
    ),
    "the driver's connection": (
        "driver = op.get_bind().connection\n"
        "driver.cursor().execute('INSERT INTO told VALUES (1)')\n"
        "driver.commit()\n"
    ),
}
DRIVERS = "the driver's connection"
TOLD = {
    "another connection, DDL": [(1,)],
    "another connection, a cursor of SQLAlchemy": [(1,), (2,)],
    "a session": [(2,)],
}
WAIT = """
    CREATE TABLE waits ();
    INSERT INTO waits DEFAULT VALUES;
    CREATE FUNCTION wait() RETURNS void LANGUAGE plpgsql AS
    'BEGIN IF EXISTS (SELECT FROM waits) THEN PERFORM pg_sleep(60); END IF; END';
"""
WAITING = (
    "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'SELECT wait%'"
    " AND datname = current_database()"
)


@pytest.fixture
def in_use(project_with: ProjectWith) -> Project:
    """A table that users read, and one that each way writes."""
    return project_with("op.execute('CREATE TABLE t (id int); CREATE TABLE told (n int)')")


def told(project: Project, way: str) -> None:
    """What the way was to do is there, once."""
    table = "more" if way == "another connection, DDL" else "told"
    assert project.query(f"SELECT n FROM {table} ORDER BY n") == TOLD.get(way, [(1,)])


HERE = ("another connection", "another connection, DDL in AUTOCOMMIT", "the driver's connection")


@pytest.mark.parametrize("way", named(WAYS, here=HERE))
def test_what_its_author_commits_is_done_once_however_often_a_lock_is_tried(
    in_use: Project, way: str
) -> None:
    """The function is called again where a lock was not free; what it has committed is given back to it."""
    in_use.revision(f"{ADD.replace('note', 'first')}{WAYS[way]}{ADD}")
    with holding(in_use.database, "SELECT count(*) FROM t"):
        run = BackgroundRun(in_use)
        wait_until(lambda: len(run.busy) > 1, what="two tries")
    run.end()
    told(in_use, way)
    assert in_use.query("SELECT first, note FROM t") == []


OUTLIVE = [way for way in WAYS if "another" in way and "cursor" not in way]


@pytest.mark.parametrize("way", named(OUTLIVE, here=["another connection, AUTOCOMMIT"]))
def test_what_was_committed_on_another_connection_outlives_a_kill(
    in_use: Project, way: str
) -> None:
    """It is recorded before the function goes on; what stood before it is committed with that."""
    in_use.query(f"{WAIT}; SELECT 1")
    in_use.revision(
        f"op.execute('INSERT INTO t VALUES (1)')\n{WAYS[way]}op.execute('SELECT wait()')"
    )
    process = Process(in_use)
    wait_until(lambda: bool(in_use.query(WAITING)), what="the function to wait")
    [(pid,)] = in_use.query(WAITING)
    process.kill()
    terminate(in_use.database, int(str(pid)))
    in_use.query("DELETE FROM waits")
    Process(in_use).end()
    told(in_use, way)
    assert in_use.query("SELECT id FROM t") == [(1,)]


def test_what_stays_of_it_is_listed_when_the_revision_is_given_up(in_use: Project) -> None:
    """What another connection has committed, and that something may be there which nobody has seen."""
    in_use.revision(
        f"{WAYS['another connection']}{WAYS[DRIVERS].replace('VALUES (1)', 'VALUES (2)')}1 / 0"
    )
    with pytest.raises(ZeroDivisionError):
        upgrade(in_use.config, "head")
    [given_up] = abandon(in_use.config)
    assert given_up.stays == ("INSERT INTO told VALUES (1)",)
    assert given_up.undo == (
        f"-- by hand, take back: what is not recorded, as {DRIVER_USED}",
        "-- by hand, take back: INSERT INTO told VALUES (1)",
    )
