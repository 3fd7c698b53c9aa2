"""`holdfast online FILE.sql`: the plan of a script, and nothing is changed."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import forked
import psycopg
import pytest
import trustme
from everywhere import each
from tls_proxy import tls_proxy

from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump
from holdfast.scratch.server import EmbeddedServer, temporary_server

CA = trustme.CA()

SCRIPT = """
CREATE TABLE refunds (id int PRIMARY KEY);
ALTER TABLE refunds ADD COLUMN order_id int REFERENCES orders (id);
CREATE INDEX orders_status ON orders (status);
CLUSTER orders USING orders_pkey;
"""


def online(
    file: Path, url: str, *arguments: str, scratch: str | None = None
) -> subprocess.CompletedProcess[str]:
    named = {} if scratch is None else {"HOLDFAST_SCRATCH_URL": scratch}
    env = {**os.environ, **named, "DATABASE_URL": url, "HOLDFAST_PROFILE": "test"}
    return forked.holdfast("online", str(file), *arguments, cwd=file.parent, env=env)


def test_steps_locks_and_refusals(database: str, tmp_path: Path, postgres: Postgres) -> None:
    """New tables are new, tables of the database are in use, with their sizes; exit status 1: one is refused."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, status text)")
        connection.execute("INSERT INTO orders SELECT i, 'new' FROM generate_series(1, 700) i")
        connection.execute("ANALYZE orders")
    before = schema_dump(database)
    file = tmp_path / "change.sql"
    file.write_text(SCRIPT)
    scratch = postgres.url("postgres")
    shown = online(file, database, scratch=scratch)
    assert shown.returncode == 1, shown.stderr
    assert "build index: CREATE INDEX CONCURRENTLY orders_status ON public.orders" in shown.stdout
    assert "locks: SHARE ROW EXCLUSIVE on public.orders (blocks writes)" in shown.stdout
    assert "(about 700 rows)" in shown.stdout
    planned = json.loads(online(file, database, "--format", "json", scratch=scratch).stdout)
    assert [statement["refusal"] is None for statement in planned] == [True, True, True, False]
    assert schema_dump(database) == before


@pytest.fixture(scope="module")
def other() -> Iterator[EmbeddedServer]:
    """A server with an extension that no other one has, and a role that gives a password."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # for the user whom PostgreSQL runs as
        yield from _server_with_extension(Path(folder))


def _server_with_extension(folder: Path) -> Iterator[EmbeddedServer]:
    extensions = folder / "extension"
    extensions.mkdir()
    (extensions / "only_here.control").write_text("default_version = '1'\n")
    (extensions / "only_here--1.sql").write_text("CREATE FUNCTION here() RETURNS int RETURN 1;")
    path = {"extension_control_path": f"$system:{folder}"}
    with temporary_server(settings=path) as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE ROLE app LOGIN SUPERUSER PASSWORD 'hunter2'")
            connection.execute("CREATE TABLE a (id int PRIMARY KEY)")
            connection.execute("CREATE POLICY p ON a TO app")
            connection.execute("GRANT SELECT ON a TO app")
            connection.execute("CREATE TABLE z (id int)")
            connection.execute(
                "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.z'"
            )
        yield server


@pytest.fixture
def change(tmp_path: Path) -> Path:
    file = tmp_path / "change.sql"
    file.write_text("CREATE INDEX a_id ON a (id);")
    return file


BELONGING = """
BEGIN;
DROP VIEW v;
CREATE INDEX orders_id ON orders (id, status);
CREATE VIEW v AS SELECT id, status FROM orders;
COMMIT;
SELECT count(*) FROM v;
ALTER TABLE orders DISABLE TRIGGER ALL;
UPDATE orders SET status = 'x';
ALTER TABLE orders ENABLE TRIGGER ALL;
"""


def test_what_belongs_together_is_shown_as_one(
    database: str, tmp_path: Path, postgres: Postgres
) -> None:
    """Whatever stands between: the script is planned as a whole, as a revision with these statements would be."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, status text)")
        connection.execute("CREATE VIEW v AS SELECT id FROM orders")
    file = tmp_path / "change.sql"
    file.write_text(BELONGING)
    shown = online(file, database, "--format", "json", scratch=postgres.url("postgres"))
    assert shown.returncode == 0, shown.stderr
    assert [statement["sql"] for statement in json.loads(shown.stdout)] == [
        "BEGIN",
        "CREATE INDEX orders_id ON orders (id, status)",
        "DROP VIEW v; CREATE VIEW v AS SELECT id, status FROM orders",
        "COMMIT",
        "SELECT count(*) FROM v",
        "ALTER TABLE orders DISABLE TRIGGER ALL; UPDATE orders SET status = 'x'; ALTER TABLE orders ENABLE TRIGGER ALL",
    ]


def test_any_extension(other: EmbeddedServer, change: Path, postgres: Postgres) -> None:
    """What the scratch server lacks is said with the way out, whatever it is; a server of one's own has it."""
    with psycopg.connect(other.url("template1"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE extended TEMPLATE postgres")
    with psycopg.connect(other.url("extended"), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION only_here")
    refused = online(change, other.url("extended"), scratch=postgres.url("postgres"))
    assert refused.returncode == 3
    first, *_, last = refused.stderr.strip().splitlines()
    assert first.startswith(
        "error: The schema of the database could not be created on the scratch server:"
    )
    assert "HOLDFAST_SCRATCH_URL=postgresql://USER@HOST/postgres" in last
    assert "Traceback" not in refused.stderr
    shown = online(change, other.url("extended"), scratch=other.url())
    assert (shown.returncode, "CREATE INDEX CONCURRENTLY a_id" in shown.stdout) == (0, True)


@pytest.mark.parametrize("mode", each(["verify-full", "require"], here=1))
def test_over_tls(
    other: EmbeddedServer, change: Path, tmp_path: Path, postgres: Postgres, mode: str
) -> None:
    """A database that is reached over TLS, with whatever sslmode, is read as any other, with its policies."""
    with psycopg.connect(other.url(), autocommit=True) as connection:
        [rules] = connection.execute("SHOW hba_file").fetchone() or [""]
        [folder] = connection.execute("SHOW unix_socket_directories").fetchone() or [""]
        Path(rules).write_text("local all app scram-sha-256\nlocal all all trust\n")
        connection.execute("SELECT pg_reload_conf()")
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    with tls_proxy(f"{folder}/.s.PGSQL.5432", CA.issue_cert("localhost")) as port:
        url = (
            f"postgresql://app:hunter2@localhost:{port}/postgres"
            f"?hostaddr=127.0.0.1&sslmode={mode}&sslrootcert={tmp_path}/ca.pem"
        )
        shown = online(change, url, scratch=postgres.url("postgres"))
        assert (shown.returncode, shown.stderr) == (0, "")
        assert "CREATE INDEX CONCURRENTLY a_id ON public.a" in shown.stdout


def test_a_statement_that_fails_on_the_copy(database: str, change: Path) -> None:
    """An error of the scratch server is told as one of the scratch server."""
    shown = online(change, database)
    assert shown.returncode == 3
    assert shown.stderr.splitlines()[:2] == [
        f'error: A statement of {change} fails where the script is tried: relation "a" does not exist',
        (
            "It was tried on a copy of the database's schema, on the scratch server; no other database was changed."
            " It was: CREATE INDEX a_id ON a (id)"
        ),
    ]


def test_a_script_for_a_database_that_is_not_named(
    tmp_path: Path, postgres: Postgres, database: str
) -> None:
    """The way out is that of a script: it has no models and no revision."""
    file = tmp_path / "add.sql"
    file.write_text("CREATE INDEX ON orders (note);")
    empty = online(file, database, "--empty", scratch=postgres.url("postgres"))
    assert (empty.returncode, empty.stderr.splitlines()[:3]) == (
        3,
        [
            f'error: A statement of {file} fails where the script is tried: relation "orders" does not exist',
            (
                "It was tried on an empty database, on the scratch server; no other database was changed. It was:"
                " CREATE INDEX ON orders (note)"
            ),
            (
                "Correct the script; or name the database that it is for:"
                " DATABASE_URL=postgresql://USER@HOST/DATABASE, without --empty"
            ),
        ],
    )
    file.write_text("ALTER TABL orders")
    wrong = online(file, database, "--empty", scratch=postgres.url("postgres"))
    assert wrong.stderr.splitlines()[2] == f"Correct the statement, then: holdfast online {file}"
