"""The history is replayed on the scratch server, wherever env.py takes its URL from, and nowhere else."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic_project import ASYNC_ENV, SYNC_ENV, Project
from sqlalchemy import NullPool, create_engine

from holdfast.errors.scratch import HistoryNotReplayed, NoScratchStart, NotTheScratchDatabase
from holdfast.migrate.project_connection import ProjectConnection, on_project_connection
from holdfast.observe.database import database_name
from holdfast.scratch.databases import Postgres
from holdfast.scratch.template import scratch_database, scratch_server

FROM_ENVIRONMENT = SYNC_ENV.replace(
    'context.config.get_main_option("sqlalchemy.url")',
    '__import__("os").environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:")',
)
OWN_SETTINGS = SYNC_ENV.replace('context.config.get_main_option("sqlalchemy.url")', "{url!r}")
WITH_OPTIONS = SYNC_ENV.replace(
    "poolclass=", "connect_args={'options': '-csearch_path=tenant'}, poolclass="
)
BY_CREATOR = """
import psycopg
from alembic import context
from sqlalchemy import create_engine, pool, text

engine = create_engine(
    "postgresql+psycopg://", creator=lambda: psycopg.connect({url!r}), poolclass=pool.NullPool
)
with engine.connect() as connection:
    connection.execute(text("CREATE TABLE touched ()"))
    context.configure(connection=connection)
    context.run_migrations()
"""
# The engine is a global of the project and outlives each run of env.py; its pool keeps connections.
GLOBAL_ENGINE = """
import sys
from alembic import context
from sqlalchemy import create_engine

project = sys.modules.setdefault("project_of_test", type(sys)("project_of_test"))
if not hasattr(project, "engine"):
    project.engine = create_engine({url!r})
with project.engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
FROM_PROGRAM = """
from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()
"""


OLD = "op.execute('ALTER TABLE old ALTER a TYPE bigint')"


@pytest.fixture
def server(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    """The server of the test run as the scratch server."""
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))
    with scratch_server() as server:
        yield server


@pytest.fixture
def history(project: Project) -> Project:
    """A project of two revisions."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    project.revision("op.create_table('b', sa.Column('id', sa.Integer))")
    return project


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname IN ('public', 'tenant')"
        )
        return {name for (name,) in rows} - {"alembic_version"}


def test_replays_to_a_revision(history: Project, server: Postgres) -> None:
    """The head, an earlier revision, or nothing; the project's own database stays as it is."""
    config = history.config
    with (
        scratch_database(config, server=server) as head,
        scratch_database(config, server=server, revision=("r1",)) as first,
        scratch_database(config, server=server, revision=("base",)) as empty,
    ):
        assert [tables(url) for url in (head, first, empty)] == [{"a", "b"}, {"a"}, set()]
    assert tables(history.database) == set()
    assert config.get_main_option("sqlalchemy.url") == history.url


def test_once_for_each_content(history: Project, server: Postgres) -> None:
    """A second copy costs no replay; an edited file does."""
    marker = history.folder / "replays"
    history.revision(f"with open({str(marker)!r}, 'a') as marker:\n    marker.write('x')")
    for _ in range(2):
        with scratch_database(history.config, server=server):
            assert marker.read_text() == "x"
    file = history.file("r1")
    file.write_text(file.read_text().replace("'a'", "'edited'"))
    with scratch_database(history.config, server=server) as url:
        assert (marker.read_text(), tables(url)) == ("xx", {"edited", "b"})


@pytest.mark.parametrize(
    ("env", "driver"),
    [
        (SYNC_ENV, "psycopg"),
        (SYNC_ENV, "psycopg2"),
        (ASYNC_ENV, "psycopg"),
        (ASYNC_ENV, "asyncpg"),
        (FROM_ENVIRONMENT, "psycopg"),
        (OWN_SETTINGS, "psycopg"),
    ],
    ids=["psycopg", "psycopg2", "async psycopg", "asyncpg", "environment", "own settings"],
)
def test_wherever_the_url_comes_from(
    history: Project, server: Postgres, env: str, driver: str
) -> None:
    """env.py is led to the scratch database without a change, by each driver."""
    history.env(env, driver=driver)
    (history.folder / "env.py").write_text(env.replace("{url!r}", repr(history.url)))
    before = dict(os.environ)
    with scratch_database(history.config, server=server) as url:
        assert tables(url) == {"a", "b"}
    assert tables(history.database) == set()
    assert dict(os.environ) == before


def test_pool_of_a_global_engine(history: Project, server: Postgres) -> None:
    """A connection in a pool is used on its own side only: before, while and after env.py is led."""
    (history.folder / "env.py").write_text(GLOBAL_ENGINE.replace("{url!r}", repr(history.url)))
    try:
        on_project_connection(history.config, lambda project: project.heads)
        with scratch_database(history.config, server=server) as url:
            assert tables(url) == {"a", "b"}
            assert on_project_connection(history.config, database_of) != database_of_url(url)
        assert on_project_connection(history.config, database_of) == database_of_url(
            history.database
        )
    finally:
        sys.modules.pop("project_of_test").engine.dispose()
    assert tables(history.database) == set()


def database_of(project: ProjectConnection) -> str:
    return database_name(project.connection)


def database_of_url(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])


def test_begins_with_what_was_there(
    history: Project, server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables older than the first revision come from a file; without it, the text names the way."""
    monkeypatch.chdir(tmp_path)
    history.file("r1").write_text(
        history.file("r1").read_text().replace("def upgrade():", "def upgrade():\n    " + OLD)
    )
    with (
        pytest.raises(HistoryNotReplayed) as refusal,
        scratch_database(history.config, server=server),
    ):
        pass
    assert (refusal.value.revision, refusal.value.said) == ("r1", 'relation "old" does not exist')
    (tmp_path / "before.sql").write_text("\\restrict x\nCREATE TABLE old (a int);\n")
    config = history.config
    config.set_main_option("scratch_start", "before.sql")
    with scratch_database(config, server=server) as url:
        assert tables(url) == {"old", "a", "b"}
    config.set_main_option("scratch_start", "missing.sql")
    with pytest.raises(NoScratchStart), scratch_database(config, server=server):
        pass


def test_options_of_the_session_are_kept(history: Project, server: Postgres) -> None:
    """What connect_args say about the session still counts."""
    history.file("r1").write_text(
        history.file("r1")
        .read_text()
        .replace("def upgrade():", "def upgrade():\n    op.execute('CREATE SCHEMA tenant')")
    )
    history.env(
        WITH_OPTIONS.replace(
            "context.configure(connection=connection)",
            "context.configure(connection=connection, version_table_schema='public')",
        )
    )
    with scratch_database(history.config, server=server) as url, psycopg.connect(url) as connection:
        rows = connection.execute("SELECT schemaname FROM pg_tables WHERE tablename IN ('a', 'b')")
        assert rows.fetchall() == [("tenant",), ("tenant",)]


def test_given_connection_is_exchanged(history: Project, server: Postgres) -> None:
    """A program that hands its connection to env.py finds it untouched."""
    history.env(FROM_PROGRAM)
    config = history.config
    with create_engine(history.url, poolclass=NullPool).connect() as connection:
        config.attributes["connection"] = connection
        with scratch_database(config, server=server) as url:
            assert tables(url) == {"a", "b"}
        assert config.attributes["connection"] is connection
    assert tables(history.database) == set()


def test_refused_where_it_is_not_the_scratch_database(history: Project, server: Postgres) -> None:
    """A connection made past SQLAlchemy is found out before its first statement."""
    (history.folder / "env.py").write_text(BY_CREATOR.replace("{url!r}", repr(history.database)))
    with (
        pytest.raises(NotTheScratchDatabase) as refusal,
        scratch_database(history.config, server=server),
    ):
        pass
    assert refusal.value.found == database_of_url(history.database)
    assert tables(history.database) == set()


def test_embedded_unless_named(history: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without HOLDFAST_SCRATCH_URL a server is started for the block."""
    monkeypatch.delenv("HOLDFAST_SCRATCH_URL", raising=False)
    with scratch_server() as server, scratch_database(history.config, server=server) as url:
        assert tables(url) == {"a", "b"}
