"""Repairs "cached plan must not change result type" (0A000), which applications get when columns or types change.

psycopg prepares a statement after five uses; when the table's columns change, PostgreSQL refuses the prepared one
before it begins (RevalidateCachedQuery in its source, which its errors name). Only that, as the first statement of a
transaction, is repeated: forget what is prepared, then once more. Most are never refused: see `changed_shapes`. See
psycopg's "Prepared statements".
"""

import re
from collections.abc import Callable
from typing import Any

from psycopg.pq import TransactionStatus
from sqlalchemy import Engine
from sqlalchemy.engine.interfaces import DBAPICursor, ExecutionContext
from sqlalchemy.pool import PoolProxiedConnection

from holdfast.errors.sqlstate import FEATURE_NOT_SUPPORTED, sqlstate

REFUSES_CHANGED_PLAN = "RevalidateCachedQuery"
# The statements that psycopg prepares by itself. Not EXECUTE: the application has prepared that statement.
IS_PREPARED = re.compile(
    r"(\s|\(|--[^\n]*\n|/\*.*?\*/)*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|VALUES|TABLE)\b",
    re.IGNORECASE | re.DOTALL,
)

Execute = Callable[..., None]


def heal_cached_plans(engine: Engine) -> None:
    """Heal cached plans on every connection of the engine, sync or async; only those of psycopg 3.

    Not by SQLAlchemy's event `do_execute`, of which only the first listener would be called: that is the application's.
    """
    dialect: Any = engine.dialect
    dialect.do_execute = _healing(dialect.do_execute)
    dialect.do_execute_no_params = _healing(dialect.do_execute_no_params)


def is_changed_plan(error: Exception, sql: str) -> bool:
    """Whether the server refused a statement that psycopg had prepared, before executing any of it."""
    diagnostic: Any = getattr(error, "diag", None)
    return (
        sqlstate(error) == FEATURE_NOT_SUPPORTED
        and diagnostic is not None
        and diagnostic.source_function == REFUSES_CHANGED_PLAN
        and diagnostic.context is None  # not one inside a function, which may have done something
        and IS_PREPARED.match(sql) is not None
    )


def _healing(execute: Execute) -> Execute:
    def execute_or_heal(cursor: DBAPICursor, sql: str, *rest: Any) -> None:
        context: ExecutionContext | None = rest[-1]
        if context is None or not _begins(pooled := context.root_connection.connection):
            return execute(cursor, sql, *rest)
        try:
            execute(cursor, sql, *rest)
        except Exception as error:
            if not is_changed_plan(error, sql):
                raise
            _forget_what_is_prepared(pooled)
            execute(cursor, sql, *rest)

    return execute_or_heal


def _begins(pooled: PoolProxiedConnection) -> bool:
    driver: Any = pooled.driver_connection
    return bool(driver.info.transaction_status == TransactionStatus.IDLE)


def _forget_what_is_prepared(pooled: PoolProxiedConnection) -> None:
    pooled.rollback()  # nothing was done in it but the statement that failed
    cursor = pooled.cursor()
    # psycopg then also forgets which statements it has prepared.
    cursor.execute("DEALLOCATE ALL")
    cursor.close()
