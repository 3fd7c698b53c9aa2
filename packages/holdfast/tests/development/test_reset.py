"""Starting over: only where the database itself says that it may be lost."""

import pytest
from alembic_project import Project
from click.testing import CliRunner, Result
from project_at_work import ProjectWith
from sqlalchemy import NullPool, create_engine

from holdfast.cli import holdfast
from holdfast.development.reset import reset
from holdfast.engine import environment
from holdfast.engine.profiles import Profile
from holdfast.errors.database import NotConfirmed, NotDisposable

EVERYTHING = """
SELECT 1;
CREATE SCHEMA shop; CREATE TYPE shop.state AS ENUM ('new'); CREATE TYPE pair AS (a int, b int);
CREATE DOMAIN amount AS numeric; CREATE TABLE shop.b (id int GENERATED ALWAYS AS IDENTITY, s shop.state);
CREATE TABLE c (id serial, p pair) PARTITION BY RANGE (id); CREATE TABLE c1 PARTITION OF c DEFAULT;
CREATE VIEW v AS SELECT id FROM c; CREATE MATERIALIZED VIEW m AS SELECT id FROM v;
CREATE SEQUENCE number; CREATE FUNCTION f(a int, b text DEFAULT '') RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'; CREATE AGGREGATE agg(int) (sfunc = int4pl, stype = int);
CREATE TYPE span AS RANGE (subtype = int);
"""
LEFT = """
SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('information_schema', 'holdfast')
UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT typname::text FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype <> 'c'
  AND typelem = 0
UNION ALL SELECT nspname::text FROM pg_namespace WHERE nspname = 'shop' ORDER BY 1
"""


@pytest.fixture
def used(project_with: ProjectWith) -> Project:
    """A project with one revision that was applied, with rows and other things in the database."""
    made = "op.create_table('a', sa.Column('id', sa.Integer))"
    return project_with(made, then="INSERT INTO a VALUES (1)")


def stamp(project: Project, profile: Profile) -> None:
    environment.stamp(create_engine(project.url, poolclass=NullPool), profile=profile)


def command(project: Project, *arguments: str) -> Result:
    return CliRunner().invoke(
        holdfast, ["-c", str(project.folder / "alembic.ini"), *arguments], catch_exceptions=False
    )


def test_everything_goes_and_the_history_runs_again(used: Project) -> None:
    """Every kind of object; the stamp stays."""
    stamp(used, Profile.TEST)
    used.query(EVERYTHING)
    reset(used.config, profile=Profile.PRODUCTION)
    assert used.query(LEFT) == [("a",), ("alembic_version",), ("alembic_version_pkc",)]
    assert used.query("SELECT count(*) FROM a") == [(0,)]
    assert used.query("SELECT profile FROM holdfast.environment") == [("test",)]
    assert used.query("SELECT revision, outcome FROM holdfast.history") == [("r1", "done")]


@pytest.mark.parametrize("profile", [Profile.DEVELOPMENT, Profile.TEST])
def test_the_stamp_decides(used: Project, profile: Profile) -> None:
    """Whatever the process believes."""
    stamp(used, Profile.PRODUCTION)
    with pytest.raises(NotDisposable):
        reset(used.config, profile=profile)
    assert used.query("SELECT count(*) FROM a") == [(1,)]


def test_without_a_stamp_the_process_decides(used: Project) -> None:
    """Which is production unless somebody says otherwise."""
    with pytest.raises(NotDisposable):
        reset(used.config, profile=Profile.PRODUCTION)
    reset(used.config, profile=Profile.DEVELOPMENT)
    assert used.query("SELECT count(*) FROM a") == [(0,)]


def test_command_asks(used: Project) -> None:
    """Where there is no terminal it needs --yes."""
    stamp(used, Profile.DEVELOPMENT)
    with pytest.raises(NotConfirmed):
        command(used, "reset")
    assert used.query("SELECT count(*) FROM a") == [(1,)]
    ended = command(used, "reset", "--yes")
    assert ended.exit_code == 0
    assert "is empty; applied 1: r1" in ended.output
