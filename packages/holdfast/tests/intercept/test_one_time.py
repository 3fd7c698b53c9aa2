"""now() is one moment for all that a revision writes, as it is in plain Alembic's one transaction."""

import pytest
from alembic_project import ASYNC_ENV, SYNC_ENV, Project
from everywhere import each

from holdfast.errors.steps import DataInTheWay
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


STAMPED = """
op.execute('CREATE TABLE t (id int PRIMARY KEY, a int)')
op.execute('CREATE TABLE log (id int, at timestamptz DEFAULT now(), day date DEFAULT current_date)')
"""
BEHIND_A_COMMIT = """
bind = op.get_bind()
log = sa.table('log', sa.column('id', sa.Integer), sa.column('at', sa.DateTime(timezone=True)))
op.execute('INSERT INTO log (id) VALUES (1)')
op.create_index('t_a', 't', ['a'])
op.execute('CREATE TABLE made_here (id int, at timestamptz DEFAULT now())')
op.execute('INSERT INTO made_here (id) VALUES (1)')
op.bulk_insert(log, [{'id': 2}, {'id': 3}])
op.add_column('t', sa.Column('made', sa.DateTime(timezone=True), server_default=sa.func.now()))
bind.execute(sa.text('SELECT count(*) FROM t')).scalar_one()
[(at, said)] = bind.execute(sa.text('INSERT INTO log (id) VALUES (:id) RETURNING at, now()'), {'id': 4}).all()
bind.execute(sa.text('INSERT INTO made_here VALUES (2) RETURNING id')).scalar_one()
bind.execute(sa.insert(log).values(id=5, at=sa.func.now()).returning(log.c.id)).scalar_one()
bind.execute(sa.text("WITH w AS (INSERT INTO log (id) VALUES (6) RETURNING id) SELECT * FROM w")).all()
op.execute('INSERT INTO log VALUES (7, DEFAULT)')
bind.execute(sa.text("UPDATE log SET at = DEFAULT WHERE id = 7 RETURNING id")).all()
[row] = bind.execute(sa.text('SELECT now()')).mappings()
assert at == said == row['now'], (at, said, row)
op.add_column('log', sa.Column('seen', sa.DateTime(timezone=True), server_default=sa.text('now()')))
"""


@pytest.mark.parametrize(
    ("env", "driver"),
    each([(SYNC_ENV, "psycopg"), (ASYNC_ENV, "asyncpg"), (SYNC_ENV, "psycopg2")], here=1),
)
def test_defaults_and_what_gives_rows_back_have_the_same_time(
    project: Project, env: str, driver: str
) -> None:
    """Whether the time is a column's default, new or old, and whether Python sees the rows that are written."""
    project.env(env, driver=driver)
    project.revision(STAMPED)
    upgrade(project.config, "head")
    project.query("INSERT INTO t VALUES (1, 1)")
    project.revision(BEHIND_A_COMMIT)
    upgrade(project.config, "head")
    times = (
        "SELECT count(DISTINCT at), count(at) FROM"
        " (SELECT at FROM log UNION ALL SELECT at FROM made_here "
        " UNION ALL SELECT seen FROM log UNION ALL SELECT made FROM t) AS every_time"
    )
    assert project.query(times) == [(1, 17)]
    assert project.query("SELECT count(DISTINCT day), count(day) FROM log") == [(1, 7)]
    defaults = (
        "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef JOIN pg_attribute"
        " ON attrelid = adrelid AND attnum = adnum WHERE attname IN ('made', 'seen')"
    )
    assert project.query(defaults) == [("now()",), ("now()",)]
