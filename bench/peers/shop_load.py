"""The load that every asynchronous peer is put under, with nothing but the standard library."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

Work = Callable[[], Awaitable[object]]

WARM_UP = 0.4


def read_world() -> dict[str, Any]:
    """What `bench/shop.py` says: the address, the keys of the rows, the product's SQL."""
    found: dict[str, Any] = json.loads(Path(os.environ["SHOP_WORLD"]).read_text())
    return found


async def rates(works: dict[str, Work]) -> dict[str, float]:
    """Operations a second of each; the arguments of the program are how many at once, and for how many seconds."""
    workers, seconds = int(sys.argv[1]), float(sys.argv[2])
    return {name: await _rate(work, workers, seconds) for name, work in works.items()}


async def _rate(work: Work, workers: int, seconds: float) -> float:
    done, is_over = 0, False

    async def worker() -> None:
        nonlocal done
        while not is_over:
            await work()
            done += 1

    running = [asyncio.create_task(worker()) for _ in range(workers)]
    await asyncio.sleep(WARM_UP)
    before, began = done, time.perf_counter()
    await asyncio.sleep(seconds)
    rate = (done - before) / (time.perf_counter() - began)
    is_over = True
    await asyncio.gather(*running)
    return rate
