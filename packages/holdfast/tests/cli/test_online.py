"""`holdfast online FILE.sql`: the plan of a script, and nothing is changed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg

from holdfast.scratch.dump import schema_dump

SCRIPT = """
CREATE TABLE refunds (id int PRIMARY KEY);
ALTER TABLE refunds ADD COLUMN order_id int REFERENCES orders (id);
CREATE INDEX orders_status ON orders (status);
ALTER TABLE orders ALTER COLUMN id TYPE bigint, ADD CHECK (id > 0);
"""


def online(file: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "holdfast", "online", str(file), *arguments],
        env={**os.environ, "DATABASE_URL": url, "HOLDFAST_PROFILE": "test"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_steps_locks_and_refusals(database: str, tmp_path: Path) -> None:
    """New tables are new, tables of the database are in use, with their sizes; exit status 1: one is refused."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, status text)")
        connection.execute("INSERT INTO orders SELECT i, 'new' FROM generate_series(1, 700) i")
        connection.execute("ANALYZE orders")
    before = schema_dump(database)
    file = tmp_path / "change.sql"
    file.write_text(SCRIPT)
    shown = online(file, database)
    assert shown.returncode == 1, shown.stderr
    assert "build index: CREATE INDEX CONCURRENTLY orders_status ON public.orders" in shown.stdout
    assert "locks: SHARE ROW EXCLUSIVE on public.orders (blocks writes)" in shown.stdout
    assert "(about 700 rows)" in shown.stdout
    planned = json.loads(online(file, database, "--format", "json").stdout)
    assert [statement["refusal"] is None for statement in planned] == [True, True, True, False]
    assert schema_dump(database) == before
