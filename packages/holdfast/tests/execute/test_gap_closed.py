"""A required column is filled under traffic that knows nothing of it: no row is in the way, and none is overwritten."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from alembic_project import Project
from everywhere import each, named
from project_at_work import ProjectWith

from holdfast.errors.steps import DataInTheWay
from holdfast.execute.progress import Event, StepStarted
from holdfast.migrate.run import upgrade

TABLE = (
    "op.execute('CREATE TABLE p (id int PRIMARY KEY)')\n"
    "op.execute('INSERT INTO p SELECT generate_series(1, 10)')\n"
    "op.execute('CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, p int)')\n"
    "op.execute('INSERT INTO t (a) SELECT generate_series(1, 3000)')"
)
ADD = "op.add_column('t', sa.Column('b', sa.Integer))\n"
FILL = "op.execute('UPDATE t SET b = a')\n"
NOT_NULL = "op.alter_column('t', 'b', nullable=False)\n"
REQUIRED = {
    "not null": ADD + FILL + NOT_NULL,
    "not null behind another column": (
        ADD
        + "op.add_column('t', sa.Column('c', sa.Integer))\n"
        + FILL
        + "op.execute('UPDATE t SET c = a WHERE a > 0')\n"
        + NOT_NULL
        + "op.alter_column('t', 'c', nullable=False)"
    ),
    "check": ADD + FILL + "op.create_check_constraint('filled', 't', 'b IS NOT NULL')",
    "primary key": ADD.replace("'b'", "'b2'") + ADD + FILL + NOT_NULL,
    "foreign key": (
        "op.execute('UPDATE t SET p = 1 + a % 10')\n"
        "op.create_foreign_key('t_p', 't', 'p', ['p'], ['id'])"
    ),
}


@pytest.fixture
def in_use(project_with: ProjectWith) -> Project:
    """A table with rows."""
    return project_with(TABLE)


@contextmanager
def inserting(url: str, values: str = "(a, p) VALUES (7, 77)") -> Iterator[list[int]]:
    """For the block the old application inserts rows, one after the other; gives what it counted of them."""
    ended, rows = threading.Event(), [0]

    def insert() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not ended.wait(0.001):
                try:
                    connection.execute(f"INSERT INTO t {values}".encode())
                except psycopg.errors.IntegrityError:
                    continue  # the new constraint holds: under plain Alembic too, from its commit on
                rows[0] += 1

    thread = threading.Thread(target=insert, daemon=True)
    thread.start()
    try:
        yield rows
    finally:
        ended.set()
        thread.join(20)


@pytest.mark.parametrize("case", named(REQUIRED, here=("not null", "foreign key")))
def test_rows_that_arrive_meanwhile_are_filled(in_use: Project, case: str) -> None:
    """At the first run, and whatever the requirement."""
    in_use.revision(REQUIRED[case])
    arrived = threading.Event()

    def arrive(event: Event) -> None:
        """One row for sure, between the last batch and the constraint."""
        words = event.step if isinstance(event, StepStarted) else ""
        if not arrived.is_set() and ("NOT VALID" in words or "NOT NULL" in words):
            in_use.query("INSERT INTO t (a, p) VALUES (8, 77)")
            arrived.set()

    with inserting(in_use.database):
        upgrade(in_use.config, "head", report=arrive)
    assert arrived.is_set()
    assert in_use.query("SELECT conname FROM pg_constraint WHERE NOT convalidated") == []
    assert in_use.query("SELECT version_num FROM alembic_version") == [("r2",)]
    if "foreign" not in case:
        assert in_use.query("SELECT count(*) FROM t WHERE b IS DISTINCT FROM a") == [(0,)]


UNCLEAR = {
    "two writes": ADD + FILL + "op.execute('UPDATE t SET b = 0 WHERE a = 1')\n" + NOT_NULL,
    "reads itself": ADD + "op.execute('UPDATE t SET b = coalesce(b, a)')\n" + NOT_NULL,
    "no write": ADD + NOT_NULL,
    "a block": ADD
    + FILL
    + "op.execute('DO $$BEGIN UPDATE t SET b = 1 WHERE a = 1; END$$')\n"
    + NOT_NULL,
    "not all rows": ADD + "op.execute('UPDATE t SET b = a WHERE a <> 8')\n" + NOT_NULL,
}


@pytest.mark.parametrize("case", each(list(UNCLEAR), here=1))
def test_what_was_not_meant_is_not_written(in_use: Project, case: str) -> None:
    """Where the author's write is not sure to be meant for them, the rows are named instead."""
    in_use.revision(UNCLEAR[case])

    def arrive(event: Event) -> None:
        if isinstance(event, StepStarted) and "NOT NULL" in event.step:
            in_use.query("INSERT INTO t (a) VALUES (8)")

    with pytest.raises(DataInTheWay) as raised:
        upgrade(in_use.config, "head", report=arrive)
    is_one = raised.value.count == 1
    assert raised.value.found == f"{'row' if is_one else 'rows'} against NOT NULL b"
    assert in_use.query("SELECT count(*) FROM t WHERE a = 8 AND id > 3000 AND b IS NULL") == [(1,)]
