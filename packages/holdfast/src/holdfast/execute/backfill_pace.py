"""What every backfill does between two batches: waits for replicas, vacuums on the way, tells how far it is.

A request that wants a row of the batch under way waits until it is committed: so a batch takes as long as a migration
may hold a lock that blocks users. Measured (`./dev bench backfill`): pauses between batches only cost time.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic, sleep

from holdfast.execute.progress import BackfillMoved, BackfillPaused, Report
from holdfast.execute.session import MigrationSession
from holdfast.observe.replicas import estimated_rows, replay_lag

BATCH = timedelta(milliseconds=50)  # what a batch should take
ROW_LOCK = timedelta(milliseconds=20)  # a batch that waits holds the rows it has written so far
VACUUM_AFTER = 200_000  # rows
LOOK_AT_REPLICAS_AFTER = timedelta(seconds=2)
LAG_TO_PAUSE, LAG_TO_GO_ON = timedelta(seconds=10), timedelta(seconds=2)


@dataclass(kw_only=True)
class Pace:
    """Of one backfill, in this run."""

    session: MigrationSession
    report: Report
    table: str
    step: str
    rows: int = 0
    not_vacuumed: int = 0
    estimate: int | None = None
    started: float = field(default_factory=monotonic)
    looked_at_replicas: float = field(default_factory=monotonic)

    def count(self, written: int) -> None:
        """So many rows are committed."""
        self.rows += written
        self.not_vacuumed += written

    def vacuum(self) -> None:
        """Lets the next batches use the space of the rows that these have replaced."""
        if self.not_vacuumed < VACUUM_AFTER:
            return
        self.not_vacuumed = 0
        with self.session.autocommit():
            self.session.execute_sql(f"VACUUM (SKIP_LOCKED) {self.table}")

    def wait_for_replicas(self) -> None:
        """Pause at one lag, go on at a smaller one: otherwise every batch would stop and go."""
        if monotonic() - self.looked_at_replicas < LOOK_AT_REPLICAS_AFTER.total_seconds():
            return
        limit = LAG_TO_PAUSE
        while (lag := replay_lag(self.session.connection)) > limit:
            self.session.commit()
            limit = LAG_TO_GO_ON
            self.report(BackfillPaused(step=self.step, lag=lag))
            sleep(LOOK_AT_REPLICAS_AFTER.total_seconds())
        self.session.commit()
        self.looked_at_replicas = monotonic()

    def tell(self) -> None:
        """Report how far it is."""
        if self.estimate is None:
            self.estimate = estimated_rows(self.session.connection, self.table)
            self.session.commit()
        self.report(
            BackfillMoved(
                step=self.step,
                rows=self.rows,
                of=self.estimate,
                took=timedelta(seconds=monotonic() - self.started),
            )
        )
