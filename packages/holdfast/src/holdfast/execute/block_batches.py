"""Writes all rows of a table in batches of blocks, which need no key: sized by time, as the batches along a key are.

A block counts as done only in the file that was read: VACUUM FULL and CLUSTER move rows into blocks that are done
already, and then it begins again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

from sqlalchemy import text

from holdfast.execute.backfill_pace import ROW_LOCK, Pace, next_size
from holdfast.execute.lock_patience import LockPatience, LockTimeouts, set_local
from holdfast.execute.session import MigrationSession
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.steps import CopyRowsStep, FillRowsStep

Reached = tuple[str, ...]  # the file, and the first block that is not done

FIRST_SIZE = 16  # blocks
SMALLEST, LARGEST = 1, 4_096
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
    _end: tuple[str, int] | None = field(default=None, init=False)  # the file, and its end at first

    def write(
        self, reached: Reached | None, *, record: Callable[[Reached], None]
    ) -> Reached | None:
        """Write the next batch and commit it; None when there is none."""
        self.pace.wait_for_others()
        self.pace.vacuum()
        file, end = self._end = self._end or self._file()
        start = int(reached[1]) if reached is not None and reached[0] == file else 0
        if start >= end:
            self._end = self._file()
            return None if self._end[0] == file else (self._end[0], "0")

        def unit(_: LockTimeouts) -> Reached:
            set_local(self.session, "lock_timeout", ROW_LOCK)
            self.session.commit_without_waiting()
            for name, setting in self.step.settings:
                self.session.execute(SET_LOCAL, {"name": name, "setting": setting})
            size, self.size = self.size, max(SMALLEST, self.size // 2)  # should a row be locked
            until = min(start + size, end)
            blocks = f"ctid >= '({start},0)' AND ctid < '({until},0)'"
            record((file, str(until)))
            since = monotonic()  # only from here on are rows held
            written = self.session.execute_sql(f"{self.step.sql} AND {blocks}").rowcount
            self.session.commit()
            took = timedelta(seconds=monotonic() - since)
            self.size = next_size(size, took=took, smallest=SMALLEST, largest=LARGEST)
            self.pace.count(written)  # which may wait: nothing is held now
            return file, str(until)

        done = self.patience.run(unit, what=self.step.describe(), locks=lambda: self.step.locks)
        self.pace.tell()
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
