"""Does something in front of a statement that is about to be sent: ends its backend, say, as an administrator does."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends import terminate
from contract import run
from sqlalchemy import Connection, Engine, event


@dataclass(kw_only=True)
class MetStatement:
    """Which statement it was; None as long as it has not come."""

    does: Callable[[int], None]  # with the process id of the backend
    pattern: str
    number: int  # so many statements that match
    at: str | None = None

    def __call__(self, connection: Connection, cursor: Any, sql: str, *_: Any) -> None:
        """In front of a statement of any connection of SQLAlchemy's."""
        if self.at is not None or not re.search(self.pattern, sql):
            return
        self.number -= 1
        if self.number:
            return
        self.at = " ".join(sql.split())
        # Where it can be, not by SQLAlchemy: who asks that for the driver's own connection is taken for the author.
        driver: Any = getattr(cursor, "connection", None) or connection.connection.driver_connection
        is_asyncpg = hasattr(driver, "get_server_pid")
        self.does(driver.get_server_pid() if is_asyncpg else driver.info.backend_pid)


@contextmanager
def meeting(
    pattern: str, does: Callable[[int], None], *, number: int = 1
) -> Iterator[MetStatement]:
    """For the block: call `does` in front of the statement of this number among those that match."""
    met = MetStatement(does=does, pattern=pattern, number=number)
    event.listen(Engine, "before_cursor_execute", met)
    try:
        yield met
    finally:
        event.remove(Engine, "before_cursor_execute", met)


@dataclass(frozen=True, slots=True, kw_only=True)
class KilledAt:
    """What a process does that is killed (SIGKILL) in front of a statement."""

    pattern: str
    number: int

    def __call__(self, place: Path) -> None:
        """In a process of its own."""
        with meeting(
            self.pattern, lambda _: os.kill(os.getpid(), signal.SIGKILL), number=self.number
        ):
            run(place)


@contextmanager
def ended_at(url: str, pattern: str = "", *, number: int = 1) -> Iterator[MetStatement]:
    """For the block: the backend is ended that is about to be sent the statement of this number among those."""
    with meeting(pattern, lambda pid: terminate(url, pid), number=number) as met:
        yield met
