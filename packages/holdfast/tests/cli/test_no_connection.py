"""Every verb, every driver: no connection is told by what was tried, and a lost one by what stays."""

import os
from pathlib import Path

import forked
import pytest
from alembic_project import ASYNC_ENV, SYNC_ENV, Project
from tls_proxy import tls_proxy

from holdfast.application.database import Database
from holdfast.engine.settings import Settings
from holdfast.errors.connection import CannotConnect

BY_SETTINGS = """
from alembic import context
from holdfast import Settings, create_migration_engine

with create_migration_engine(Settings()).connect() as connection:
    context.configure(connection=connection)
    context.run_migrations()
"""


def ended(project: Project, *verb: str, **variables: str) -> list[str]:
    """The last three lines of stderr, after the exit status."""
    process = forked.holdfast(*verb, cwd=project.folder, env={**os.environ, **variables})
    return [str(process.returncode), *process.stderr.splitlines()[-3:]]


@pytest.mark.parametrize(
    ("env", "driver"),
    [(SYNC_ENV, "psycopg"), (SYNC_ENV, "psycopg2"), (ASYNC_ENV, "asyncpg"), (ASYNC_ENV, "psycopg")],
    ids=["psycopg", "psycopg2", "asyncpg", "async psycopg"],
)
@pytest.mark.parametrize("verb", ["run", "status"])
def test_nobody_listens(project: Project, env: str, driver: str, verb: str) -> None:
    """The same three parts whatever driver env.py uses; the setting is the file that names the URL."""
    project.revision("pass")
    project.database = "postgresql://app:secret@127.0.0.1:1/shop"
    project.env(env, driver=driver)
    ini = project.folder / "alembic.ini"
    ini.write_text(ini.read_text().replace("***", "secret"))
    status, what, why, remedy = ended(project, verb)
    assert (status, what.split(": ")[:2]) == ("3", ["error", "No connection to the database"])
    assert (why, remedy) == (
        (
            "Tried: user app, database shop, host 127.0.0.1, port 1. That is what sqlalchemy.url in alembic.ini says. "
            "The host answers, but nothing listens on this port."
        ),
        (
            "Start the server, or correct host and port in sqlalchemy.url in alembic.ini. "
            "To try it: pg_isready -h 127.0.0.1 -p 1"
        ),
    )


def test_a_url_that_env_py_has_found_itself(project: Project) -> None:
    """Wherever it has it from, as that of Flask-Migrate has it from the application: no file is named that lacks it."""
    project.revision("pass")
    ini = project.folder / "alembic.ini"
    lines = [line for line in ini.read_text().splitlines() if not line.startswith("sqlalchemy.url")]
    ini.write_text("\n".join(lines) + "\n")
    url = "postgresql+psycopg://app:secret@127.0.0.1:1/shop"
    found = (
        f"from alembic import context\ncontext.config.set_main_option('sqlalchemy.url', '{url}')\n"
    )
    (project.folder / "env.py").write_text(found + SYNC_ENV)
    assert ended(project, "status")[2:] == [
        (
            "Tried: user app, database shop, host 127.0.0.1, port 1. That is what the URL that env.py connects with"
            " says. The host answers, but nothing listens on this port."
        ),
        (
            "Start the server, or correct host and port in the URL that env.py connects with. "
            "To try it: pg_isready -h 127.0.0.1 -p 1"
        ),
    ]


def test_database_url_is_called_by_its_name(project: Project) -> None:
    """An env.py by holdfast's settings: the variable, not a field of a class."""
    project.revision("pass")
    (project.folder / "env.py").write_text(BY_SETTINGS)
    missing = project.database.replace("/test_", "/missing_")
    name = missing.split("/")[3].split("?")[0]
    status, what, why, remedy = ended(project, "run", DATABASE_URL=missing, HOLDFAST_PROFILE="test")
    assert (status, what.endswith(f'database "{name}" does not exist')) == ("3", True)
    assert f"database {name}, the socket in " in why
    assert (
        "That is what DATABASE_URL says. The server answers, but has no database of that name."
        in why
    )
    assert remedy.startswith("Correct the database in DATABASE_URL, or make it: createdb -h /")


def test_first_words_of_an_application(project: Project) -> None:
    """A server without TLS, and nothing set but the URL: the profile and the setting are named."""
    [folder] = project.query("SHOW unix_socket_directories")[0]
    [name] = project.query("SELECT current_database()")[0]
    with tls_proxy(f"{folder}/.s.PGSQL.5432", None) as port:
        settings = Settings(url=f"postgresql://postgres@localhost:{port}/{name}")
        with pytest.raises(CannotConnect) as raised:
            Database(settings).start()
    assert str(raised.value).splitlines()[1:] == [
        (
            f"Tried: user postgres, database {name}, host localhost, port {port}, sslmode=require. That is what"
            " DATABASE_URL says. The profile production (HOLDFAST_PROFILE) has TLS required (HOLDFAST_TLS)."
            " This server offers no TLS."
        ),
        (
            "For a server on this machine: HOLDFAST_PROFILE=development, or HOLDFAST_TLS=remote, which asks for TLS on"
            " the network only. Otherwise switch TLS on in the server: ssl = on in postgresql.conf."
        ),
    ]


def test_a_connection_that_is_lost(project: Project, tmp_path: Path) -> None:
    """The server ends the session under a statement: what stays, and the command that goes on."""
    project.revision("op.execute('SELECT pg_terminate_backend(pg_backend_pid())')")
    assert ended(project, "run")[0] == "3"
    assert ended(project, "run")[-2:] == [
        (
            "The server, or something on the way to it, has ended the session. What was committed before stays and is "
            "recorded; what was not is rolled back by the server. This run has completed no revision. Revision r1 was "
            "under way. Whether a COMMIT that was just sent has arrived, the database knows: holdfast status."
        ),
        "Look at the log of the server; when it answers again, go on: holdfast run",
    ]
