"""What every backfill does between two batches: waits for others, vacuums, reports its progress.

A request that wants a row of the batch under way waits until it is committed: so a batch, which may take twice what it
should, ends within the time for which a migration may hold a lock that blocks users. Measured (`./dev bench backfill`):
pauses between batches only cost time.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic, sleep

from holdfast.execute.progress import BackfillMoved, BackfillPaused, LagUnseen, Report
from holdfast.execute.session import MigrationSession
from holdfast.observe.replicas import (
    HoldingSlot,
    archiver_lag,
    estimated_rows,
    holding_slot,
    replica_lag,
    vacuum_of,
)

BATCH = timedelta(milliseconds=25)  # what a batch should take
ROW_LOCK = timedelta(milliseconds=20)  # a batch that waits holds the rows it has written so far
MOMENT = timedelta(milliseconds=200)  # between two looks whether somebody asks for a stop
VACUUM_AFTER = 200_000  # rows
LOOK_AT_OTHERS_AFTER = timedelta(seconds=2)
VACUUM_AT_MOST = timedelta(minutes=10)  # one against wraparound may take a day


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How far replicas, the archiver and slots may be behind before a backfill waits."""

    replica: timedelta
    archiver: int  # bytes
    slot: float  # of its budget


PAUSE = Limits(replica=timedelta(seconds=10), archiver=1_000_000_000, slot=1)
GO_ON = Limits(replica=timedelta(seconds=2), archiver=100_000_000, slot=0.5)
SLOT_WAL = 4_000_000_000  # bytes that one replication slot may keep from being removed


@dataclass(kw_only=True)
class Pace:
    """How fast one backfill goes in this run, and whom it waits for."""

    session: MigrationSession
    report: Report
    table: str
    step: str
    rows: int = 0
    not_vacuumed: int = 0
    rows_per_second: int | None = None  # at most
    slot_wal: int = SLOT_WAL
    estimate: int | None = None
    started: float = field(default_factory=monotonic)
    looked_at_others: float = field(default_factory=monotonic)

    def count(self, written: int) -> None:
        """Count committed rows."""
        self.rows += written
        self.not_vacuumed += written

    def wait_for_limit(self) -> bool:
        """Wait a moment if too many rows were written in too short a time; give False once they were not.

        Call it while holding nothing, and again until then: in between somebody may ask for a stop.
        """
        if self.rows_per_second is None:
            return False
        left = self.started + self.rows / self.rows_per_second - monotonic()
        if left <= 0:
            return False
        sleep(min(left, MOMENT.total_seconds()))
        return True

    def at_most(self, rows: int) -> int:
        """Give this many rows, or at most those of one second where a rate is set."""
        return rows if self.rows_per_second is None else min(rows, self.rows_per_second)

    def vacuum(self) -> None:
        """Vacuum the table, so that the next batches use the space of the rows that were replaced."""
        if self.not_vacuumed < VACUUM_AFTER:
            return
        self.not_vacuumed = 0
        with self.session.autocommit():
            # Truncating the file would lock the table against reads, on standbys too.
            self.session.execute_sql(f"VACUUM (SKIP_LOCKED, TRUNCATE false) {self.table}")

    def wait_for_others(self) -> None:
        """Wait for replicas, the archiver of WAL, the reader of a replication slot, a vacuum of the table.

        Pauses at one lag and goes on at a smaller one: otherwise every batch would stop and go.
        """
        if monotonic() - self.looked_at_others < LOOK_AT_OTHERS_AFTER.total_seconds():
            return
        limits, until = PAUSE, monotonic() + VACUUM_AT_MOST.total_seconds()
        while (why := self._reason(limits, is_patient=monotonic() < until)) is not None:
            limits = GO_ON
            self.report(BackfillPaused(step=self.step, why=why))
            sleep(LOOK_AT_OTHERS_AFTER.total_seconds())
        self.looked_at_others = monotonic()

    def _reason(self, limits: Limits, *, is_patient: bool) -> str | None:
        connection = self.session.connection
        try:
            seen = replica_lag(connection)
            if seen.hidden and not self.session.has_told_lag_is_unseen:
                self.session.has_told_lag_is_unseen = True
                self.report(LagUnseen(standbys=seen.hidden, role=seen.role))
            if seen.lag > limits.replica:
                return f"a replica is {seen.lag.total_seconds():.0f} s behind"
            if (behind := archiver_lag(connection)) > limits.archiver:
                return f"the archiver of WAL is {behind // 1_000_000} MB behind"
            slot = holding_slot(connection)
            if slot is not None and slot.is_over(round(self.slot_wal * limits.slot)):
                return _said(slot)
            if is_patient and (vacuum := vacuum_of(connection, self.table)) is not None:
                return f"pid {vacuum} vacuums the table"
            return None
        finally:
            self.session.commit()

    def tell(self) -> None:
        """Report how far the backfill is."""
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


def next_size(size: int, *, took: timedelta, smallest: int, largest: int) -> int:
    """Give the next batch's size: in proportion to the time taken, at most doubled, as one slow batch says little."""
    factor = min(2.0, max(0.5, BATCH / took))
    return min(largest, max(smallest, round(size * factor)))


def _said(slot: HoldingSlot) -> str:
    kept = f"replication slot {slot.name} keeps {slot.held // 1_000_000:,} MB of WAL"
    if slot.is_active:
        return f"{kept}, its reader is behind"
    gone = f"SELECT pg_drop_replication_slot('{slot.name}')"
    return f"{kept}, nobody reads from it; where its reader is gone for good: {gone}"
