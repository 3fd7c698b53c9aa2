"""The text of a statement with its parameters in it: what the parser reads and the journal keeps.

Placeholders are the driver's (`%(x)s`, `$1`), so each driver fills in its own way. Nothing is sent.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from sqlalchemy import Connection

from holdfast.execute.dollar_parameters import with_values


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
    values = parameters or ()  # asyncpg
    return with_values(sql, list(values.values() if isinstance(values, Mapping) else values))
