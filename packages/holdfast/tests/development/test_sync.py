"""`sync` adds; with --allow-drop it also takes away; only in development."""

import pytest
from alembic_project import SYNC_ENV, Project
from click.testing import CliRunner, Result
from sqlalchemy import NullPool, create_engine

from holdfast.cli import holdfast
from holdfast.engine import environment
from holdfast.engine.profiles import Profile
from holdfast.errors.database import NoModels, NotConfirmed, NotDisposable

MODELS = """
import sqlalchemy as sa
metadata = sa.MetaData()
sa.Table('a', metadata, sa.Column('id', sa.Integer, primary_key=True), sa.Column('b', sa.Text))
"""


@pytest.fixture
def modelled(project: Project) -> Project:
    """A project whose env.py names its models, on a development database with other tables."""
    project.env(
        MODELS
        + SYNC_ENV.replace(
            "configure(connection=connection)",
            "configure(connection=connection, target_metadata=metadata)",
        )
    )
    environment.stamp(create_engine(project.url, poolclass=NullPool), profile=Profile.DEVELOPMENT)
    project.query(
        "SELECT 1; CREATE TABLE a (id integer PRIMARY KEY, old text); CREATE TABLE stray (id integer)"
    )
    return project


def sync(project: Project, *arguments: str) -> Result:
    command = ["-c", str(project.folder / "alembic.ini"), "sync", *arguments]
    return CliRunner().invoke(holdfast, command, catch_exceptions=False)


def columns(project: Project) -> list[tuple[object, ...]]:
    return project.query(
        "SELECT table_name::text, column_name::text FROM information_schema.columns "
        "WHERE table_schema = 'public' ORDER BY 1, 2"
    )


def test_adds_and_leaves_the_rest(modelled: Project) -> None:
    """The trace of it is in the stamp."""
    assert sync(modelled).output == "column a.b\n1 change\n"
    assert columns(modelled) == [("a", "b"), ("a", "id"), ("a", "old"), ("stray", "id")]
    assert sync(modelled).output == "nothing to do: the database has what the models have\n"
    assert modelled.query("SELECT synchronized_at IS NOT NULL FROM holdfast.environment") == [
        (True,)
    ]


def test_allow_drop_asks_first(modelled: Project) -> None:
    """Without a terminal and without --yes nothing happens; the error names what would be lost."""
    with pytest.raises(NotConfirmed) as raised:
        sync(modelled, "--allow-drop")
    assert raised.value.loses == ("drop table stray", "drop column a.old")
    assert columns(modelled) == [("a", "id"), ("a", "old"), ("stray", "id")]


def test_allow_drop(modelled: Project) -> None:
    """The database is then what the models say; the version table and holdfast's own stay."""
    modelled.query("SELECT 1; CREATE TABLE alembic_version (version_num text)")
    ended = sync(modelled, "--allow-drop", "--yes")
    assert ended.output == "column a.b\ndrop table stray\ndrop column a.old\n3 changes\n"
    assert columns(modelled) == [("a", "b"), ("a", "id"), ("alembic_version", "version_num")]


@pytest.mark.parametrize("profile", ["test", "production"])
def test_only_in_development(
    modelled: Project, monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    """The stamp decides, whatever the process believes."""
    monkeypatch.setenv("HOLDFAST_PROFILE", "development")
    modelled.query(f"UPDATE holdfast.environment SET profile = '{profile}'")
    for arguments in ((), ("--allow-drop", "--yes")):
        with pytest.raises(NotDisposable):
            sync(modelled, *arguments)


def test_needs_models(modelled: Project) -> None:
    """env.py has to name them."""
    modelled.env(SYNC_ENV)
    with pytest.raises(NoModels):
        sync(modelled)
