"""The SQLSTATE of an error, whatever the driver. The manual: PostgreSQL Error Codes."""

from sqlalchemy.exc import DBAPIError

INSUFFICIENT_PRIVILEGE = "42501"


def sqlstate(error: BaseException) -> str | None:
    """The five characters, or None for an error that did not come from the server."""
    original = error.orig if isinstance(error, DBAPIError) else error
    for name in ("sqlstate", "pgcode"):  # psycopg and asyncpg; psycopg2
        if state := getattr(original, name, None):
            return str(state)
    return None
