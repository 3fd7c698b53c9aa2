"""Lends a driver's own connection from the pool: `async with pool.lend() as driver`."""

import asyncio
import weakref
from types import TracebackType
from typing import Any, Protocol

from psycopg.pq import TransactionStatus
from sqlalchemy.util.concurrency import greenlet_spawn

from holdfast.engine.pool.driver_state import DriverState
from holdfast.engine.pool.hang_up import hang_up
from holdfast.engine.pool.record import Record
from holdfast.engine.pool.session_state import KEPT, discard_all, session_settings
from holdfast.engine.pool.waiting import WaysToWait

STATE = "holdfast.driver_state"  # in SQLAlchemy's `info` of a connection


class Lender(Protocol):
    """What a pool must offer for this."""

    waiting: WaysToWait

    async def take(self) -> Record:
        """Take a connection from the pool; wait if none is free."""

    def give_back(self, record: Record, *, is_clean: bool) -> None:
        """Give the connection back: clean ones go to the next borrower, others are closed."""

    @property
    def patience(self) -> float:
        """How many seconds a server may take to reset a session."""


class Loan:
    """A context manager for one loan. Not a generator: an abandoned one would run its end at some other time."""

    __slots__ = ("_before", "_is_trusted", "_lender", "_record")

    def __init__(self, lender: Lender, *, is_trusted: bool) -> None:
        self._lender, self._is_trusted = lender, is_trusted

    async def __aenter__(self) -> Any:
        self._record = record = await self._lender.take()
        try:
            if not self._is_trusted and KEPT not in record.info:
                record.info[KEPT] = await greenlet_spawn(session_settings, record.dbapi_connection)
            self._before = _state(record, driver := record.driver_connection)
        except BaseException:
            self._lender.give_back(record, is_clean=False)
            raise
        return driver

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        record = self._record
        del self._record
        driver = record.driver_connection
        is_clean = (
            driver is not None
            and driver.pgconn.transaction_status == TransactionStatus.IDLE
            and self._before.is_still(driver)
        )
        if is_clean and not self._is_trusted:
            self._forget_session(record)
        else:
            self._lender.give_back(record, is_clean=is_clean)

    def _forget_session(self, record: Record) -> None:
        """Reset the session in the background: the borrower does not wait, the place stays taken meanwhile."""
        lender, place = self._lender, record.place
        place.used_since, place.holder = None, lender.waiting.signal()
        place.connection = weakref.ref(record)
        ends = asyncio.get_running_loop().call_later(
            lender.patience, hang_up, record.driver_connection
        )

        def forget() -> None:
            is_clean = False
            try:
                discard_all(record.dbapi_connection, kept=record.info[KEPT])
                is_clean = True
            finally:
                ends.cancel()
                lender.give_back(record, is_clean=is_clean)

        lender.waiting.in_background(forget)


def _state(record: Record, driver: Any) -> DriverState:
    """Give the connection's state when a loan begins: that of the last loan, unless somebody has set something."""
    state: DriverState | None = record.info.get(STATE)
    if state is None or not state.is_still(driver):
        state = record.info[STATE] = DriverState.of(driver)
    return state
