"""now() is one moment for all that a revision writes, as it is in plain Alembic's one transaction."""

import pytest
from alembic_project import Project

from holdfast.errors.migration import DataInTheWay
from holdfast.migrate.run import upgrade

BEFORE = """
op.execute('CREATE TABLE t (id int PRIMARY KEY, a int, at timestamptz, day date)')
op.execute('CREATE TABLE log (id int, at timestamptz)')
"""
# By the driver, in batches, in a transaction of its own, and behind a read and a constraint that fails once.
WRITES = """
op.execute('INSERT INTO log VALUES (1, now())')
op.create_index('t_at', 't', ['at'])
op.execute('UPDATE t SET at = current_timestamp')
op.execute('INSERT INTO log SELECT 2, transaction_timestamp()')
op.create_index('t_day', 't', ['day'])
op.execute('UPDATE log SET at = now() WHERE at IS NULL')
op.get_bind().execute(sa.text('SELECT count(*) FROM t')).scalar_one()
op.create_unique_constraint('one', 't', ['a'])
op.execute('INSERT INTO log VALUES (3, localtimestamp), (4, CURRENT_TIMESTAMP(6))')
"""


def test_all_units_have_the_time_of_the_first_transaction(project: Project) -> None:
    """Whatever it is called, whichever unit it stands in, and whether the run was interrupted meanwhile."""
    project.revision(BEFORE)
    upgrade(project.config, "head")
    project.query("INSERT INTO t SELECT n, n FROM generate_series(1, 100) AS n")
    project.query("INSERT INTO t VALUES (101, 1)")
    project.query("INSERT INTO log VALUES (0, NULL)")
    project.revision(WRITES)
    with pytest.raises(DataInTheWay):
        upgrade(project.config, "head")
    project.query("DELETE FROM t WHERE id = 101")
    upgrade(project.config, "head")
    times = "SELECT count(DISTINCT at), count(at) FROM (SELECT at FROM t UNION ALL SELECT at FROM log) AS every_time"
    assert project.query(times) == [(1, 105)]


def test_what_commits_itself_has_its_own_time(project: Project) -> None:
    """In an autocommit_block and behind it: there plain Alembic has several transactions too."""
    project.revision(BEFORE)
    upgrade(project.config, "head")
    project.revision(
        "op.create_index('t_at', 't', ['at'])\n"
        "op.execute('INSERT INTO log VALUES (1, now())')\n"
        "with op.get_context().autocommit_block():\n"
        "    op.execute('INSERT INTO log VALUES (2, now())')\n"
        "op.create_index('t_day', 't', ['day'])\n"
        "op.execute('INSERT INTO log VALUES (3, now())')"
    )
    upgrade(project.config, "head")
    assert project.query("SELECT count(DISTINCT at) FROM log") == [(3,)]
