"""Writes all rows of a table in batches along its key: sized by time, slowed by replicas, vacuumed on the way.

A request that wants a row of the batch under way waits until it is committed: so a batch takes as long as a migration
may hold a lock that blocks users. Measured (`./dev bench backfill`): pauses between batches only cost time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic, sleep

from holdfast.execute.dollar_parameters import with_values
from holdfast.execute.lock_patience import LockPatience, LockTimeouts, set_local
from holdfast.execute.progress import BackfillMoved, BackfillPaused, Report
from holdfast.execute.session import MigrationSession
from holdfast.observe.replicas import estimated_rows, replay_lag
from holdfast.rewrite.steps import BackfillStep

Key = tuple[str, ...]

FIRST_SIZE = 1_000  # rows
SMALLEST, LARGEST = 100, 100_000
BATCH = timedelta(milliseconds=50)  # what a batch should take
ROW_LOCK = timedelta(milliseconds=20)  # a batch that waits holds the rows it has written so far
VACUUM_AFTER = 200_000  # rows
LOOK_AT_REPLICAS_AFTER = timedelta(seconds=2)
LAG_TO_PAUSE, LAG_TO_GO_ON = timedelta(seconds=10), timedelta(seconds=2)


@dataclass(kw_only=True)
class Batches:
    """The batches of one backfill, in this run."""

    session: MigrationSession
    patience: LockPatience
    report: Report
    step: BackfillStep
    size: int = FIRST_SIZE
    rows: int = 0
    not_vacuumed: int = 0
    estimate: int | None = None
    started: float = field(default_factory=monotonic)
    looked_at_replicas: float = field(default_factory=monotonic)

    def write(self, reached: Key | None, *, record: Callable[[Key], None]) -> Key | None:
        """Write the next batch behind the key `reached` and commit it; None when there is none."""
        self._wait_for_replicas()
        self._vacuum()

        def unit(_: LockTimeouts) -> Key | None:
            since = monotonic()
            set_local(self.session, "lock_timeout", ROW_LOCK)
            last = self._last_of_batch(reached)
            if last is None:
                self.session.rollback()
                return None
            size, self.size = self.size, max(SMALLEST, self.size // 2)  # should a row be locked
            self._write(reached, last)
            record(last)
            self.session.commit()
            self.size = _adapted(size, took=timedelta(seconds=monotonic() - since))
            return last

        last = self.patience.run(unit, what=self.step.describe(), locks=lambda: self.step.locks)
        if last is not None:
            self._tell()
        return last

    def _last_of_batch(self, reached: Key | None) -> Key | None:
        sql = self.step.first if reached is None else self.step.next
        row = self.session.execute_sql(
            with_values(sql, (*(reached or ()), self.size))
        ).one_or_none()
        return None if row is None else tuple(row)

    def _write(self, reached: Key | None, last: Key) -> None:
        sql = self.step.first_batch if reached is None else self.step.batch
        written = self.session.execute_sql(with_values(sql, (*(reached or ()), *last))).rowcount
        self.rows += written
        self.not_vacuumed += written

    def _vacuum(self) -> None:
        """Lets the next batches use the space of the rows that these have replaced."""
        if self.not_vacuumed < VACUUM_AFTER:
            return
        self.not_vacuumed = 0
        with self.session.autocommit():
            self.session.execute_sql(f"VACUUM (SKIP_LOCKED) {self.step.table}")

    def _wait_for_replicas(self) -> None:
        """Pause at one lag, go on at a smaller one: otherwise every batch would stop and go."""
        if monotonic() - self.looked_at_replicas < LOOK_AT_REPLICAS_AFTER.total_seconds():
            return
        limit = LAG_TO_PAUSE
        while (lag := replay_lag(self.session.connection)) > limit:
            self.session.commit()
            limit = LAG_TO_GO_ON
            self.report(BackfillPaused(step=self.step.describe(), lag=lag))
            sleep(LOOK_AT_REPLICAS_AFTER.total_seconds())
        self.session.commit()
        self.looked_at_replicas = monotonic()

    def _tell(self) -> None:
        if self.estimate is None:
            self.estimate = estimated_rows(self.session.connection, str(self.step.table))
            self.session.commit()
        self.report(
            BackfillMoved(
                step=self.step.describe(),
                rows=self.rows,
                of=self.estimate,
                took=timedelta(seconds=monotonic() - self.started),
            )
        )


def _adapted(size: int, *, took: timedelta) -> int:
    """In proportion, but never by more than 2: one slow batch says little about the next."""
    factor = min(2.0, max(0.5, BATCH / took))
    return min(LARGEST, max(SMALLEST, round(size * factor)))
