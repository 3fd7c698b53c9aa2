"""What a borrower can set on a connection of psycopg without telling the server; see `DriverState.of`."""

# ruff: noqa: SLF001  # psycopg shows these nowhere else

from dataclasses import dataclass
from typing import Any, Self

from psycopg.adapt import AdaptersMap

# psycopg works it out again from the isolation level when it begins a transaction.
WORKED_OUT = "_begin_statement"


@dataclass(frozen=True, slots=True)
class DriverState:
    """All attributes of a connection, its handlers and its adapters, to be compared by identity."""

    attributes: dict[str, Any]
    others: tuple[Any, ...]
    adapters: tuple[Any, ...]

    @classmethod
    def of(cls, connection: Any) -> Self:
        """The state of a connection, sync or async, as it is now."""
        attributes = vars(connection).copy()
        attributes.pop(WORKED_OUT, None)
        pgconn = connection.pgconn
        others = (
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
        # A copy shares its dictionaries until one of the two is changed: then that one gets another.
        of_psycopg = AdaptersMap(connection.adapters)
        adapters = (
            *of_psycopg._dumpers.values(),
            *of_psycopg._dumpers_by_oid,
            *of_psycopg._loaders,
            of_psycopg.types._registry,
        )
        attributes.pop("_adapters", None)
        return cls(attributes, others, adapters)

    def is_still(self, connection: Any) -> bool:
        """Whether nobody has set anything since."""
        now = DriverState.of(connection)
        return (
            self.attributes.keys() == now.attributes.keys()
            and all(value is now.attributes[name] for name, value in self.attributes.items())
            and self.others == now.others
            and all(a is b for a, b in zip(self.adapters, now.adapters, strict=True))
        )
