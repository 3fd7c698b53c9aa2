"""Gives the SQLSTATE of an error, whatever the driver, and names those that are used (psycopg.errors)."""

from psycopg import errors
from sqlalchemy.exc import DBAPIError

CHECK_VIOLATION = errors.CheckViolation.sqlstate
DEADLOCK_DETECTED = errors.DeadlockDetected.sqlstate
DEPENDENT_OBJECTS_STILL_EXIST = errors.DependentObjectsStillExist.sqlstate
DUPLICATE_TABLE = errors.DuplicateTable.sqlstate
FEATURE_NOT_SUPPORTED = errors.FeatureNotSupported.sqlstate
FOREIGN_KEY_VIOLATION = errors.ForeignKeyViolation.sqlstate
IDLE_IN_TRANSACTION_SESSION_TIMEOUT = errors.IdleInTransactionSessionTimeout.sqlstate
IDLE_SESSION_TIMEOUT = "57P05"  # younger than some drivers, as is the one of a transaction
INSUFFICIENT_PRIVILEGE = errors.InsufficientPrivilege.sqlstate
INTERNAL_ERROR = errors.InternalError_.sqlstate
INVALID_SCHEMA_NAME = errors.InvalidSchemaName.sqlstate
LOCK_NOT_AVAILABLE = errors.LockNotAvailable.sqlstate
NOT_NULL_VIOLATION = errors.NotNullViolation.sqlstate
QUERY_CANCELED = errors.QueryCanceled.sqlstate
RAISE_EXCEPTION = errors.RaiseException.sqlstate
RESTRICT_VIOLATION = errors.RestrictViolation.sqlstate
SERIALIZATION_FAILURE = errors.SerializationFailure.sqlstate
TRANSACTION_TIMEOUT = "25P04"
UNIQUE_VIOLATION = errors.UniqueViolation.sqlstate


def sqlstate(error: BaseException) -> str | None:
    """Give the five characters; None for an error that did not come from the server."""
    original = error.orig if isinstance(error, DBAPIError) else error
    for name in ("sqlstate", "pgcode"):  # psycopg and asyncpg; psycopg2
        if state := getattr(original, name, None):
            return str(state)
    return None
