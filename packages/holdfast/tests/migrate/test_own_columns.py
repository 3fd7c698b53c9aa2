"""A name that the revision itself has made is nobody's: what it does with it needs no exemption."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from author_revisions import BEFORE
from everywhere import each
from side_by_side import SideBySide, side_by_side

from holdfast.errors.statement import BreaksRunningCode
from holdfast.migrate.run import upgrade
from holdfast.scratch.databases import Postgres

ADD = "op.add_column('t', sa.Column('new_a', sa.BigInteger))\n"
FILL = "op.execute('UPDATE t SET new_a = a')\n"
DROP = "op.drop_column('t', 'a')\n"
RENAME = "op.alter_column('t', 'new_a', new_column_name='a')\n"
RENAME_OLD = "op.alter_column('t', 'a', new_column_name='c')"
INDEX = "op.create_index('i', 't', ['b'])\n"
READ = "op.get_bind().execute(sa.text('SELECT count(*) FROM t')).scalar_one()\n"
COMMIT = "op.execute('COMMIT')\n"


@pytest.fixture
def both(postgres: Postgres, tmp_path: Path) -> Iterator[SideBySide]:
    """Two databases in use."""
    with ExitStack() as lifetime:
        yield side_by_side(postgres, tmp_path, before=BEFORE, lifetime=lifetime)


@pytest.mark.parametrize(
    "source",
    each(
        [
            INDEX + ADD + FILL + DROP + RENAME,
            ADD + READ + FILL + INDEX + DROP + RENAME,
            ADD + FILL + COMMIT + DROP + RENAME,
            ADD + RENAME.replace("'a'", "'c'"),
            ADD + FILL + DROP + RENAME,
            ADD + FILL + "op.rename_table('t', 't2')  # holdfast: allow nobody until 2999-01-01\n"
            "op.alter_column('t2', 'new_a', new_column_name='c')",
        ],
        here=2,
    ),
)
def test_the_revisions_own_column_is_renamed(both: SideBySide, source: str) -> None:
    """In every mode, behind whatever waits."""
    both.revision(source)
    both.upgrade()


@pytest.mark.parametrize(
    "source",
    [
        RENAME_OLD,
        ADD + RENAME_OLD,
        f"op.execute('ALTER TABLE t ADD COLUMN IF NOT EXISTS a int')\n{RENAME_OLD}",
    ],
)
def test_a_column_that_was_there_is_not(both: SideBySide, source: str) -> None:
    """The application may name it."""
    both.online.revision(source)
    with pytest.raises(BreaksRunningCode):
        upgrade(both.online.config, "head")
