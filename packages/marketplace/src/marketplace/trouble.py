"""Tells trouble of the database from mistakes of this service, and gives the problem to answer.

PostgreSQL, Appendix A, "PostgreSQL Error Codes". An error is known by its SQLSTATE, never by its text.
"""

import psycopg
from psycopg import errors
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionInTime
from sqlalchemy.orm.exc import StaleDataError

from holdfast.errors.pool import PoolExhausted
from holdfast.errors.sqlstate import LOCK_NOT_AVAILABLE, sqlstate
from marketplace.problems import DatabaseUnreachable, Overloaded, Problem


def _class_of(error: type[errors.Error]) -> str:
    """Give the first two characters of an SQLSTATE, which all errors of its class begin with."""
    assert error.sqlstate  # noqa: S101  # these have one
    return error.sqlstate[:2]


# The connection ends, or there is none: connection exceptions, wrong password or role, no such database, a standby
# that cannot write, an operator or a crash that ends the server, a disk that cannot be read.
UNREACHABLE_CLASSES = frozenset(
    map(
        _class_of,
        (errors.ConnectionException, errors.InvalidAuthorizationSpecification, errors.SystemError),
    )
)
UNREACHABLE = frozenset(
    each.sqlstate
    for each in (
        errors.InvalidCatalogName,
        errors.ReadOnlySqlTransaction,
        errors.AdminShutdown,
        errors.CrashShutdown,
        errors.CannotConnectNow,
        errors.DatabaseDropped,
        errors.IdleSessionTimeout,
        errors.IdleInTransactionSessionTimeout,
        errors.TransactionTimeout,
    )
)
# The server answers, and has no room now: memory, disk, connections; a lock or a statement that took too
# long; the same race lost in every attempt.
OVERLOADED_CLASSES = frozenset(map(_class_of, (errors.InsufficientResources,)))
OVERLOADED = frozenset(
    each.sqlstate
    for each in (
        errors.LockNotAvailable,
        errors.ObjectInUse,
        errors.QueryCanceled,
        errors.SerializationFailure,
        errors.DeadlockDetected,
    )
)
NO_CONNECTION = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)


def trouble_of(error: BaseException) -> Problem | None:
    """Give the problem for trouble of the database; None for any other error."""
    if isinstance(error, PoolExhausted | StaleDataError):
        return Overloaded()
    if isinstance(error, NoConnectionInTime):
        return DatabaseUnreachable()
    if not isinstance(error, DBAPIError | psycopg.Error):
        return None
    state = sqlstate(error)
    if state is None:
        return DatabaseUnreachable() if isinstance(error, NO_CONNECTION) else None
    if state[:2] in UNREACHABLE_CLASSES or state in UNREACHABLE:
        return DatabaseUnreachable()
    return Overloaded() if state[:2] in OVERLOADED_CLASSES or state in OVERLOADED else None


def is_locked_out(error: BaseException) -> bool:
    """Whether somebody else held a lock for too long."""
    return sqlstate(error) == LOCK_NOT_AVAILABLE
