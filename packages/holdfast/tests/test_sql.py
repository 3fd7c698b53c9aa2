"""docs/sql.md does what it says: its commands are run, in order, and print what it shows."""

import json
import os
import re
from pathlib import Path

import forked
import psycopg
import pytest
from everywhere import each
from script_project import ScriptProject

from holdfast.scratch.databases import Postgres

PAGE = Path(__file__).parents[3] / "docs" / "sql.md"
BLOCKS = re.compile(r"^```(sql|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ORDERS = "CREATE TABLE orders (id int PRIMARY KEY);"


def steady(text: str) -> str:
    """Without what differs from run to run."""
    return re.sub(r"\d+\.\d\d s", "0.01 s", text)


def write_files(orders: ScriptProject, second: str) -> None:
    """The projects of the page: of dbmate, of Prisma, and a script."""
    orders.file("db/migrations/20240101_orders.sql", f"-- migrate:up\n{ORDERS}\n-- migrate:down\n")
    orders.file("db/migrations/20240102_add_channel.sql", second)
    orders.file("prisma/migrations/migration_lock.toml", 'provider = "postgresql"')
    orders.file("prisma/migrations/20240101_orders/migration.sql", ORDERS)
    orders.file(
        "prisma/migrations/20240102_add_note/migration.sql",
        'ALTER TABLE "orders" ADD COLUMN "note" TEXT;\n',
    )
    orders.file("fix.sql", "ALTER TABLE orders ALTER channel SET NOT NULL;\n")


def has_applied(orders: ScriptProject) -> None:
    """A database as both tools would have left it after their first file."""
    with psycopg.connect(orders.database, autocommit=True) as connection:
        connection.execute(ORDERS)
        connection.execute("INSERT INTO orders SELECT n FROM generate_series(1, 100000) n")
        connection.execute("CREATE TABLE schema_migrations (version varchar PRIMARY KEY)")
        connection.execute("INSERT INTO schema_migrations VALUES ('20240101')")
        connection.execute("VACUUM ANALYZE orders")


def prisma_has_applied(orders: ScriptProject) -> None:
    """Prisma's own record of the first file; the shop's other tool has left a column."""
    with psycopg.connect(orders.database) as connection:
        connection.execute("ALTER TABLE orders ADD channel text DEFAULT 'web'")
        connection.execute("UPDATE orders SET channel = 'web'")
        connection.execute(
            "CREATE TABLE _prisma_migrations (id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL,"
            " finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMPTZ,"
            " started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)"
        )
        connection.execute(
            "INSERT INTO _prisma_migrations SELECT gen_random_uuid(), encode(sha256(%s), 'hex'), now(),"
            " '20240101_orders', NULL, NULL, now(), 1",
            [ORDERS.encode()],
        )


def test_sql(tmp_path: Path, database: str, postgres: Postgres) -> None:
    """Five minutes, as a newcomer has them."""
    orders = ScriptProject(folder=tmp_path / "shop", database=database)
    blocks = BLOCKS.findall(PAGE.read_text())
    write_files(orders, next(text for kind, text in blocks if kind == "sql"))
    has_applied(orders)
    environment = {
        **os.environ,
        "DATABASE_URL": database,
        "HOLDFAST_PROFILE": "development",
        "HOLDFAST_LOG_SQL": "off",
        "HOLDFAST_SCRATCH_URL": postgres.url("postgres"),
    }
    for kind, text in blocks:
        if kind != "console":
            continue
        command = text.partition("\n")[0].removeprefix("$ ")
        if "apply prisma" in command:
            prisma_has_applied(orders)
        ended = forked.run(*command.split(), cwd=orders.folder, env=environment)
        assert steady(f"$ {command}\n{ended.stderr}{ended.stdout}") == steady(text)


@pytest.mark.parametrize("form", each(["text", "json"], here=1))
def test_a_refusal_can_be_pasted(form: str, tmp_path: Path, database: str) -> None:
    """What an error proposes names the project as the command line has named it, also where JSON is asked for."""
    scripts = ScriptProject(folder=tmp_path / "scripts", database=database)
    scripts.file("1_a.sql", "SELECT 1;\n\\i more.sql\n")
    environment = {**os.environ, "DATABASE_URL": database, "HOLDFAST_PROFILE": "development"}
    words = ("apply", str(scripts.folder), "--format", form)
    ended = forked.holdfast(*words, cwd=tmp_path, env=environment)
    assert ended.returncode == 1
    assert f"{scripts.folder}/1_a.sql:2: \\i more.sql is a command of psql" in ended.stderr
    pasted = f"holdfast --sql {scripts.folder} run"
    assert pasted in ended.stderr
    if form == "json":
        told = json.loads(ended.stdout.splitlines()[-1])
        assert (told["error"], told["exit_status"]) == ("PsqlCommandInScript", 1)
        assert pasted in told["remedy"]
