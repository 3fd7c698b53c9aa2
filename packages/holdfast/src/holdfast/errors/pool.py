"""Why a connection was not to be had in time.

SQLAlchemy's TimeoutError as well, so that what handles an exhausted QueuePool handles these.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.exc import TimeoutError as SQLAlchemyTimeoutError

from holdfast.errors import HoldfastError


@dataclass(kw_only=True, eq=False)
class PoolExhausted(HoldfastError, SQLAlchemyTimeoutError):
    """All connections of the pool were in use for as long as a request waits."""

    pool: str
    timeout: timedelta
    maximum: int
    used: int
    connecting: int
    waiting: int
    longest_use: timedelta
    last_failure: str
    what = "No connection to {pool} became free within {timeout}."
    why = (
        "Of {maximum} connections {used} are in use and {connecting} are being opened; {waiting} requests "
        "wait. The longest use has lasted {longest_use}. {last_failure}"
    )
    remedy = (
        "Look for a request that keeps a connection while it waits for something else, or that takes a "
        "second one. If all are short: HOLDFAST_POOL_MAX, within max_connections of the server."
    )


@dataclass(kw_only=True, eq=False)
class ConnectionNotOpened(HoldfastError, SQLAlchemyTimeoutError):
    """The server, or the network, did not answer in time."""

    pool: str
    timeout: timedelta
    left: timedelta
    last_failure: str
    what = "A connection to {pool} could not be opened within {timeout}."
    why = "The server had {left} of it and did not finish the handshake. {last_failure}"
    remedy = (
        "Check the address and the way (firewall, DNS): psql with the same URL. A slow but reachable "
        "server: HOLDFAST_POOL_TIMEOUT."
    )
