"""Odd statements end in the schema of plain execution, too: names, options, guards, quoting."""

from collections.abc import Callable
from pathlib import Path

import psycopg
from everywhere import everywhere

from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import Step
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

RunOnline = Callable[[str, str], tuple[Step, ...]]

# What is there in every case.
BEFORE = """
CREATE TABLE u (id int PRIMARY KEY, a int UNIQUE, b text, UNIQUE (id, a));
CREATE TABLE t (
  id int PRIMARY KEY, a int, b text, c int, d int, u_id int, "Mixed Case" int, "select" int,
  v varchar(20) DEFAULT '-', w varchar(5), n numeric(10, 2) DEFAULT 1
);
CREATE TABLE a_table_with_a_name_that_is_nearly_as_long_as_names_can_be_here (
  a_column_with_a_name_that_is_nearly_as_long_as_names_can_be_her int, b int
);
CREATE TABLE "größe" ("länge_länge_länge_länge_länge_länge_länge_länge" int, a int);
INSERT INTO u SELECT n, n, n FROM generate_series(1, 9) AS n;
INSERT INTO t SELECT n, n, n, n, n, n, n, n FROM generate_series(1, 9) AS n;
"""

SCRIPTS = Path(__file__).with_name("same_schema.sql").read_text().split("\n\n")
SINCE_18 = "-- Since PostgreSQL 18."


def test_same_schema(each_postgres: Postgres, run_online: RunOnline) -> None:
    """Each case in a schema of its own: online on one database, plainly on another.

    All of them in the proof, a third here, of each kind some.
    """
    major = each_postgres.major
    tried = SCRIPTS if everywhere() else SCRIPTS[::3]
    scripts = [script for script in tried if major >= 18 or SINCE_18 not in script]
    schemas = {f"case_{number}": script for number, script in enumerate(scripts)}
    template = each_postgres.template("schemas of cases", lambda url: build(url, schemas=schemas))
    with (
        each_postgres.database(template=template) as plain,
        each_postgres.database(template=template) as online,
    ):
        run_plainly(plain, schemas=schemas)
        for schema, script in schemas.items():
            run_online(f"{online}&options=-csearch_path%3D{schema}", script)
        assert schema_dump(online) == schema_dump(plain)


def build(url: str, *, schemas: dict[str, str]) -> None:
    with psycopg.connect(url) as connection:
        for schema in schemas:
            connection.execute(f"CREATE SCHEMA {schema}; SET search_path = {schema}".encode())
            connection.execute(BEFORE)


def run_plainly(url: str, *, schemas: dict[str, str]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for schema, script in schemas.items():
            connection.execute(f"SET search_path = {schema}".encode())
            for statement in parse(script):
                connection.execute(statement.sql.encode())
