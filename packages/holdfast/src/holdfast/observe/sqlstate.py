"""The SQLSTATE of an error, whatever the driver. The manual: PostgreSQL Error Codes."""

from sqlalchemy.exc import DBAPIError

CHECK_VIOLATION = "23514"
DEADLOCK_DETECTED = "40P01"
DUPLICATE_TABLE = "42P07"
FEATURE_NOT_SUPPORTED = "0A000"
FOREIGN_KEY_VIOLATION = "23503"
INSUFFICIENT_PRIVILEGE = "42501"
LOCK_NOT_AVAILABLE = "55P03"
NOT_NULL_VIOLATION = "23502"
QUERY_CANCELED = "57014"
UNIQUE_VIOLATION = "23505"


def sqlstate(error: BaseException) -> str | None:
    """The five characters, or None for an error that did not come from the server."""
    original = error.orig if isinstance(error, DBAPIError) else error
    for name in ("sqlstate", "pgcode"):  # psycopg and asyncpg; psycopg2
        if state := getattr(original, name, None):
            return str(state)
    return None
