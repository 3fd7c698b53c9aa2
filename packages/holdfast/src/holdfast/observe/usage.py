"""Finds signs that somebody still uses what waits for `holdfast finish`. Reads only.

Sessions, by the release in their application_name; calls, in pg_stat_statements where that is there; writes to an old
name, counted by the triggers that keep both equal.
"""

import re
from dataclasses import dataclass

import sqlalchemy as sa

from holdfast.observe.database import is_citus
from holdfast.observe.schema_constants import KEY

RELEASE = re.compile(r"(?:^| )release=(\S+)$")

# A row per session of somebody else; of other roles only what this role may see.
SESSIONS = sa.text("""
SELECT a.pid, coalesce(a.usename, '') AS role, a.application_name AS application,
  coalesce(host(a.client_addr), 'local') AS client
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = current_database() AND a.backend_type = 'client backend'
  AND a.pid <> pg_backend_pid() AND a.pid NOT IN (
    SELECT l.pid FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.granted
      AND (l.classid::bigint << 32) + l.objid::bigint = :key)
  AND a.application_name NOT LIKE 'citus_internal %'  -- one node of a Citus cluster at another
ORDER BY a.pid
""")
# Those that came in through a worker of a Citus cluster, under the process id that all nodes know.
SESSIONS_OF_WORKERS = sa.text("""
SELECT a.global_pid AS pid, coalesce(a.usename, '') AS role, a.application_name AS application,
  coalesce(host(a.client_addr), 'local') || ' on node ' || n.nodename || ':' || n.nodeport AS client
FROM citus_stat_activity a JOIN pg_dist_node n USING (nodeid)
WHERE n.groupid <> 0 AND NOT a.is_worker_query AND a.datname = current_database()
  AND a.backend_type = 'client backend' AND a.application_name NOT LIKE 'citus_internal %'
ORDER BY a.global_pid
""")
STATEMENTS_SCHEMA = sa.text("""
SELECT n.nspname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = extnamespace
WHERE extname = 'pg_stat_statements'
""")
SEES_ALL = sa.text("SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Another client's connection to this database."""

    pid: int
    role: str
    application: str | None  # None: of another role, and hidden from this one
    client: str

    @property
    def release(self) -> str | None:
        """The release in its name, if the application says it there."""
        found = RELEASE.search(self.application or "")
        return found[1] if found else None

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.role}, {self.application or 'no name'}, {self.client})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """How often one statement was called since the statistics began."""

    id: str
    sql: str
    calls: int


def sessions(connection: sa.Connection) -> tuple[Session, ...]:
    """Give the sessions of everybody but those who migrate."""
    rows = connection.execute(SESSIONS, {"key": KEY}).all()
    if is_citus(connection):
        rows = [*rows, *connection.execute(SESSIONS_OF_WORKERS)]
    return tuple(
        Session(pid=row.pid, role=row.role, application=row.application, client=row.client)
        for row in rows
    )


def calls(connection: sa.Connection) -> tuple[Calls, ...] | None:
    """Give the calls that pg_stat_statements has counted; None if it is not installed."""
    schema = connection.execute(STATEMENTS_SCHEMA).scalar_one_or_none()
    if schema is None:
        return None
    statements = sa.table(
        "pg_stat_statements",
        *map(sa.column, ("queryid", "userid", "query", "calls", "dbid")),
        schema=schema,
    )
    own = sa.text(
        "dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
    )
    columns = (statements.c.queryid, statements.c.userid, statements.c.query, statements.c.calls)
    try:
        with connection.begin_nested():
            rows = connection.execute(sa.select(*columns).where(own)).all()
    except sa.exc.DBAPIError:  # not in shared_preload_libraries
        return None
    return tuple(
        Calls(id=f"{row.queryid}/{row.userid}", sql=row.query or "", calls=row.calls)
        for row in rows
    )


def sees_all(connection: sa.Connection) -> bool:
    """Whether this role may see the names and statements of other roles."""
    return bool(connection.execute(SEES_ALL).scalar_one())


def written(connection: sa.Connection, counter: str) -> int:
    """Count the writes to an old name so far; `counter` is a sequence as SQL writes it."""
    there = connection.execute(sa.text("SELECT to_regclass(:name)"), {"name": counter}).scalar_one()
    if there is None:
        return 0
    found = connection.exec_driver_sql(
        f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {counter}"  # noqa: S608  # quoted where it was made
    )
    return int(found.scalar_one())
