"""Reads that are asked for at the same time are done once, and none is older than whoever asked."""

import asyncio

import pytest

from marketplace.shared_reads import SharedReads


class Reads:
    """Numbered in the order in which they begin; each ends when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.may_end = asyncio.Semaphore(0)
        self.shared: SharedReads[int] = SharedReads()

    async def work(self) -> int:
        self.begun += 1
        number = self.begun
        await self.may_end.acquire()
        if number == 2:
            raise ValueError("the second")
        return number

    async def ask(self, key: str = "page") -> asyncio.Task[int]:
        """One more that asks, and all has happened that can happen without an end of a read."""
        task = asyncio.create_task(self.shared.read(key, self.work))
        for _ in range(5):
            await asyncio.sleep(0)
        return task


def test_who_comes_while_a_read_is_under_way_shares_the_next() -> None:
    """Never the one under way, which may have seen less than whoever comes now has written."""

    async def main() -> None:
        reads = Reads()
        first = await reads.ask()
        others = [await reads.ask() for _ in range(3)]
        another_page = await reads.ask("another page")
        assert reads.begun == 2  # one of each page
        reads.may_end.release()
        assert await first == 1
        reads.may_end.release()
        with pytest.raises(ValueError, match="second"):
            await another_page
        reads.may_end.release()
        assert [await each for each in others] == [3, 3, 3]

    asyncio.run(main())


def test_a_failure_and_a_cancelled_request_are_nobody_elses() -> None:
    """All that waited for a read that fails are told; one that goes takes nothing from those who wait with it."""

    async def main() -> None:
        reads = Reads()
        first = await reads.ask()
        second, third = await reads.ask(), await reads.ask()
        first.cancel()
        reads.may_end.release()
        await asyncio.sleep(0)
        reads.may_end.release()
        for each in (second, third):
            with pytest.raises(ValueError, match="second"):
                await each
        later = await reads.ask()
        reads.may_end.release()
        assert await later == 3

    asyncio.run(main())
