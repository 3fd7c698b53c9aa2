"""Whatever a revision does with its connection, it ends as under plain Alembic."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic import command
from alembic_project import ASYNC_ENV, SYNC_ENV
from author_revisions import (
    AUTHORS,
    BEFORE,
    autocommit_block,
    backfills_behind_index_builds,
    data_read_after_a_queued_statement,
    set_local_search_path,
)
from backends import wait_until
from background import BackgroundRun
from everywhere import each, named
from side_by_side import SideBySide, side_by_side

from holdfast.errors.statement import RefusedStatement
from holdfast.errors.steps import DataInTheWay
from holdfast.errors.unfinished import RollbackAfterCommit
from holdfast.execute.progress import StepDone
from holdfast.migrate.run import upgrade
from holdfast.scratch.databases import Postgres
from holdfast.testing.blockers import holding

HERE = (
    "autocommit_block",
    "batch_recreating",
    "data_read_after_a_queued_statement",
    "lock_table",
    "result_of_a_write_after_a_queued_statement",
    "savepoint_with_a_failing_statement",
    "server_side_cursor",
    "writes_before_under_and_after_ddl",
)


@pytest.fixture
def both(postgres: Postgres, tmp_path: Path) -> Iterator[SideBySide]:
    """Two databases with the tables that authors write about."""
    with ExitStack() as lifetime:
        yield side_by_side(postgres, tmp_path, before=BEFORE, lifetime=lifetime)


@pytest.mark.parametrize("author", named(AUTHORS, here=HERE), ids=lambda author: author.__name__)
def test_ends_as_plain_alembic(both: SideBySide, author: Callable[[], None]) -> None:
    """Schema and rows are those of plain Alembic."""
    both.revision(f"from author_revisions import {author.__name__} as body; body()")
    both.upgrade()


def test_backfills_run_before_the_builds_of_indexes(both: SideBySide) -> None:
    """Those that cannot tell the difference; so each new version of a row is in no new index."""
    both.revision(
        f"from author_revisions import {backfills_behind_index_builds.__name__} as body; body()"
    )
    both.upgrade()
    assert [event.started.step for event in both.events if isinstance(event, StepDone)] == [
        "UPDATE public.t SET c = a + 1",
        "UPDATE public.t SET a = a + 1",
        "build index t_c on public.t",
        "build index t_a on public.t",
        "build unique index t_b on public.t",
        "UPDATE public.t SET c = c * 2",
    ]


LARGE = "UPDATE pg_class SET reltuples = 60000 WHERE oid = 't'::regclass"
IN_SAVEPOINT = "with op.get_bind().begin_nested():\n    "


@pytest.mark.parametrize("before", [IN_SAVEPOINT, "op.execute('LOCK TABLE t')\n"])
@pytest.mark.parametrize(
    "statement",
    each(
        [
            "op.create_index('i', 't', ['a'])",
            "op.alter_column('t', 'a', type_=sa.BigInteger)",
            "op.create_foreign_key('t_u', 't', 'u', ['u'], ['id'])",
            "op.alter_column('t', 'a', nullable=False)",
            "op.alter_column('t', 'a', new_column_name='c')",
        ],
        here=1,
    ),
)
def test_a_large_table_is_not_blocked_in_what_cannot_be_divided(
    both: SideBySide, before: str, statement: str
) -> None:
    """Refused with what to write instead; nothing is done; with an exemption it is run as written."""
    for project in (both.plain, both.online):
        project.query(LARGE)
    both.revision(before + statement)
    with pytest.raises(RefusedStatement):
        upgrade(both.online.config, "head")
    assert both.online.query("SELECT * FROM holdfast.unfinished") == []
    file = both.online.file("r2")
    file.write_text(
        file.read_text().replace(
            statement, f"{statement}  # holdfast: allow at night until 2999-12-31"
        )
    )
    both.upgrade()


def test_a_short_statement_in_a_savepoint_may_be_on_a_large_table(both: SideBySide) -> None:
    """Its lock is over with its transaction."""
    for project in (both.plain, both.online):
        project.query(LARGE + "; CREATE INDEX old ON t (b)")
    both.revision(
        f"{IN_SAVEPOINT}op.add_column('t', sa.Column('c', sa.Integer))\n    op.drop_index('old')"
    )
    both.upgrade()


SWALLOWED = """
op.create_index('i', 't', ['u'], unique=True)
try:
    op.get_bind().execute(sa.text('SELECT count(*) FROM t'))
except Exception:
    pass
"""


@pytest.mark.parametrize(
    "then",
    each(
        [
            "op.execute('INSERT INTO u VALUES (99)')",
            "op.execute('INSERT INTO u VALUES (99)'); op.execute('COMMIT')",
            "op.get_bind().execute(sa.text('INSERT INTO u VALUES (99)')); op.get_bind().commit()",
            "op.get_context().autocommit_block().__enter__(); op.execute('INSERT INTO u VALUES (99)')",
            (
                "op.get_bind().engine.connect().execution_options(isolation_level='AUTOCOMMIT')"
                ".execute(sa.text('INSERT INTO u VALUES (99)'))"
            ),
        ],
        here=2,
    ),
)
def test_an_error_of_a_queued_statement_cannot_be_swallowed(both: SideBySide, then: str) -> None:
    """Whatever the author does after it: the revision fails, and nothing more of it is done."""
    both.online.revision(SWALLOWED + then)
    with pytest.raises(DataInTheWay):
        upgrade(both.online.config, "head")
    assert both.online.query("SELECT count(*) FROM u") == [(50,)]
    assert both.online.query("SELECT version_num FROM alembic_version") == [("r1",)]


def test_a_lock_that_was_not_free_cannot_be_swallowed(both: SideBySide) -> None:
    """Not even inside a savepoint: the function is called again, until the column is there."""
    both.online.revision(
        """
        try:
            with op.get_bind().begin_nested():
                op.add_column('t', sa.Column('c', sa.Integer))
        except sa.exc.DBAPIError:
            pass
        op.execute('INSERT INTO u VALUES (99)')
        """
    )
    with holding(both.online.database, "LOCK TABLE t IN ROW SHARE MODE") as client:
        run = BackgroundRun(both.online)
        wait_until(lambda: len(run.busy) >= 2, what="two tries")
        client.commit()
    run.end()
    assert both.online.query("SELECT count(c), count(*) FROM t") == [(0, 300)]
    assert both.online.query("SELECT count(*) FROM u") == [(51,)]


@pytest.mark.parametrize("rollback", ["op.execute('ROLLBACK')", "op.get_bind().rollback()"])
def test_what_is_committed_cannot_be_rolled_back(both: SideBySide, rollback: str) -> None:
    """A read has made the queue run: the author's rollback would undo nothing, and is an error."""
    both.online.revision(
        f"""
        op.create_index('i', 't', ['a'])
        op.get_bind().execute(sa.text('SELECT count(*) FROM t'))
        {rollback}
        op.execute('INSERT INTO u VALUES (99)')
        """
    )
    with pytest.raises(RollbackAfterCommit):
        upgrade(both.online.config, "head")
    assert both.online.query("SELECT count(*) FROM u") == [(50,)]


@pytest.mark.parametrize(
    "author",
    each([data_read_after_a_queued_statement, autocommit_block, set_local_search_path], here=1),
    ids=lambda author: author.__name__,
)
@pytest.mark.parametrize(
    ("env", "driver"),
    each([(ASYNC_ENV, "asyncpg"), (SYNC_ENV, "psycopg2"), (ASYNC_ENV, "psycopg")], here=1),
)
def test_other_drivers(both: SideBySide, author: Callable[[], None], env: str, driver: str) -> None:
    """The same, whatever driver the project's env.py uses."""
    both.env(env, driver=driver)
    both.revision(f"from author_revisions import {author.__name__} as body; body()")
    both.upgrade()


BRANCH = """
from alembic import op
revision, down_revision, branch_labels = "side1", None, ("side",)
def upgrade():
    op.create_index("i", "t", ["a"])
    op.create_unique_constraint("t_b", "t", ["b"])
def downgrade():
    op.drop_constraint("t_b", "t")
    op.drop_index("i")
"""
CALLBACK = """
from pathlib import Path
def note(step, **_):
    heard = Path("FILE")
    steps = heard.read_text() if heard.exists() else ""
    heard.write_text(f"{steps}{step.is_upgrade} {step.source_revision_ids} {step.up_revision_ids}; ")
""" + SYNC_ENV.replace(
    "(connection=connection)",
    "(connection=connection, version_table='versions', version_table_schema='other',"
    " on_version_apply=note)",
)


def test_branches_a_version_table_elsewhere_and_a_callback(both: SideBySide) -> None:
    """Both branches go up and one comes back; the callback hears of the same steps in the same order."""
    both.revision("op.add_column('t', sa.Column('c', sa.Integer))")
    for project in (both.plain, both.online):
        project.env(CALLBACK.replace("FILE", str(project.folder / "heard")))
        project.file("side1").write_text(BRANCH)
        command.stamp(project.config, "r1")
    both.upgrade("heads")
    both.downgrade("side@base")
    heard = [(project.folder / "heard").read_text() for project in (both.plain, both.online)]
    assert heard[0] == heard[1]
    assert both.online.query("SELECT version_num FROM other.versions") == [("r2",)]
