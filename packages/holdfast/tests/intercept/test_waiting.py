"""What comes before the first long statement is put off, so that no lock is held while the rest is planned."""

import psycopg
import pytest
from alembic_project import Project
from everywhere import each
from project_at_work import ProjectWith
from sqlalchemy.exc import DBAPIError

from holdfast.migrate.run import upgrade

ROWS = "op.execute('CREATE TABLE t AS SELECT a, a AS b FROM generate_series(1, 100) AS a')"
COLUMNS = """
    SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
    WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped
"""
INDEXES = (
    "SELECT string_agg(indexname, ' ' ORDER BY indexname) FROM pg_indexes WHERE tablename = 't'"
)


@pytest.fixture
def project(project_with: ProjectWith) -> Project:
    """At a revision with a table that is in use."""
    return project_with(ROWS)


def test_users_read_while_the_function_goes_on(project: Project) -> None:
    """A lock that they would queue behind is taken when the function has returned."""
    project.revision(
        f"""
        import psycopg
        op.add_column('t', sa.Column('c', sa.Text))
        op.create_index('i', 't', ['a'])
        with psycopg.connect({project.database!r}, options='-c lock_timeout=5s') as user:
            user.execute('SELECT a FROM t')
        op.create_index('j', 't', ['c'])
        """
    )
    upgrade(project.config, "head")
    assert project.query(COLUMNS) == [("a b c",)]
    assert project.query(INDEXES) == [("i j",)]


def test_nothing_is_done_when_the_function_fails(project: Project) -> None:
    """Also what comes before the first long statement is not."""
    project.revision(
        "op.add_column('t', sa.Column('c', sa.Text))\nop.create_index('i', 't', ['a'])\nraise LookupError"
    )
    with pytest.raises(LookupError):
        upgrade(project.config, "head")
    assert project.query(COLUMNS) == [("a b",)]
    assert project.query(INDEXES) == [(None,)]
    assert project.query("SELECT * FROM holdfast.unfinished") == []


@pytest.mark.parametrize(
    "otherwise",
    each(
        [
            "op.add_column('t', sa.Column('d', sa.Text))",
            "assert 'c' in {column['name'] for column in sa.inspect(op.get_bind()).get_columns('t')}",
            "op.get_bind().execute(sa.text('SELECT c FROM t')).all()",
            "op.execute('SET LOCAL search_path TO pg_catalog, public')",
            "op.get_bind().begin_nested().rollback()",
            "op.get_bind().execute(sa.text('UPDATE t SET c = a WHERE a < 5'))",
            "op.execute('CREATE TEMP TABLE own AS SELECT c FROM t')",
        ],
        here=2,
    ),
)
def test_another_call_than_the_first(project: Project, otherwise: str) -> None:
    """The function does something else this time: what was put off is there before it."""
    project.revision(
        f"""
        upgrade.calls = getattr(upgrade, 'calls', 0) + 1
        op.add_column('t', sa.Column('c', sa.Integer))
        if upgrade.calls > 1:
            {otherwise}
        op.create_index('i', 't', ['c'])
        """
    )
    upgrade(project.config, "head")
    assert project.query(COLUMNS)[0][0].startswith("a b c")
    assert project.query(INDEXES) == [("i",)]


def test_a_mistake_in_what_was_put_off(project: Project) -> None:
    """Its error is that of the database; nothing is left."""
    project.revision(
        f"""
        import psycopg
        op.add_column('t', sa.Column('c', sa.Text))
        op.create_index('i', 't', ['a'])
        with psycopg.connect({project.database!r}) as user:
            user.execute('ALTER TABLE t ADD COLUMN IF NOT EXISTS c text')
        """
    )
    with pytest.raises(DBAPIError) as raised:
        upgrade(project.config, "head")
    assert isinstance(raised.value.orig, psycopg.errors.DuplicateColumn)
    assert project.query("SELECT * FROM holdfast.unfinished") == []
