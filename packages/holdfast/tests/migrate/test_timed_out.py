"""Timeouts of the server: those that would end a session end no run; whatever else one ends is told by its setting."""

import time
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from alembic_project import ASYNC_ENV, SYNC_ENV, Project
from sqlalchemy import make_url, text

from holdfast.errors.connection import EndedByTimeout
from holdfast.migrate.project_connection import ProjectConnection, on_project_connection
from holdfast.migrate.run import downgrade, upgrade
from holdfast.preview.check import check
from holdfast.scratch.databases import Postgres

NAP = "import time; time.sleep(0.4)"
ON_DATABASE = (
    "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET {} = {}', current_database()); END$$"
)
ENDS_SESSION = (
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
)


def limit(project: Project, name: str, milliseconds: int) -> None:
    """Give the project's database a timeout, where its server knows that."""
    with psycopg.connect(project.database, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_settings WHERE name = %s", [name]).fetchone()
        if known is not None:
            connection.execute(ON_DATABASE.format(name, milliseconds))


def test_no_timeout_of_a_session_ends_a_run(project: Project) -> None:
    """Whatever the database has: while it is empty and in use, up and down, while Python computes."""
    for name in ENDS_SESSION:
        limit(project, name, 150)
    project.revision(f"op.execute('CREATE TABLE t (id int)'); {NAP}")
    upgrade(project.config, "head")
    project.revision(f"op.execute('CREATE TABLE u (id int)'); {NAP}", f"op.drop_table('u'); {NAP}")
    upgrade(project.config, "head")
    downgrade(project.config, "r1")
    assert project.query("SELECT version_num FROM alembic_version") == [("r1",)]


@pytest.mark.parametrize(("env", "driver"), [(SYNC_ENV, "psycopg"), (ASYNC_ENV, "asyncpg")])
def test_a_statement_that_is_ended_names_the_timeout(
    project: Project, env: str, driver: str
) -> None:
    """By any driver: the setting, its value, who has set it, what is left of the revision, and how to lift it."""
    project.env(env, driver=driver)
    project.revision("op.execute('CREATE TABLE t (id int)')")
    upgrade(project.config, "head")
    limit(project, "statement_timeout", 900)
    project.revision("op.execute('SELECT pg_sleep(2)')")
    with pytest.raises(EndedByTimeout) as raised:
        upgrade(project.config, "head")
    found = raised.value
    database = make_url(project.database).database
    assert (found.setting, found.value) == ("statement_timeout", "900ms")
    assert found.source == f"for the database {database} (ALTER DATABASE)"
    assert found.standing == "Revision r2 was rolled back; those before it stay."
    assert "ALTER ROLE postgres SET statement_timeout = 0;" in found.way_out


@pytest.mark.parametrize(
    ("name", "waits"),
    [
        ("idle_in_transaction_session_timeout", NAP),
        ("idle_session_timeout", f"op.get_bind().commit(); {NAP}"),
        ("transaction_timeout", NAP),
    ],
)
def test_a_session_that_is_ended_names_the_timeout(project: Project, name: str, waits: str) -> None:
    """Which the project itself has set: that is its wish, and the error says that it is."""
    known = project.query(f"SELECT count(*) FROM pg_settings WHERE name = '{name}'") == [(1,)]
    if not known:  # of a server that is older: it is no setting there
        return
    project.revision(f"op.execute('SET {name} = 100')\n{waits}\nop.execute('SELECT 1')")
    with pytest.raises(EndedByTimeout) as raised:
        upgrade(project.config, "head")
    assert raised.value.setting == name
    assert raised.value.source.startswith("by the project")
    assert raised.value.ended == "the session"
    assert "This run has completed no revision" in raised.value.standing


def test_who_cancels_a_statement_is_not_taken_for_a_timeout(project: Project) -> None:
    """An administrator's pg_cancel_backend has the same SQLSTATE: the statement was not under way for so long."""
    limit(project, "statement_timeout", int(timedelta(minutes=10).total_seconds() * 1000))
    project.revision("op.execute('SELECT pg_cancel_backend(pg_backend_pid())')")
    with pytest.raises(Exception, match="cancel") as raised:
        upgrade(project.config, "head")
    assert not isinstance(raised.value, EndedByTimeout)


@pytest.fixture
def limited(postgres: Postgres) -> Iterator[str]:
    """The URL of the server for a role of which every session is ended soon."""
    name = f"limited_{postgres.create()}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN CREATEDB".encode())
        for setting in ENDS_SESSION:
            if connection.execute("SELECT FROM pg_settings WHERE name = %s", [setting]).fetchone():
                connection.execute(f"ALTER ROLE {name} SET {setting} = 150".encode())
        yield make_url(postgres.url("postgres")).set(username=name).render_as_string()
        connection.execute(f"DROP OWNED BY {name}".encode())
        connection.execute(f"DROP ROLE {name}".encode())


def test_no_timeout_of_a_scratch_server_ends_what_is_tried_there(
    project: Project, limited: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the role of HOLDFAST_SCRATCH_URL has: revisions may compute, online and by plain Alembic."""
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", limited)
    project.revision(f"op.execute('CREATE TABLE t (id int)'); {NAP}", f"{NAP}; op.drop_table('t')")
    assert check(project.config) == ()


def test_a_look_that_is_ended_names_the_timeout(project: Project) -> None:
    """Whatever verb looks, on the connection that env.py makes; nothing was changed."""
    project.revision("op.execute('CREATE TABLE t (id int)')")
    limit(project, "idle_in_transaction_session_timeout", 100)

    def nap(looking: ProjectConnection) -> None:
        time.sleep(0.4)
        looking.connection.execute(text("SELECT 1"))

    with pytest.raises(
        EndedByTimeout, match="idle_in_transaction_session_timeout = 100ms"
    ) as raised:
        on_project_connection(project.config, nap)
    assert raised.value.standing == "Nothing was changed: it only looked."
