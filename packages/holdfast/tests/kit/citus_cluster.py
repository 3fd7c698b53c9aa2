"""A database on a Citus cluster that somebody else runs: HOLDFAST_TEST_CITUS_URL names its coordinator."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import make_url

URL = os.environ.get("HOLDFAST_TEST_CITUS_URL", "")
NODES = "SELECT nodename, nodeport, groupid FROM pg_dist_node WHERE noderole = 'primary' ORDER BY groupid"
# What a test has left, but for what belongs to the extension.
LEFT = """
    SELECT format('DROP %s IF EXISTS %I.%I CASCADE',
             CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, nspname, relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname IN ('public', 'other') AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
    -- First what refers to others: Citus has an order for keys, but not for identity columns.
    ORDER BY NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND contype = 'f'), relkind DESC
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The coordinator, and the same database on each worker; as libpq takes them."""

    coordinator: str
    workers: tuple[str, ...]

    def execute(self, *statements: str) -> list[tuple[object, ...]]:
        """Execute on the coordinator, each statement for itself; the rows of the last one."""
        with psycopg.connect(self.coordinator, autocommit=True) as connection:
            cursor = None
            for each in statements:
                cursor = connection.execute(each.encode())
            return cursor.fetchall() if cursor is not None and cursor.description else []

    def clear(self) -> None:
        """Drop everything that a test has made."""
        for (statement,) in self.execute(LEFT):
            self.execute(str(statement))
        self.execute("DROP SCHEMA IF EXISTS holdfast, other CASCADE")


@contextmanager
def database_on_cluster(name: str) -> Iterator[Cluster]:
    """A database of this name on every node, with the extension in it; dropped in the end."""
    parameters = conninfo_to_dict(URL)
    with psycopg.connect(URL, autocommit=True) as connection:
        nodes = connection.execute(NODES).fetchall()
    at = [{**parameters, "host": host, "port": port} for host, port, _ in nodes]
    _drop(name, at)
    for node in at:
        with psycopg.connect(make_conninfo("", **node), autocommit=True) as connection:
            connection.execute("SET client_min_messages = error")
            connection.execute("SET citus.enable_ddl_propagation = off")
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with psycopg.connect(make_conninfo("", **{**node, "dbname": name}), autocommit=True) as own:
            own.execute("CREATE EXTENSION citus")
    urls = [_url(node, name) for node in at]
    with psycopg.connect(urls[0], autocommit=True) as connection:
        host, port, _ = nodes[0]
        connection.execute("SELECT citus_set_coordinator_host(%s, %s)", [host, port])
        for host, port, _ in nodes[1:]:
            connection.execute("SELECT citus_add_node(%s, %s)", [host, port])
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET citus.shard_count = 4").format(sql.Identifier(name))
        )
    try:
        yield Cluster(coordinator=urls[0], workers=tuple(urls[1:]))
    finally:
        _drop(name, at)


def _url(node: dict[str, object], database: str) -> str:
    """As the tests write URLs; what else the address said stays as parameters."""
    url = make_url("postgresql://").set(
        username=str(node["user"]) if node.get("user") else None,
        password=str(node["password"]) if node.get("password") else None,
        host=str(node["host"]),
        port=int(str(node["port"])),
        database=database,
    )
    return url.render_as_string(hide_password=False)


def _drop(name: str, nodes: list[dict[str, object]]) -> None:
    for node in nodes:
        with psycopg.connect(make_conninfo("", **node), autocommit=True) as connection:
            connection.execute("SET client_min_messages = error")
            connection.execute("SET citus.enable_ddl_propagation = off")
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )
