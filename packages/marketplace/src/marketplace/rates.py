"""How often something may be asked: counted in this process, or in a store that all of them share."""

import math
import time

from limits.aio.storage import Storage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.storage import storage_from_string

from marketplace.problems import TooManyRequests
from marketplace.settings import Rate, RateSettings, rate


class Rates:
    """Counts by rule and by whom it is about."""

    def __init__(self, settings: RateSettings) -> None:
        storage = storage_from_string(f"async+{settings.storage.get_secret_value()}")
        assert isinstance(storage, Storage)  # noqa: S101  # async+ names only such
        self._limiter = MovingWindowRateLimiter(storage)

    async def count(self, rule: Rate, *about: str) -> None:
        """Raises `TooManyRequests` when this is one too many."""
        item = rate(rule)
        if await self._limiter.hit(item, *about):
            return
        window = await self._limiter.get_window_stats(item, *about)
        raise TooManyRequests(retry_after=max(1, math.ceil(window.reset_time - time.time())))
