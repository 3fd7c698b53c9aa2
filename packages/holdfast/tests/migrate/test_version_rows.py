"""The version row of an empty database is Alembic's, whoever writes it."""

import pytest
from alembic.ddl.impl import _impls
from alembic.util import CommandError
from alembic_project import SYNC_ENV, Project

from holdfast.errors import HoldfastError
from holdfast.migrate.run import upgrade

TABLE = "op.create_table('t%d', sa.Column('id', sa.Integer, primary_key=True))"
ODD = SYNC_ENV.replace(
    "(connection=connection)", "(connection=connection, version_table='Odd \"one')"
)
WIDER = (
    """import datetime
import sqlalchemy as sa
from alembic.ddl.postgresql import PostgresqlImpl


class Wider(PostgresqlImpl):
    __dialect__ = "postgresql"

    def version_table_impl(self, **names):
        table = super().version_table_impl(**names)
        table.append_column(sa.Column("at", sa.DateTime, default=datetime.datetime.now, nullable=False))
        return table


"""
    + SYNC_ENV
)
LOOKS = SYNC_ENV.replace(
    "(connection=connection)",
    "(connection=connection, on_version_apply=lambda *, ctx, **_: print('at', ctx.get_current_heads()))",
)


def test_a_version_row_that_the_author_has_taken_away_is_missed(project: Project) -> None:
    """Whatever a revision does to the version table: what Alembic would find, in its words; nothing of it is left."""
    project.revision(TABLE % 1)
    project.revision(f"{TABLE % 2}\nop.execute('DELETE FROM alembic_version')")
    with pytest.raises(CommandError, match="expected to match one row when updating to 'r2'"):
        upgrade(project.config, "head")
    assert project.query("SELECT version_num FROM alembic_version") == [("r1",)]
    assert project.query("SELECT to_regclass('t2')") == [(None,)]
    assert project.query("SELECT revision FROM holdfast.history") == [("r1",)]


def test_a_version_table_of_any_name(project: Project) -> None:
    """A name that has to be quoted is quoted, in a text of ours too."""
    project.env(ODD)
    for number in (1, 2):
        project.revision(TABLE % number)
    upgrade(project.config, "head")
    assert project.query('SELECT version_num FROM "Odd ""one"') == [("r2",)]


def test_a_version_table_with_more_columns(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever an implementation of env.py's adds to it, with a default of Python's: Alembic fills it."""
    monkeypatch.setitem(
        _impls, "postgresql", _impls["postgresql"]
    )  # put back, as env.py replaces it
    project.env(WIDER)
    for number in (1, 2):
        project.revision(TABLE % number)
    upgrade(project.config, "head")
    assert project.query("SELECT version_num, at IS NOT NULL FROM alembic_version") == [
        ("r2", True)
    ]


def test_who_looks_at_each_version_row_sees_it(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """A callback of env.py reads the version table behind each revision, as with Alembic."""
    project.env(LOOKS)
    for number in (1, 2):
        project.revision(TABLE % number)
    upgrade(project.config, "head")
    assert capsys.readouterr().out.splitlines() == ["at ('r1',)", "at ('r2',)"]


def test_branches_are_as_alembic_writes_them(project: Project) -> None:
    """A history that parts and comes together again: two rows between, one in the end."""
    project.revision(TABLE % 1)
    for name in ("left", "right"):
        project.revision(f"op.create_table({name!r}, sa.Column('id', sa.Integer))", name=name)
    file = project.file("right")
    file.write_text(file.read_text().replace("down_revision = 'left'", "down_revision = 'r1'"))
    upgrade(project.config, "heads")
    rows = project.query("SELECT version_num FROM alembic_version ORDER BY 1")
    assert rows == [("left",), ("right",)]


def test_a_revision_that_writes_its_version_row_itself(project: Project) -> None:
    """It cannot be told from one that another process has applied: refused, as with Alembic."""
    project.revision(TABLE % 1)
    project.revision("op.execute(\"UPDATE alembic_version SET version_num = 'r2'\")")
    with pytest.raises((CommandError, HoldfastError)):
        upgrade(project.config, "head")
    assert project.query("SELECT version_num FROM alembic_version") == [("r1",)]
