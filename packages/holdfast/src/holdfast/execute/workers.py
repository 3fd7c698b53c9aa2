"""Finds the reason when a worker of a Citus cluster fails: the error is XX000, a warning before it has the state.

Citus 14: a LOCK TABLE that was not free on a worker ends in "failure on connection marked as essential".
"""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import DBAPIError

from holdfast.errors.sqlstate import LOCK_NOT_AVAILABLE


@dataclass(kw_only=True)
class WorkerWarnings:
    """The states of the warnings since the last error, whichever driver it is."""

    driver: Any
    states: list[str] = field(default_factory=list)
    _error: BaseException | None = None
    _state: str | None = None

    @classmethod
    def of(cls, dbapi_connection: Any) -> "WorkerWarnings":
        """Listen on a connection from now on."""
        driver = getattr(dbapi_connection, "driver_connection", dbapi_connection)
        warnings = cls(driver=driver)
        if hasattr(driver, "add_notice_handler"):  # psycopg
            driver.add_notice_handler(warnings._of_psycopg)
        elif hasattr(driver, "add_log_listener"):  # asyncpg
            driver.add_log_listener(warnings._of_asyncpg)
        return warnings

    def state_behind(self, error: BaseException) -> str | None:
        """Give the state of the warning before this error, also if asked again; None if none came."""
        original = error.orig if isinstance(error, DBAPIError) else error
        if original is not self._error:
            self._error, self._state = original, self._last()
        return self._state

    def _last(self) -> str | None:
        found, self.states = self.states, []
        notices = getattr(
            self.driver, "notices", None
        )  # psycopg2 keeps their texts, without a state
        if notices:
            is_warned = any(str(each).startswith("WARNING") for each in notices)
            del notices[:]
            return LOCK_NOT_AVAILABLE if is_warned else None
        return found[-1] if found else None

    def _of_psycopg(self, diagnostic: Any) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            self.states.append(diagnostic.sqlstate)

    def _of_asyncpg(self, _connection: Any, message: Any) -> None:
        if message.severity_en == "WARNING":
            self.states.append(message.sqlstate)
