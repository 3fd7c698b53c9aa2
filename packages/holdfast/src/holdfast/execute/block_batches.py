"""Writes all rows of a table in batches of disk blocks, which need no key; sized by time.

A block counts as done only in the file that was read: VACUUM FULL and CLUSTER move rows into blocks that are done
already, and then it begins again. Blocks with a row that somebody holds are left for the end: what is written twice
changes nothing, and a session that holds a row for seconds holds up nobody but its own blocks.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from time import monotonic

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from holdfast.errors.sqlstate import sqlstate
from holdfast.execute.backfill_pace import ROW_LOCK, Pace, next_size
from holdfast.execute.lock_patience import LockPatience, LockTimeouts, set_local
from holdfast.execute.session import MigrationSession
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.steps import CopyRowsStep, FillRowsStep

Reached = tuple[str, ...]  # the file, and the first block that is not done
Blocks = tuple[int, int]  # the first, and the first behind them

FIRST_SIZE = 16  # blocks
SMALLEST, LARGEST = 1, 4_096
# Classes of SQLSTATEs that say nothing of a value: connection, transaction, resources, locks, what an operator does.
OF_THE_SERVER = ("08", "25", "40", "53", "55", "57", "58", "XX")
SET_LOCAL = text("SELECT set_config(:name, :setting, true)")
# One row: the file that the rows are in, and how many blocks it has.
FILE = text(
    """
    SELECT coalesce(pg_relation_filenode(CAST(:table AS regclass)), 0)::text AS file,
           (pg_relation_size(CAST(:table AS regclass))
            / current_setting('block_size')::bigint)::bigint AS blocks
    """
)


@dataclass(kw_only=True)
class BlockBatches:
    """The batches of one step, in this run."""

    session: MigrationSession
    patience: LockPatience
    pace: Pace
    step: CopyRowsStep | FillRowsStep
    size: int = FIRST_SIZE
    _statement: str = field(default="", init=False)  # in the place of that of the step
    _end: tuple[str, int] | None = field(default=None, init=False)  # the file, and its end at first
    _next: int | None = field(default=None, init=False)  # the first block that was not tried yet
    _left: list[Blocks] = field(default_factory=list, init=False)  # behind a row that was held

    def write(
        self, reached: Reached | None, *, record: Callable[[Reached], None]
    ) -> Reached | None:
        """Write the next batch and commit it, or leave it for the end; give None if there is none."""
        try:
            return self._next_batch(reached, record=record)
        except DBAPIError as error:
            other = self.step.where_it_fails if isinstance(self.step, CopyRowsStep) else ""
            if other in ("", self._statement) or not _is_of_a_value(error):
                raise
            self._statement = other
            return self._next_batch(reached, record=record)

    def _next_batch(
        self, reached: Reached | None, *, record: Callable[[Reached], None]
    ) -> Reached | None:
        self.pace.wait_for_others()
        self.pace.vacuum()
        file, end = self._end = self._end or self._file()
        if self._next is None:
            self._next = int(reached[1]) if reached is not None and reached[0] == file else 0
        if self._next >= end and not self._left:
            self._end, self._next = self._file(), None
            return None if self._end[0] == file else (self._end[0], "0")
        write = partial(self._write, file, record=record)
        first = self._next
        done = (
            self._or_leave((first, min(first + self.size, end)), write)
            if first < end
            else self._what_was_left(first, write)
        )
        self.pace.tell()
        return file, str(done)

    def _or_leave(self, blocks: Blocks, write: Callable[..., int]) -> int:
        """Write the blocks, or leave them for later if somebody holds one of their rows."""
        _, behind = blocks
        done = self.patience.once(lambda _: write(blocks, left=self._left, then=behind))
        if done is None:
            self._left, self._next = [*self._left, blocks], behind
            return self._left[0][0]
        return done

    def _what_was_left(self, end: int, write: Callable[..., int]) -> int:
        """Write the first blocks that were left, half as many each time somebody holds a row of them."""
        (first, behind), *others = self._left
        size = behind - first

        def unit(_: LockTimeouts) -> int:
            nonlocal size
            until, size = first + size, max(SMALLEST, size // 2)
            left = others if until >= behind else [(until, behind), *others]
            return write((first, until), left=left, then=end)

        return self.patience.run(
            unit,
            what=self.step.describe(),
            locks=lambda: self.step.locks,
            rows_of=self.step.table,
        )

    def _write(
        self,
        file: str,
        blocks: Blocks,
        *,
        left: list[Blocks],
        then: int,
        record: Callable[[Reached], None],
    ) -> int:
        """Write the blocks and commit them together with the first block that is not done then; give that block."""
        first, behind = blocks
        set_local(self.session, "lock_timeout", ROW_LOCK)
        self.session.begin_batch()
        for name, setting in self.step.settings:
            self.session.execute(SET_LOCAL, {"name": name, "setting": setting})
        done = left[0][0] if left else then
        record((file, str(done)))
        since = monotonic()  # only from here on are rows held
        written = self.session.execute_sql(
            f"{self._statement or self.step.sql} AND ctid >= '({first},0)' AND ctid < '({behind},0)'"
        ).rowcount
        self.session.commit()
        took = timedelta(seconds=monotonic() - since)
        self.size = next_size(behind - first, took=took, smallest=SMALLEST, largest=LARGEST)
        self._left, self._next = left, then
        self.pace.count(written)
        return done

    def _file(self) -> tuple[str, int]:
        def unit(_: LockTimeouts) -> tuple[str, int]:
            set_local(self.session, "lock_timeout", ROW_LOCK)
            row = self.session.execute(FILE, {"table": str(self.step.table)}).one()
            self.session.commit()
            return row.file, row.blocks

        return self.patience.run(
            unit, what=f"the size of {self.step.table}", locks=lambda: (self._its_lock,)
        )

    @property
    def _its_lock(self) -> Lock:
        return Lock(mode=LockMode.ACCESS_SHARE, relation=self.step.table)


def _is_of_a_value(error: DBAPIError) -> bool:
    """Whether an error may be caused by a row's value."""
    state = sqlstate(error)
    return state is not None and state[:2] not in OF_THE_SERVER
