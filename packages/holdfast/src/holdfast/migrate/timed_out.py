"""Explains an error caused by a timeout of the server: which setting, its value, who has set it, how to lift it.

The server says who has set it in pg_settings.source. The manual: Client Connection Defaults, Statement Behavior.
"""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from holdfast.errors import HoldfastError
from holdfast.errors.connection import EndedByTimeout
from holdfast.errors.sqlstate import (
    IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
    IDLE_SESSION_TIMEOUT,
    QUERY_CANCELED,
    TRANSACTION_TIMEOUT,
    sqlstate,
)
from holdfast.execute.session import session_as_made
from holdfast.execute.watcher import StatementsOfThread
from holdfast.migrate.lost_connection import causes

log = logging.getLogger(__name__)

ENDS_SESSION = {
    IDLE_IN_TRANSACTION_SESSION_TIMEOUT: "idle_in_transaction_session_timeout",
    IDLE_SESSION_TIMEOUT: "idle_session_timeout",
    TRANSACTION_TIMEOUT: "transaction_timeout",
}
# One row: the setting as a new session has it, and the names that a statement needs to change it.
SETTING = text(
    """
    SELECT current_setting(name) AS value, setting::bigint AS milliseconds, source,
           quote_ident(session_user) AS role, quote_ident(current_database()) AS database
    FROM pg_settings WHERE name = :name
    """
)
OF_THE_SERVER = "for the whole server (postgresql.conf, its command line or environment)"
SET_BY = {
    "user": "for the role {role} (ALTER ROLE)",
    "database": "for the database {database} (ALTER DATABASE)",
    "database user": "for the role {role} in the database {database} (ALTER ROLE ... IN DATABASE)",
    "global": "for all roles (ALTER ROLE ALL)",
    "client": "by the connection itself: the URL or connect_args of env.py, or PGOPTIONS",
}
BY_PROJECT = "by the project: env.py or the revision sets it, once it is connected"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setting:
    """A timeout as a new session of the project has it."""

    name: str
    value: str
    milliseconds: int
    source: str
    role: str
    database: str

    @property
    def set_by(self) -> str:
        """Who has set it, in words."""
        if not self.source:
            return "by whom could not be asked: a new connection was not to be had"
        if not self.is_of_server:
            return BY_PROJECT
        words = SET_BY.get(self.source, OF_THE_SERVER)
        return words.format(role=self.role, database=self.database)

    @property
    def is_of_server(self) -> bool:
        """Whether a new session has it before the project sets anything."""
        return self.milliseconds > 0 and self.source != "session"

    @property
    def way_out(self) -> str:
        """What lifts it for the migrating role and keeps it for everybody else."""
        if not self.source:
            return (
                f"See who has set it, in the row of {self.name} in pg_settings (setting, source)."
            )
        if not self.is_of_server:
            return f"Let the project set it higher there, or not at all (SET {self.name} = 0)."
        if self.source == "client":
            return f"Take {self.name} out of the address that env.py connects with, or set it to 0 there."
        where = f" IN DATABASE {self.database}" if self.source == "database user" else ""
        return (
            f"Lift it for the role that migrates: ALTER ROLE {self.role}{where} SET {self.name} = 0;"
            f" or in env.py, for this session: SET {self.name} = 0."
        )


def timed_out(
    error: BaseException, *, beside: Connection | None, took: timedelta, standing: str
) -> EndedByTimeout | None:
    """Give the error if a timeout of the server is behind another one; None otherwise.

    `beside` is a connection, which may be gone by now, beside whose like the setting is asked for; `took` is how long
    the statement had been under way: the server has one SQLSTATE for every reason to cancel a statement.
    """
    if isinstance(error, HoldfastError):
        return None
    found = next((each for each in causes(error) if _name_of(each) is not None), None)
    name = None if found is None else _name_of(found)
    if found is None or name is None:
        return None
    setting = None if beside is None else _ask(beside, name)
    if sqlstate(found) == QUERY_CANCELED and not (setting and _is_behind(setting, took)):
        return None
    if setting is None:  # the state alone says which it is
        setting = _unknown(name)
    from holdfast.rewrite.statement import shortened  # loads the parser

    sent = found.statement if isinstance(found, DBAPIError) else None
    notes = getattr(error, "__notes__", None)
    return EndedByTimeout(
        setting=name,
        value=setting.value if setting.is_of_server else "what the project has set",
        source=setting.set_by,
        ended="the statement" if sqlstate(found) == QUERY_CANCELED else "the session",
        statement=shortened(sent or "COMMIT or ROLLBACK"),
        standing=notes[0] if notes else standing,
        way_out=setting.way_out,
    )


@contextmanager
def naming_timeouts(
    connections: Sequence[Connection], statements: StatementsOfThread, *, standing: str
) -> Iterator[None]:
    """Raise, in the block, what `timed_out` finds; it asks beside the last of the connections."""
    try:
        yield
    except Exception as error:
        beside, took = connections[-1] if connections else None, statements.failed_after
        ended = timed_out(error, beside=beside, took=took, standing=standing)
        if ended is None:
            raise
        raise ended from error


def _unknown(name: str) -> _Setting:
    return _Setting(name=name, value="unknown", milliseconds=1, source="", role="", database="")


def _name_of(error: BaseException) -> str | None:
    state = sqlstate(error)
    return "statement_timeout" if state == QUERY_CANCELED else ENDS_SESSION.get(state or "")


def _is_behind(setting: _Setting, took: timedelta) -> bool:
    """Whether a statement ran for as long as the timeout allows, so nobody else has cancelled it."""
    return setting.milliseconds > 0 and took >= timedelta(milliseconds=setting.milliseconds)


def _ask(beside: Connection, name: str) -> _Setting | None:
    """Ask on a new connection, in a thread without an event loop; None if it cannot be asked."""
    found: list[_Setting] = []

    def look() -> None:
        with session_as_made(beside) as connection:
            row = connection.execute(SETTING, {"name": name}).mappings().one()
            found.append(_Setting(name=name, **row))

    def run() -> None:
        try:
            if beside.dialect.is_async:
                asyncio.run(_in_greenlet(look))
            else:
                look()
        except Exception:  # of a driver, whatever it is: the error on its way is told without it
            log.debug("the setting %s could not be asked for", name, exc_info=True)

    # In this context: on a scratch server, connections are led there.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,))
    thread.start()
    thread.join()
    return found[0] if found else None


async def _in_greenlet(look: Callable[[], None]) -> None:
    from sqlalchemy.util.concurrency import greenlet_spawn

    await greenlet_spawn(look)
