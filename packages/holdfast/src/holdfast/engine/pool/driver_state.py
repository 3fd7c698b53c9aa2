"""What a borrower can set on a psycopg connection without telling the server; see `DriverState.of`."""

# ruff: noqa: SLF001  # psycopg shows these nowhere else

from collections.abc import Callable
from dataclasses import dataclass
from operator import is_, itemgetter
from typing import Any, Self

from psycopg.adapt import AdaptersMap

# Attributes compared separately, or computed by psycopg from the isolation level at the start of a transaction.
ADAPTERS, WORKED_OUT = "_adapters", "_begin_statement"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverState:
    """All attributes of a connection, its handlers and its adapters, to be compared by identity.

    To be looked at for every loan, so the comparisons are the ones that Python makes fastest.
    """

    read: Callable[[Any], tuple[Any, ...]]  # the values of the attributes, from all attributes
    values: tuple[Any, ...]
    size: int  # of all attributes
    others: tuple[Any, ...]
    adapters: tuple[Any, ...]

    @classmethod
    def of(cls, connection: Any) -> Self:
        """Give the state of a connection, sync or async, as it is now."""
        # A copy shares its dictionaries until one of the two is changed: then that one gets another.
        AdaptersMap(connection.adapters)
        attributes = vars(connection)
        read = itemgetter(*(attributes.keys() - {ADAPTERS, WORKED_OUT}))
        return cls(
            read=read,
            values=read(attributes),
            size=len(attributes),
            others=_others(connection),
            adapters=_adapters(connection),
        )

    def is_still(self, connection: Any) -> bool:
        """Whether the connection still has this state: nobody has set anything since."""
        attributes = vars(connection)
        if len(attributes) != self.size:
            return False
        try:
            values = self.read(attributes)
        except KeyError:
            return False
        return (
            all(map(is_, self.values, values))
            and self.others == _others(connection)
            and all(map(is_, self.adapters, _adapters(connection)))
        )


def _others(connection: Any) -> tuple[Any, ...]:
    pgconn = connection.pgconn
    return (
        type(connection),
        tuple(connection._notice_handlers),
        tuple(connection._notify_handlers),
        len(connection._notifies_backlog or ()),  # notifications that nobody has read
        connection.prepare_threshold,
        connection.prepared_max,
        pgconn.notice_handler,
        pgconn.notify_handler,
        pgconn.nonblocking,
    )


def _adapters(connection: Any) -> tuple[Any, ...]:
    adapters = connection.adapters
    return (
        *adapters._dumpers.values(),
        *adapters._dumpers_by_oid,
        *adapters._loaders,
        adapters.types._registry,
    )
