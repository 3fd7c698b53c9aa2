"""Ends a backend in front of a statement that it is about to be sent, as an administrator or a failover does."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, event

END = "SELECT pg_terminate_backend(%s, 10000)"


@dataclass(kw_only=True)
class EndedBackend:
    """Which statement it was; None as long as it has not come."""

    url: str
    pattern: str = ""
    number: int = 1  # so many statements that match
    at: str | None = None

    def __call__(self, connection: Connection, cursor: Any, sql: str, *_: Any) -> None:
        """In front of a statement of any connection of SQLAlchemy's."""
        if self.at is not None or not re.search(self.pattern, sql):
            return
        self.number -= 1
        if self.number:
            return
        self.at = " ".join(sql.split())
        driver: Any = connection.connection.driver_connection
        is_asyncpg = hasattr(driver, "get_server_pid")
        pid = driver.get_server_pid() if is_asyncpg else driver.info.backend_pid
        with psycopg.connect(self.url, autocommit=True) as administrator:
            administrator.execute(END, [pid])


@contextmanager
def ended_at(url: str, pattern: str = "", *, number: int = 1) -> Iterator[EndedBackend]:
    """For the block: the backend is ended that is about to be sent the statement of this number among those."""
    ended = EndedBackend(url=url, pattern=pattern, number=number)
    event.listen(Engine, "before_cursor_execute", ended)
    try:
        yield ended
    finally:
        event.remove(Engine, "before_cursor_execute", ended)
