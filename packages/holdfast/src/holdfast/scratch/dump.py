"""Dumps the schema of a database as text, for comparing two of them.

From `pg_dump --schema-only`, without what differs between two equal schemas: headings, session
settings, the random key of `\\restrict`, owners. The schema `holdfast` (our own records) is left out.
"""

import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from holdfast.errors.scratch import SchemaNotDumped
from holdfast.scratch.server import binary
from holdfast.scratch.tls_relay import tls_relay

# pg_dump reads every server up to its own major version.
NEWEST = 18
# Options that leave out what belongs to a server and its users, not to the schema.
ONLY_THE_SCHEMA = (
    "--no-privileges",
    "--no-publications",
    "--no-subscriptions",
    "--no-security-labels",
    "--no-tablespaces",
    "--exclude-extension=citus*",  # of a cluster, which one server is not
)
# Whole shapes that pg_dump writes, so that no line of a function's body is taken for one.
NOISE = re.compile(
    r"^(--\n-- (Name|PostgreSQL database dump).*\n--"
    r"|-- Dumped (from|by) .*"
    r"|\\(un)?restrict \w+"
    r"|SET (\w+_timeout|client_encoding|standard_conforming_strings|check_function_bodies|xmloption"
    r"|client_min_messages|row_security|default_tablespace|default_table_access_method) = .*;"
    r"|SELECT pg_catalog\.set_config\('search_path', '', false\);)\n",
    re.MULTILINE,
)


def schema_dump(url: str) -> str:
    """Give the statements that make the schema, with blank lines between them; nothing for an empty one."""
    return _dumped(conninfo_to_dict(url), ())


def schema_to_copy(url: str) -> str:
    """Give the statements that make the schema on another server; read over TLS if the connection has it."""
    with psycopg.connect(url) as connection:
        parameters = {
            **{name: str(value) for name, value in conninfo_to_dict(url).items()},
            "host": connection.info.host,  # the one of several that answers
            "port": str(connection.info.port),
        }
        is_tls = connection.pgconn.ssl_in_use
    with tls_relay(parameters) if is_tls else nullcontext(parameters) as target:
        return _dumped(target, ONLY_THE_SCHEMA)


def _dumped(parameters: Mapping[str, Any], options: tuple[str, ...]) -> str:
    target = dict(parameters)
    password = {"PGPASSWORD": str(target.pop("password"))} if "password" in target else {}
    dump = subprocess.run(
        [
            binary("pg_dump", major=NEWEST),
            "--schema-only",
            "--no-owner",
            "--exclude-schema=holdfast",
            *options,
            make_conninfo("", **target),
        ],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **password},
    )
    if dump.returncode:
        raise SchemaNotDumped(database=str(target.get("dbname")), said=dump.stderr.strip())
    return re.sub(r"\n{3,}", "\n\n", NOISE.sub("", dump.stdout)).strip()
