"""What is read from pg_stat_statements, on a distribution's PostgreSQL: who would notice a type change, and who still
uses a name that `finish` would let go.

`./dev prove notices`. The embedded server has no pg_stat_statements, so this needs Debian's or Ubuntu's package
`postgresql` (apt-get install postgresql), whose binaries it starts in a folder of its own. Exit status 1 when
something is not said, 3 when there is no such server.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1] / "packages" / "holdfast" / "tests" / "kit"))

from alembic_project import Project

from holdfast.cli.plan import as_text
from holdfast.errors.finish import StillInUse
from holdfast.migrate.finish import finish
from holdfast.migrate.run import upgrade
from holdfast.preview.forecast import forecast

BINARIES = Path("/usr/lib/postgresql")
PATIENCE = 60  # s
USES = (
    "INSERT INTO t VALUES (1, 'a')",
    "INSERT INTO t (id, a) VALUES (2, 'b')",
    "SELECT * FROM t WHERE id = 1",
    "SELECT id, a FROM t",
    "INSERT INTO t SELECT 3, 'c'",
)
SAID = (
    "seen in pg_stat_statements: INSERT without a list of columns: INSERT INTO t VALUES ($1, $2)",
    "seen in pg_stat_statements: INSERT without a list of columns: INSERT INTO t SELECT $1, $2",
    "seen in pg_stat_statements: COPY without a list of columns: COPY t FROM STDIN",
    "seen in pg_stat_statements: SELECT *: SELECT * FROM t WHERE id = $1",
)
NOT_SAID = ("INSERT INTO t (id, a)", "SELECT id, a FROM t")


@contextmanager
def distribution_server() -> Iterator[str]:
    """The newest that is installed, with pg_stat_statements loaded; as root it runs as postgres."""
    found = sorted(BINARIES.glob("*/bin"), key=lambda path: float(path.parent.name))
    if not found:
        print("no server of a distribution: apt-get install postgresql", file=sys.stderr)
        sys.exit(3)
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if user is not None:
            shutil.chown(folder, user)
        data = folder / "data"
        initdb = [found[-1] / "initdb", "-D", data, "-U", "postgres", "-A", "trust"]
        subprocess.run(initdb, user=user, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        options = ["-c", "listen_addresses=", "-c", "shared_preload_libraries=pg_stat_statements"]
        command = [found[-1] / "postgres", "-D", data, "-k", folder, *options]
        log = subprocess.DEVNULL
        with subprocess.Popen(command, user=user, stdout=log, stderr=log, cwd=folder) as server:
            url = f"postgresql://postgres@/postgres?host={folder}"
            try:
                wait_for(url)
                yield url
            finally:
                server.terminate()


def wait_for(url: str) -> None:
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if time.monotonic() > limit:
                raise
            time.sleep(0.1)
        else:
            return


def use(url: str) -> None:
    """As an application does; a commit each."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        for statement in USES:
            connection.execute(statement.encode())
        with connection.cursor().copy("COPY t FROM STDIN") as copy:
            copy.write_row((4, "d"))


OLD = (
    "SELECT name FROM people WHERE id = 1",
    "UPDATE people SET name = 'b' WHERE id = 1",
    "INSERT INTO letters (id) VALUES (1)",
)
NEW = ("SELECT title FROM people WHERE id = 1", "SELECT id FROM mail")
CALLS = (
    "1 calls since the statistics began, perhaps before the expand of: SELECT name FROM people WHERE id = $1",
    "1 calls since the statistics began, perhaps before the expand of: UPDATE people SET name = $1 WHERE id = $2",
    "1 calls since the statistics began, perhaps before the expand of: INSERT INTO letters (id) VALUES ($1)",
)


def finished(project: Project) -> tuple[list[str], list[str]]:
    """What `finish` says while the old release calls by the old names, and what once it does not any more."""
    project.revision(
        "op.execute('CREATE TABLE people (id int PRIMARY KEY, name text)')\n"
        "op.execute('CREATE TABLE letters (id int PRIMARY KEY)')"
    )
    upgrade(project.config, "head")
    project.revision(
        "op.alter_column('people', 'name', new_column_name='title'); op.rename_table('letters', 'mail')"
    )
    upgrade(project.config, "head", expand=True)
    with psycopg.connect(project.database, autocommit=True) as connection:
        for statement in (*OLD, *NEW):
            connection.execute(statement.encode())
    said = []
    for _ in range(2):
        try:
            finish(project.config, yes=True)
            said.append([])
        except StillInUse as error:
            said.append(list(error.signs))
    return said[0], said[1]


def main() -> None:
    with distribution_server() as url, tempfile.TemporaryDirectory() as folder:
        project = Project(folder=Path(folder) / "project", database=url)
        project.revision("op.execute('CREATE TABLE t (id int, a text)')")
        upgrade(project.config, "head")
        use(url)
        project.revision("op.alter_column('t', 'id', type_=sa.BigInteger)")
        plan = "\n".join(as_text(forecast(project.config)))
        [(version,)] = project.query("SHOW server_version")
        upgrade(project.config, "head")
        seen, then = finished(project)
    print(f"PostgreSQL {version}")
    print("\n".join(line for line in plan.splitlines() if "pg_stat_statements" in line))
    missing = [line for line in SAID if line not in plan]
    missing += [f"(must not be said) {line}" for line in NOT_SAID if line in plan]
    print("\n".join(f"in use   {sign}" for sign in seen))
    missing += [line for line in CALLS if line not in seen]
    missing += [f"(must not be said) {line}" for line in seen if "title" in line or "mail" in line]
    missing += [f"(must not be said the second time) {line}" for line in then]
    for line in missing:
        print(f"MISSING  {line}")
    sys.exit(1 if missing else 0)


main()
