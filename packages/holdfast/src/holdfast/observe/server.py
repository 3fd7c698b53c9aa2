"""Reads what a server says of a connection, its role and the database, in one query.

The settings say what was asked for; this is what came of it. Reads only; any role may ask.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from sqlalchemy import Connection, text

from holdfast.engine.connection.reach import Reach
from holdfast.observe.pooler import announced_pid

# One row: everything that is visible from one connection.
SERVER = text(
    """
    WITH own AS (
      SELECT c.relowner, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%'
        AND n.nspname NOT IN ('information_schema', 'holdfast')
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                        AND d.objid = c.oid AND d.deptype = 'e'))
    SELECT
      current_database() AS database, quote_ident(current_user) AS role, pg_backend_pid() AS pid,
      current_setting('server_version_num')::int / 10000 AS major,
      to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL AS is_citus,
      coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS encrypted,
      (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS tls_version,
      inet_server_addr() IS NULL AS through_socket,
      r.rolsuper AS superuser,
      array_remove(ARRAY[CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
                         CASE WHEN r.rolcreatedb THEN 'CREATEDB' END,
                         CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END,
                         CASE WHEN r.rolreplication THEN 'REPLICATION' END], NULL) AS attributes,
      (SELECT count(*) FROM own WHERE relowner = r.oid) AS owned_tables,
      ARRAY(SELECT DISTINCT quote_ident(nspname) FROM own WHERE relowner = r.oid ORDER BY 1) AS owned_schemas,
      ARRAY(SELECT DISTINCT quote_ident(pg_get_userbyid(relowner)) FROM own
            WHERE NOT pg_has_role(relowner, 'USAGE')) AS other_owners,
      coalesce(quote_ident(current_schema()), '') AS schema,
      coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS creates_in_schema,
      -- Whether a run may keep its journal: in the schema that is there, or by making it.
      CASE WHEN to_regnamespace('holdfast') IS NULL THEN has_database_privilege(current_database(), 'CREATE')
           WHEN NOT has_schema_privilege('holdfast', 'USAGE') THEN false
           WHEN to_regclass('holdfast.leader') IS NULL THEN has_schema_privilege('holdfast', 'CREATE')
           ELSE has_table_privilege('holdfast.leader', 'UPDATE')
      END AS keeps_journal,
      has_database_privilege(current_database(), 'TEMP') AS creates_temporary,
      pg_is_in_recovery() AS in_recovery,
      current_setting('transaction_read_only')::boolean AS read_only,
      current_setting('max_connections')::int AS max_connections,
      current_setting('superuser_reserved_connections')::int
        + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved_connections,
      nullif(least(CASE WHEN r.rolconnlimit < 0 THEN 2147483647 ELSE r.rolconnlimit END,
                   CASE WHEN d.datconnlimit < 0 THEN 2147483647 ELSE d.datconnlimit END),
             2147483647) AS connection_limit,
      ARRAY(SELECT name FROM pg_settings
            WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout')
              AND reset_val = '0' ORDER BY name) AS unlimited,  -- not what a stranger has SET
      ARRAY(SELECT name || ' = ' || current_setting(name) FROM pg_settings
            WHERE name = 'statement_timeout'  -- those of a session are lifted for a run
              AND setting <> '0' AND source NOT IN ('default', 'client', 'session') ORDER BY name) AS set_limits,
      (SELECT count(*) FROM pg_stat_replication) AS standbys,
      (SELECT count(*) FROM pg_stat_replication WHERE state IS NULL) AS hidden_standbys,
      ARRAY(SELECT format('%s (%s)', slot_name, pg_size_pretty(held)) FROM (
              SELECT slot_name, pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                ELSE pg_current_wal_lsn() END, restart_lsn) AS held FROM pg_replication_slots
              WHERE wal_status <> 'lost') AS slot
            WHERE held > 1000000000 ORDER BY slot_name) AS slots_that_hold_wal,
      (SELECT setting::bigint FROM pg_settings WHERE name = 'idle_session_timeout')
        AS idle_session_timeout,
      (SELECT setting = 'all' OR setting = 'mod' FROM pg_settings WHERE name = 'log_statement')
        OR (SELECT setting::bigint >= 0 FROM pg_settings WHERE name = 'log_min_duration_statement')
        AS logs_statements,
      current_setting('log_parameter_max_length') <> '0' AS logs_parameters,
      current_setting('application_name') AS application_name,
      d.datcollversion AS collation_version,
      pg_database_collation_actual_version(d.oid) AS collation_version_of_system,
      ARRAY(SELECT name::text FROM pg_available_extensions
            WHERE installed_version <> default_version ORDER BY name) AS outdated_extensions
    FROM pg_roles r, pg_database d
    WHERE r.rolname = current_user AND d.datname = current_database()
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """What a server says of itself, the role and the database: one field for each question."""

    database: str
    role: str  # this and the names below as SQL has them: in double quotes where they need them
    pid: int
    major: int
    is_citus: bool
    encrypted: bool
    tls_version: str | None
    through_socket: bool  # from the server's side: behind a pooler its own way, not ours
    superuser: bool
    attributes: tuple[str, ...]  # CREATEROLE, CREATEDB, BYPASSRLS, REPLICATION
    owned_tables: int
    owned_schemas: tuple[str, ...]  # in which those are
    other_owners: tuple[str, ...]  # of tables, whose rights this role does not have
    schema: str  # where new tables go
    creates_in_schema: bool
    keeps_journal: bool  # it may write, or make, the tables of holdfast
    creates_temporary: bool
    in_recovery: bool
    read_only: bool
    max_connections: int
    reserved_connections: int
    connection_limit: int | None  # of the role or of the database, the smaller one
    unlimited: tuple[str, ...]  # timeouts that are 0 in this session
    set_limits: tuple[
        str, ...
    ]  # timeouts that the server, the database or the role sets: name = value
    standbys: int  # and subscribers: all that stream WAL
    hidden_standbys: int  # of these: the role does not see how far they are
    slots_that_hold_wal: tuple[str, ...]  # more than 1 GB of it
    idle_session_timeout: int  # milliseconds; 0: none
    logs_statements: bool
    logs_parameters: bool
    application_name: str
    collation_version: str | None
    collation_version_of_system: str | None
    outdated_extensions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A connection as both of its ends see it. What only psycopg tells is None with other drivers."""

    server: ServerFacts
    announced_pid: int | None  # what the other end said when we connected
    way: Reach  # to the other end, asked of the kernel
    encrypted_here: bool | None
    gave_password: bool | None  # False: the server did not ask for one
    tcp_user_timeout: int | None  # milliseconds, asked of the kernel; None: a socket, or not Linux
    libpq: Mapping[str, str]  # the parameters in force, without passwords; empty for other drivers

    @property
    def is_behind_pooler(self) -> bool:
        """Whether another process answers than the one that was announced."""
        return self.announced_pid not in (None, self.server.pid)


def look_at_connection(connection: Connection) -> Connected:
    """Ask the server in one round trip, and examine our own end of the connection."""
    driver = connection.connection.driver_connection
    row = connection.execute(SERVER).mappings().one()
    facts = {name: _plain(row[name]) for name in ServerFacts.__dataclass_fields__}
    server = ServerFacts(**facts)
    libpq = getattr(driver, "pgconn", None)
    if libpq is None:
        return Connected(
            server=server,
            announced_pid=announced_pid(driver),
            way=_way_of(driver, server),
            encrypted_here=None,
            gave_password=None,
            tcp_user_timeout=None,
            libpq={},
        )
    with socket.socket(fileno=os.dup(libpq.socket)) as ours:
        return Connected(
            server=server,
            announced_pid=announced_pid(driver),
            way=_way(ours),
            encrypted_here=bool(libpq.ssl_in_use),
            gave_password=bool(libpq.used_password),
            tcp_user_timeout=_tcp_user_timeout(ours),
            libpq={
                option.keyword.decode(): option.val.decode()
                for option in libpq.info
                if option.val is not None and b"password" not in option.keyword
            },
        )


def _plain(value: object) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _way_of(driver: Any, server: ServerFacts) -> Reach:
    """Describe the connection by the socket of psycopg2 or asyncpg; with other drivers by the server's view."""
    transport = getattr(driver, "_transport", None)
    ours = driver if hasattr(driver, "fileno") else transport and transport.get_extra_info("socket")
    if ours is None:
        return Reach.SOCKET if server.through_socket else Reach.NETWORK
    with socket.socket(fileno=os.dup(ours.fileno())) as copy:
        return _way(copy)


def _way(ours: socket.socket) -> Reach:
    if ours.family == socket.AF_UNIX:
        return Reach.SOCKET
    return Reach.LOOPBACK if ip_address(ours.getpeername()[0]).is_loopback else Reach.NETWORK


def _tcp_user_timeout(ours: socket.socket) -> int | None:
    if ours.family == socket.AF_UNIX or not hasattr(socket, "TCP_USER_TIMEOUT"):
        return None
    return ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
