"""Folders of SQL files, written and half applied by their own tools (dbmate, Drizzle: from npm, into .cache).

The rest of the history is applied by holdfast, killed inside several times. Then the tool has to say that nothing is
pending, its next run has to change nothing, and the schema has to be the one that the tool alone makes. The tools talk
to the server over its socket. Prisma and Flyway are not among them: Prisma's engine is no npm package, Flyway needs a
repository of Java packages; for both the suite has their documented tables.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psycopg

sys.path.insert(0, str(Path(__file__).parents[1] / "packages" / "holdfast" / "tests" / "kit"))

from contract import OBSERVER, Process, kill_at
from psycopg.conninfo import conninfo_to_dict
from script_project import ScriptProject

from holdfast.migrate.run import upgrade
from holdfast.migrate.status import status
from holdfast.scratch.databases import Postgres, postgres_at
from holdfast.scratch.dump import schema_dump
from holdfast.scratch.server import temporary_server

CACHE = Path(__file__).parents[1] / ".cache" / "sql-tools"
PACKAGES = ("dbmate@2", "drizzle-kit@0.31", "drizzle-orm@0.44", "pg@8")
KILLED_AT = (1, 2, 4)  # entries of the journal
USERS = "CREATE TABLE users (id bigint PRIMARY KEY, email text);"
CHANGES = (
    "CREATE INDEX users_email ON users (email);",
    (
        "ALTER TABLE users ADD name text;\nUPDATE users SET name = email;\n"
        "ALTER TABLE users ALTER name SET NOT NULL;\nCREATE INDEX users_name ON users (name);"
    ),
)
# Of Drizzle: a model before and after, from which drizzle-kit writes its files.
MODEL = """
import {{ bigint, index, pgTable, text }} from "drizzle-orm/pg-core";
export const users = pgTable("users", {{
  id: bigint({{ mode: "number" }}).primaryKey(), email: text(), {columns}
}}, (t) => [{indexes}]);
"""
MODELS = (
    MODEL.format(columns="", indexes=""),
    MODEL.format(columns="", indexes='index("users_email").on(t.email)'),
    MODEL.format(
        columns='name: text().notNull().default("-"),',
        indexes='index("users_email").on(t.email), index("users_name").on(t.name)',
    ),
)

MIGRATE = """
const {{ Pool }} = require("pg");
const {{ drizzle }} = require("drizzle-orm/node-postgres");
const {{ migrate }} = require("drizzle-orm/node-postgres/migrator");
const pool = new Pool({{ {credentials} }});
migrate(drizzle(pool), {{ migrationsFolder: "./{folder}" }}).then(() => pool.end());
"""


def install() -> None:
    """The tools, once."""
    if not (CACHE / "node_modules" / ".bin" / "drizzle-kit").exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        npm = shutil.which("npm")
        if npm is None:
            sys.exit(
                "./dev prove sql needs npm (Node.js 20 or newer) on the PATH, for the tools themselves."
            )
        (CACHE / "package.json").write_text("{}")
        subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", *PACKAGES], cwd=CACHE, check=True
        )


def tool(name: str, *arguments: str, folder: Path, url: str) -> str:
    """What a tool says; its end has to be a good one."""
    said = subprocess.run(
        [CACHE / "node_modules" / ".bin" / name, *arguments],
        cwd=folder,
        env={**os.environ, "DATABASE_URL": url},
        check=False,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout + said.stderr


def dbmate(*arguments: str, project: ScriptProject) -> str:
    url = f"{project.database.replace('postgresql://', 'postgres://')}&sslmode=disable"
    options = ("--no-dump-schema", "-d", str(project.folder))
    return tool("dbmate", *options, *arguments, folder=project.folder, url=url)


def dbmate_file(project: ScriptProject, number: int, sql: str) -> None:
    project.file(f"2024010{number}_x.sql", f"-- migrate:up\n{sql}\n\n-- migrate:down\n")


def in_dbmate(project: ScriptProject) -> None:
    """Its first two files, applied by dbmate; then two more."""
    for number, sql in enumerate((USERS, *CHANGES), start=1):
        dbmate_file(project, number, sql)
        if number == 1:
            dbmate("up", project=project)


def dbmate_agrees(project: ScriptProject) -> None:
    assert "Pending: 0" in dbmate("status", project=project)
    before = project.query("SELECT * FROM schema_migrations ORDER BY 1")
    dbmate("up", project=project)
    assert project.query("SELECT * FROM schema_migrations ORDER BY 1") == before


def drizzle(*arguments: str, project: ScriptProject) -> str:
    return tool("drizzle-kit", *arguments, folder=project.folder.parent, url=project.database)


def in_drizzle(project: ScriptProject) -> None:
    """Three files that drizzle-kit writes from models; it has applied the first."""
    (project.folder.parent / "node_modules").symlink_to(CACHE / "node_modules")
    (project.folder.parent / "drizzle.config.js").write_text(
        f'module.exports = {{ dialect: "postgresql", schema: "./schema.ts", out: "./{project.folder.name}" }};'
    )
    for number, model in enumerate(MODELS):
        (project.folder.parent / "schema.ts").write_text(model)
        drizzle("generate", "--name", f"step{number}", project=project)
        if number == 0:
            migrate(project)


def migrate(project: ScriptProject) -> str:
    """What an application calls at its start."""
    place = conninfo_to_dict(project.database)
    credentials = f'host: "{place["host"]}", port: {place["port"]}, user: "{place["user"]}"'
    script = project.folder.parent / "migrate.js"
    script.write_text(
        MIGRATE.format(
            credentials=f'{credentials}, database: "{place["dbname"]}"', folder=project.folder.name
        )
    )
    ended = subprocess.run(
        ["node", script.name], cwd=script.parent, check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def drizzle_agrees(project: ScriptProject) -> None:
    rows = "SELECT id, hash, created_at FROM drizzle.__drizzle_migrations ORDER BY id"
    before = project.query(rows)
    assert len(before) == len(MODELS)
    migrate(project)
    drizzle("check", project=project)
    assert project.query(rows) == before


Tool = tuple[
    str,
    Callable[[ScriptProject], None],
    Callable[[ScriptProject], str],
    Callable[[ScriptProject], None],
]
TOOLS: tuple[Tool, ...] = (
    ("dbmate", in_dbmate, lambda project: dbmate("up", project=project), dbmate_agrees),
    ("drizzle", in_drizzle, migrate, drizzle_agrees),
)


@contextmanager
def made(postgres: Postgres, make: Callable[[ScriptProject], None]) -> Iterator[ScriptProject]:
    """A project that its tool has written and begun, with rows."""
    with tempfile.TemporaryDirectory() as folder, postgres.database() as url:
        project = ScriptProject(folder=Path(folder) / "migrations", database=url)
        make(project)
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO users (id, email) SELECT n, 'u' || n FROM generate_series(1, 5000) n"
            )
        yield project


def prove(postgres: Postgres, tool: Tool) -> None:
    name, make, apply, agrees = tool
    with made(postgres, make) as alone:
        apply(alone)
        expected, rows = schema_dump(alone.database), alone.query("SELECT * FROM users ORDER BY id")
    with made(postgres, make) as project:
        pending = [each.revision for each in status(project.config).pending]
        upgrade(project.config, pending[0])
        with psycopg.connect(project.database) as connection:
            connection.execute(OBSERVER)
        kills = sum(kill_at(project, entry) for entry in KILLED_AT)  # type: ignore[arg-type]  # see kit
        Process(project).end()  # type: ignore[arg-type]
        agrees(project)
        assert schema_dump(project.database) == expected
        assert project.query("SELECT * FROM users ORDER BY id") == rows
    print(f"holds   {name:8} half by the tool, the rest by holdfast with {kills} kills", flush=True)


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice([name for name, *_ in TOOLS]))
def main(names: tuple[str, ...]) -> None:
    install()
    with temporary_server() as server:
        postgres = postgres_at(server.url())
        for tool in TOOLS:
            if not names or tool[0] in names:
                prove(postgres, tool)


if __name__ == "__main__":
    main()
