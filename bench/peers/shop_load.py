"""What the peers in Python share: the rows, and the load that the asynchronous ones are put under.

Nothing but the standard library, since each runs in an environment of its own.
"""

import asyncio
import hashlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

Work = Callable[[], Awaitable[object]]

# Of a line of an order, what the statement that takes the stock gives.
COLUMNS = (
    "variant_id",
    "vendor_id",
    "vendor_name",
    "product_name",
    "variant_name",
    "sku",
    "unit_price",
    "quantity",
)


def read_world() -> dict[str, Any]:
    """What `bench/shop.py` says: the address, the keys of the rows, the product's SQL."""
    found: dict[str, Any] = json.loads(Path(os.environ["SHOP_WORLD"]).read_text())
    return found


def keys(kind: str) -> list[UUID]:
    return [UUID(key) for key in read_world()[kind]]


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def rates(works: dict[str, Work]) -> dict[str, float]:
    """Operations a second of each; the arguments of the program are how many at once, and for how many seconds."""
    workers, seconds = int(sys.argv[1]), float(sys.argv[2])
    warm_up = read_world()["warm_up"]
    return {name: await _rate(work, workers, warm_up, seconds) for name, work in works.items()}


async def _rate(work: Work, workers: int, warm_up: float, seconds: float) -> float:
    done, is_over = 0, False

    async def worker() -> None:
        nonlocal done
        while not is_over:
            await work()
            done += 1

    running = [asyncio.create_task(worker()) for _ in range(workers)]
    await asyncio.sleep(warm_up)
    before, began = done, time.perf_counter()
    await asyncio.sleep(seconds)
    rate = (done - before) / (time.perf_counter() - began)
    is_over = True
    await asyncio.gather(*running)
    return rate
