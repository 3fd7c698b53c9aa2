"""Closes a pool's connections when the server reports that it shuts down or takes no more writes.

SQLSTATE, manual "PostgreSQL Error Codes": 57P01 admin_shutdown, 57P02 crash_shutdown, 57P03 cannot_connect_now, 25006
read_only_sql_transaction. The last does not end the connection: a pool would keep it for ever, and every
write would fail after a failover.
"""

from psycopg import errors
from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

from holdfast.engine.pool.liveness import says_read_only
from holdfast.errors.sqlstate import sqlstate

SHUT_DOWN = frozenset(
    {
        error.sqlstate
        for error in (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow)
    }
)
READ_ONLY = errors.ReadOnlySqlTransaction.sqlstate


def evict_when_server_leaves(engine: Engine) -> None:
    """Listen to an engine's errors; SQLAlchemy then invalidates the pool, which closes idle connections."""
    event.listen(engine, "handle_error", _mark_disconnect)


def _mark_disconnect(context: ExceptionContext) -> None:
    state = sqlstate(context.original_exception)
    if state in SHUT_DOWN or (state == READ_ONLY and _is_server_read_only(context)):
        context.is_disconnect = True


def _is_server_read_only(context: ExceptionContext) -> bool:
    """Whether the server itself is read only, not just a transaction that the application made so."""
    if context.connection is None or context.connection.invalidated:
        return False
    driver_connection = context.connection.connection.driver_connection
    return driver_connection is not None and says_read_only(driver_connection.pgconn)
