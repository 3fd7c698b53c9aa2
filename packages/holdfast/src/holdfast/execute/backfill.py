"""Writes all rows of a table in batches along its key, sized by time; `backfill_pace` decides on pauses in between."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from holdfast.execute.backfill_pace import ROW_LOCK, Pace, next_size
from holdfast.execute.dollar_parameters import with_values
from holdfast.execute.lock_patience import LockPatience, LockTimeouts, set_local
from holdfast.execute.session import MigrationSession
from holdfast.rewrite.steps import BackfillStep

Key = tuple[str, ...]

FIRST_SIZE = 1_000  # rows
SMALLEST, LARGEST = 100, 100_000


@dataclass(kw_only=True)
class Batches:
    """The batches of one backfill, in this run."""

    session: MigrationSession
    patience: LockPatience
    pace: Pace
    step: BackfillStep
    size: int = FIRST_SIZE

    def write(self, reached: Key | None, *, record: Callable[[Key], None]) -> Key | None:
        """Write the next batch after the key `reached` and commit it; give None if there is none."""
        self.pace.wait_for_others()
        self.pace.vacuum()

        def unit(_: LockTimeouts) -> Key | None:
            since = monotonic()
            set_local(self.session, "lock_timeout", ROW_LOCK)
            self.session.begin_batch()
            last = self._last_of_batch(reached)
            if last is None:
                self.session.rollback()
                return None
            size, self.size = self.size, max(SMALLEST, self.size // 2)  # should a row be locked
            written = self._write(reached, last)
            record(last)
            self.session.commit()
            took = timedelta(seconds=monotonic() - since)
            self.size = next_size(size, took=took, smallest=SMALLEST, largest=LARGEST)
            self.pace.count(written)
            return last

        last = self.patience.run(
            unit,
            what=self.step.describe(),
            locks=lambda: self.step.locks,
            rows_of=self.step.table,
        )
        if last is not None:
            self.pace.tell()
        return last

    def _last_of_batch(self, reached: Key | None) -> Key | None:
        sql = self.step.first if reached is None else self.step.next
        row = self.session.execute_sql(
            with_values(sql, (*(reached or ()), self.pace.at_most(self.size)))
        ).one_or_none()
        return None if row is None else tuple(row)

    def _write(self, reached: Key | None, last: Key) -> int:
        sql = self.step.first_batch if reached is None else self.step.batch
        return self.session.execute_sql(with_values(sql, (*(reached or ()), *last))).rowcount
