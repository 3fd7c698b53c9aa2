"""Who takes the driver's own connection finds what was sent before done, in the same order as under plain Alembic."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic_project import ASYNC_ENV, SYNC_ENV
from author_revisions import BEFORE
from everywhere import each, named
from side_by_side import SideBySide, side_by_side

from holdfast.scratch.databases import Postgres

CURSOR = "cursor = op.get_bind().connection.cursor()\n"
DRIVER = "cursor = op.get_bind().connection.driver_connection.cursor()\n"
DBAPI = "cursor = op.get_bind().connection.dbapi_connection.cursor()\n"
SPECIAL = "cursor.execute(\"UPDATE t SET b = 'special' WHERE id = 7\")\n"
INDEX = "op.create_index('i', 't', ['a'])\n"
DEFAULT = "op.execute(\"UPDATE t SET b = 'default'\")\n"
COPY = (
    "with cursor.copy('COPY tags (id, t, tag) FROM STDIN') as copy:\n"
    "    for n in range(1, 50):\n"
    "        copy.write_row((n, n, f't{n}'))\n"
)
TAGS = (
    "op.create_table('tags', sa.Column('id', sa.Integer, primary_key=True),"
    " sa.Column('t', sa.Integer, sa.ForeignKey('t.id')), sa.Column('tag', sa.Text))\n"
)
ADD = "op.add_column('t', sa.Column('x', sa.Integer))\n"
SOURCES = {
    "a queued write": INDEX + DEFAULT + CURSOR + SPECIAL,
    "a queued write, the driver's connection": INDEX + DEFAULT + DRIVER + SPECIAL,
    "a queued write, the DBAPI's connection": INDEX + DEFAULT + DBAPI + SPECIAL,
    "COPY into a table with a foreign key": TAGS + DRIVER + COPY,
    "COPY into a new table": TAGS.replace(", sa.ForeignKey('t.id')", "") + DRIVER + COPY,
    "a new column": ADD + INDEX + CURSOR + "cursor.execute('UPDATE t SET x = a')\n",
    "a new column that waits alone": ADD + CURSOR + "cursor.execute('UPDATE t SET x = a')\n",
    "taken before anything is sent": CURSOR
    + INDEX
    + DEFAULT
    + SPECIAL
    + "op.create_index('j', 't', ['b'])",
    "taken before, used twice": CURSOR
    + DEFAULT
    + SPECIAL
    + DEFAULT
    + ADD
    + "cursor.execute('UPDATE t SET x = 1')",
    "in the hand while users must not look": (
        CURSOR
        + "op.execute('ALTER TABLE w DISABLE TRIGGER ALL')\n"
        + "cursor.execute('UPDATE w SET id = id + 1')\n"
        + "op.execute('ALTER TABLE w ENABLE TRIGGER ALL')\n"
        + INDEX
    ),
    "a session's connection": (
        "from sqlalchemy.orm import Session\n"
        + INDEX
        + DEFAULT
        + "cursor = Session(bind=op.get_bind()).connection().connection.cursor()\n"
        + SPECIAL
    ),
}


@pytest.fixture
def both(postgres: Postgres, tmp_path: Path) -> Iterator[SideBySide]:
    """Two databases in use."""
    with ExitStack() as lifetime:
        yield side_by_side(postgres, tmp_path, before=BEFORE, lifetime=lifetime)


HERE = (
    "a queued write",
    "COPY into a table with a foreign key",
    "a new column",
    "in the hand while users must not look",
    "a session's connection",
)


@pytest.mark.parametrize("case", named(SOURCES, here=HERE))
def test_the_order_is_the_authors(both: SideBySide, case: str) -> None:
    """Whatever waits, and whichever way it is asked for."""
    both.revision(SOURCES[case])
    both.upgrade()


@pytest.mark.parametrize(
    ("env", "driver"),
    each([(ASYNC_ENV, "psycopg"), (SYNC_ENV, "psycopg2"), (ASYNC_ENV, "asyncpg")], here=1),
)
def test_other_drivers(both: SideBySide, env: str, driver: str) -> None:
    """Their adapted connections too."""
    both.env(env, driver=driver)
    both.revision(SOURCES["a queued write"])
    both.upgrade()


def test_nothing_is_noticed_of_sqlalchemys_own_use(both: SideBySide) -> None:
    """An inspector, a session, a nested transaction: what waits goes on waiting where it may."""
    both.revision(
        ADD
        + INDEX
        + "assert not op.get_bind().connection is None\n"
        + "op.get_bind().get_isolation_level()\n"
        + "sa.inspect(op.get_bind()).get_table_names()\n"
        + DEFAULT
    )
    both.upgrade()
