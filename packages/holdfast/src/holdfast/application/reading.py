"""Chooses where to read: a standby that already has what a client has written, or the primary.

A position is that of the primary's log (an LSN, as text) at the moment of asking. Whoever has committed something asks
for one, keeps it with the client, and hands it in with the client's next read: a standby that has not replayed it yet
is not read from. So it goes for one that is too far behind, and for five seconds for one that does not answer.
"""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

import psycopg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from holdfast.errors.sqlstate import sqlstate

AVOIDED_FOR = timedelta(seconds=5)
POSITION = re.compile(r"[0-9A-F]{1,8}/[0-9A-F]{1,8}", re.IGNORECASE)
# One row. The insert position is behind every commit that has been answered, durable or not.
WRITTEN = text("SELECT pg_current_wal_insert_lsn()::text")
# One row: whether this server may be read from. A standby that receives nothing does not know how old it is but by
# the last transaction that it has replayed.
IS_FRESH = text(
    """
    SELECT CASE WHEN pg_is_in_recovery() THEN
        coalesce(pg_last_wal_replay_lsn() >= CAST(:after AS pg_lsn), true)
        AND coalesce(
            (pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
             AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE pid IS NOT NULL))
            OR now() - pg_last_xact_replay_timestamp() < CAST(:lag AS interval), false)
      -- The primary itself; or a standby that was promoted beside it, which may not have what came after.
      ELSE coalesce(pg_current_wal_insert_lsn() >= CAST(:after AS pg_lsn), true) END
    """
)
NO_ANSWER = (DBAPIError, PoolTimeout)
# SQLSTATEs of an ended connection, of a query cancelled by replay, of a server that was just promoted or demoted.
LEAVES = ("08", "57P", "40001", "25006")


@dataclass(slots=True)
class Standbys:
    """Remembers whether the standbys are worth asking: not for a while after one has not answered."""

    lag: timedelta
    avoided_until: float = field(default=0.0)

    def may_have(self, after: str | None) -> bool:
        """Whether a standby may have this position; a text that is no position is only on the primary."""
        is_position = after is None or POSITION.fullmatch(after) is not None
        return is_position and monotonic() >= self.avoided_until

    def question(self, after: str | None) -> dict[str, object]:
        """Give the parameters of the query IS_FRESH: the position to be read, and the largest lag."""
        return {"after": after, "lag": f"{self.lag.total_seconds()} s"}

    def note(self, error: Exception) -> None:
        """Note that the standby failed; leave it out if it cannot be reached, as every request would wait for it."""
        if not isinstance(error, DBAPIError) or error.statement is None:
            self.avoid()

    def avoid(self) -> None:
        """Leave the standby out for a while."""
        self.avoided_until = monotonic() + AVOIDED_FOR.total_seconds()


def leaves(error: BaseException) -> bool:
    """Whether an error says that a standby has gone or cancelled a query, rather than that the query is wrong."""
    if not isinstance(
        error, DBAPIError | psycopg.Error
    ):  # of the driver, where its connection is used itself
        return False
    state = sqlstate(error)
    return state is None or state.startswith(LEAVES)
