"""Kinds of live traffic. 85 of 100 requests read, in A6 70, in A7 half of them on a standby; holders are transactions
that stay open.

A holder keeps one row lock in each of the four tables for 5 s, on rows that no request touches, then rests.
"""

from dataclasses import dataclass
from datetime import timedelta

READS = {"read_order": 40, "read_orders_of_user": 15, "read_product": 20, "read_user": 10}
FEWER_READS = {"read_order": 33, "read_orders_of_user": 12, "read_product": 17, "read_user": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What goes on while the tool works."""

    name: str
    title: str
    order: str  # the request that places an order
    holders: int
    rest: tuple[timedelta, timedelta]
    # Another change set: `types.sql` or `partitions.sql` prepares it, `alembic_NAME` has it.
    changes: str = ""
    writes_more: bool = False  # 30 of 100 requests
    has_standby: bool = False  # which takes half of the reads, and has a report of 20 s every 30 s

    @property
    def requests(self) -> dict[str, int]:
        """Files of `requests/`, and of 100 requests how many are of that kind; those that write come last."""
        if self.has_standby:
            return {
                **{name: part // 2 for name, part in READS.items()},
                self.order: 10,
                "ship_order": 5,
            }
        if self.writes_more:
            return {**FEWER_READS, self.order: 20, "ship_order": 10}
        return {**READS, self.order: 10, "ship_order": 5}

    def is_write(self, script: int) -> bool:
        """Whether the requests of the file at this place write."""
        return script >= len(READS)


def seconds(start: int, end: int) -> tuple[timedelta, timedelta]:
    return timedelta(seconds=start), timedelta(seconds=end)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            name="A1",
            title="each statement commits by itself; one holder, 5 s on, 1 to 5 s off",
            order="place_order_statements",
            holders=1,
            rest=seconds(1, 5),
        ),
        Scenario(
            name="A2",
            title="an order is a transaction over two tables; two holders, 5 s on, 3 to 15 s off",
            order="place_order_transaction",
            holders=2,
            rest=seconds(3, 15),
        ),
        Scenario(
            name="A3",
            title="as A2, with hostile holders: two, 5 s on, 1 to 5 s off",
            order="place_order_transaction",
            holders=2,
            rest=seconds(1, 5),
        ),
        Scenario(
            name="A4",
            title="as A2; a total and the key of the users, with three foreign keys, become bigint",
            order="place_order_transaction",
            holders=2,
            rest=seconds(3, 15),
            changes="types",
        ),
        Scenario(
            name="A5",
            title="as A2; orders in 64 partitions get an index, a unique, a foreign key, NOT NULL and a partition",
            order="place_order_transaction",
            holders=2,
            rest=seconds(3, 15),
            changes="partitions",
        ),
        Scenario(
            name="A6",
            title="as A2, and twice as many requests write: 30 of 100",
            order="place_order_transaction",
            holders=2,
            rest=seconds(3, 15),
            writes_more=True,
        ),
        Scenario(
            name="A7",
            title="as A1; a standby takes half of the reads, and has a report of 20 s every 30 s",
            order="place_order_statements",
            holders=1,
            rest=seconds(1, 5),
            has_standby=True,
        ),
    )
}
