"""The text of a statement with its parameters in it: what the parser reads and the journal keeps.

Placeholders are the driver's (`%(x)s`, `$1`), so each driver fills in its own way. Nothing is sent.
"""

from collections.abc import Mapping
from typing import Any

import postgast
import psycopg
from postgast import pg_query_pb2 as pb
from psycopg import sql as psycopg_sql
from sqlalchemy import Connection


def rendered(connection: Connection, cursor: Any, sql: str, parameters: Any) -> str:
    """One execution as text. `parameters` is None where SQLAlchemy hands none to the driver."""
    driver = connection.connection.driver_connection
    if isinstance(driver, psycopg.Connection):
        return sql if parameters is None else psycopg.ClientCursor(driver).mogrify(sql, parameters)
    if isinstance(driver, psycopg.AsyncConnection):
        if parameters is None:
            return sql
        return psycopg.AsyncClientCursor(driver).mogrify(sql, parameters)
    if hasattr(cursor, "mogrify"):  # psycopg2
        if parameters is None:
            return sql
        text: bytes = cursor.mogrify(sql, parameters)
        return text.decode()
    return _numbered(sql, parameters or ())  # asyncpg


def _numbered(sql: str, parameters: Any) -> str:
    values = list(parameters.values() if isinstance(parameters, Mapping) else parameters)
    text = sql.encode()
    for token in reversed(postgast.scan(sql).tokens if values else []):
        if token.token == pb.PARAM:
            number = int(text[token.start + 1 : token.end])
            literal = psycopg_sql.Literal(values[number - 1]).as_string(None)
            text = text[: token.start] + literal.encode() + text[token.end :]
    return text.decode()
