"""Starts the database during the first requests, so that /readyz answers while migrations run."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from holdfast import AsyncDatabase

logger = logging.getLogger(__name__)

# A start that takes longer than this waits for migrations, its own or another's: seconds.
PATIENCE = 5.0


@asynccontextmanager
async def started(database: AsyncDatabase) -> AsyncIterator[None]:
    """Start the database in the block. Early errors are raised; a later one ends the process, to be restarted."""
    start = asyncio.create_task(database.start())
    done, _ = await asyncio.wait({start}, timeout=PATIENCE)
    if done:
        start.result()
    else:
        start.add_done_callback(_end_when_failed)
    try:
        yield
    finally:
        start.cancel()
        with suppress(asyncio.CancelledError, Exception):  # it was logged
            await start
        await database.stop()


def _end_when_failed(start: "asyncio.Task[None]") -> None:
    if start.cancelled() or start.exception() is None:
        return
    logger.critical("the database did not start: %s", start.exception())
    signal.raise_signal(signal.SIGTERM)
