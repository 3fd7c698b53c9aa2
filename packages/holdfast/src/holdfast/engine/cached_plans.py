"""Heals "cached plan must not change result type" (0A000), which a change of columns or types brings to an application.

psycopg prepares a statement after five uses; when the table's columns change, PostgreSQL refuses the prepared one. The
first statement of a transaction can be repeated without harm: forget what is prepared, then once more.
See psycopg's "Prepared statements".
"""

from typing import Any

from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPICursor, ExecutionContext

from holdfast.errors.sqlstate import FEATURE_NOT_SUPPORTED, sqlstate


def heal_cached_plans(engine: Engine) -> None:
    """Repeat a statement that a stale plan made fail, on every connection of the engine. psycopg 3 only."""
    event.listen(engine, "do_execute", _execute)


def _execute(
    cursor: DBAPICursor, sql: str, parameters: Any, context: ExecutionContext
) -> bool | None:
    """Answer SQLAlchemy's do_execute: True says that the statement has been executed here."""
    pooled = context.root_connection.connection
    driver: Any = pooled.driver_connection
    begins = driver.info.transaction_status == TransactionStatus.IDLE
    try:
        cursor.execute(sql, parameters)
    except Exception as error:
        if not begins or sqlstate(error) != FEATURE_NOT_SUPPORTED:
            raise
        pooled.rollback()  # nothing was done in it but the statement that failed
        # In psycopg this also empties its own memory of what it has prepared.
        cursor.execute("DEALLOCATE ALL")
        cursor.execute(sql, parameters)
    return True
