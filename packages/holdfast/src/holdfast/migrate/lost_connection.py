"""Recognises a lost connection, whatever error it shows as."""

from sqlalchemy.exc import DBAPIError

from holdfast.errors import HoldfastError
from holdfast.errors.connection import ConnectionLost
from holdfast.errors.sqlstate import sqlstate

ENDS_SESSION = ("57P", "08")  # classes of SQLSTATE
DRIVERS = ("psycopg", "psycopg2", "asyncpg")
WITHOUT_SQLSTATE = ("OperationalError", "InterfaceError", "ConnectionDoesNotExistError")


def lost_connection(error: BaseException, *, standing: str) -> ConnectionLost | None:
    """Give the error if a connection was lost anywhere in the chain of causes; None otherwise."""
    if isinstance(error, HoldfastError):
        return None
    from holdfast.rewrite.statement import shortened  # loads the parser

    below = causes(error)
    found = next((each for each in below if _is_lost(each)), None)
    if found is None:
        return None
    sent = next(
        (each.statement for each in below if isinstance(each, DBAPIError) and each.statement), None
    )
    said = str(found.orig if isinstance(found, DBAPIError) else found).strip().splitlines()
    return ConnectionLost(
        said=said[0] if said else type(found).__name__,
        statement=shortened(sent or "COMMIT or ROLLBACK"),
        standing=standing,
    )


def causes(error: BaseException) -> tuple[BaseException, ...]:
    """Give the error and its causes, first cause first; of SQLAlchemy's pairs only the wrapper."""
    found: list[BaseException] = []
    seen: set[int] = set()  # an error that is raised once more may stand below itself
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        found.insert(0, at)
        cause = at.__cause__ or at.__context__
        is_wrapper = isinstance(at, DBAPIError) and cause is at.orig
        at = cause.__context__ if is_wrapper and cause is not None else cause
    return tuple(found)


def _is_lost(error: BaseException) -> bool:
    """Whether a connection was lost, rather than never made: that is explained by what was tried."""
    if isinstance(error, DBAPIError):
        was_there = error.connection_invalidated or error.statement is not None
        return was_there and (error.connection_invalidated or _ends_session(error))
    return type(error).__module__.partition(".")[0] in DRIVERS and _ends_session(error)


def _ends_session(error: BaseException) -> bool:
    state = sqlstate(error)
    if state is not None:
        return state.startswith(ENDS_SESSION)
    original = error.orig if isinstance(error, DBAPIError) else error
    return type(original).__name__ in WITHOUT_SQLSTATE
