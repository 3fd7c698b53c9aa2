"""Trouble of the database, told from mistakes of this service: which problem an error is answered with.

PostgreSQL, Appendix A, "PostgreSQL Error Codes". An error is known by its SQLSTATE, never by its text.
"""

import psycopg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionInTime
from sqlalchemy.orm.exc import StaleDataError

from holdfast.errors.pool import PoolExhausted
from holdfast.errors.sqlstate import sqlstate
from marketplace.problems import DatabaseUnreachable, Overloaded, Problem

# Classes and codes that end a connection or refuse one: connection exceptions, wrong password or role, no such
# database, a standby that cannot write, an operator or a crash that ends the server, a disk that cannot be read.
UNREACHABLE = ("08", "28", "3D000", "25006", "57P0", "58", "25P03", "25P04")
# The server answers, and has no room now: memory, disk, connections; a lock or a statement that took too
# long; the same race lost in every attempt.
OVERLOADED = ("53", "55P03", "55006", "57014", "40001", "40P01")
NO_CONNECTION = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)


def trouble_of(error: BaseException) -> Problem | None:
    """The problem that says what the database has; None for any other error."""
    if isinstance(error, PoolExhausted | StaleDataError):
        return Overloaded()
    if isinstance(error, NoConnectionInTime):
        return DatabaseUnreachable()
    if not isinstance(error, DBAPIError | psycopg.Error):
        return None
    state = sqlstate(error)
    if state is None:
        return DatabaseUnreachable() if isinstance(error, NO_CONNECTION) else None
    if state.startswith(UNREACHABLE):
        return DatabaseUnreachable()
    return Overloaded() if state.startswith(OVERLOADED) else None


def is_locked_out(error: BaseException) -> bool:
    """Whether somebody else held a lock for too long (55P03)."""
    return sqlstate(error) == "55P03"
