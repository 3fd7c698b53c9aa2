"""The history of runs in holdfast.history: who ran which revision, when, how long, up or down, from which file."""

import getpass
import hashlib
import os
import socket
from datetime import datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path

from sqlalchemy import text

from holdfast.errors.light_dataclass import light_dataclass
from holdfast.execute.progress import Direction
from holdfast.execute.session import MigrationSession
from holdfast.rewrite.literals import literal

NO_FILE = "(baseline)"  # the checksum of what was recorded without being run

# One row per revision: the last thing that happened to it. The first layout did not say of which version table.
LATEST = text(
    """
    SELECT DISTINCT ON (revision) * FROM holdfast.history h
    WHERE coalesce(to_jsonb(h) ->> 'version_table', '') IN ('', :version_table) ORDER BY revision, id DESC
    """
)
BEGIN = text(
    """
    INSERT INTO holdfast.history (outcome, client, holdfast_version, version_table, direction, checksum, description,
                                  revision)
    VALUES ('running', :client, :holdfast_version, :version_table, :direction, :checksum, :description, :revision)
    RETURNING id
    """
)
ENDED = text(
    """
    UPDATE holdfast.history SET outcome = :outcome, error = :error, finished_at = clock_timestamp()
    WHERE id = :id
    """
)
INTERRUPTED = text("UPDATE holdfast.history SET outcome = 'interrupted' WHERE outcome = 'running'")
ACCEPTED = text(
    """
    UPDATE holdfast.history SET checksum = :checksum
    WHERE revision = :revision AND version_table IN ('', :version_table)
    """
)
# One row, with the look at the epoch that each transaction needs: without it the row lacks its revision, which the
# server refuses. Its COMMIT does not wait for the disk. As a finished text: no driver prepares it. `moved` is the
# version row, where that is written with it: without exactly one the revision is missing too.
ADD_DONE = """
    {moved}
    INSERT INTO holdfast.history (outcome, finished_at, client, holdfast_version, version_table, direction, checksum,
                                  description, revision)
    SELECT 'done', clock_timestamp(), {client}, {holdfast_version}, {version_table}, {direction}, {checksum},
           {description}, (SELECT {revision} FROM {both}holdfast.leader WHERE epoch = {epoch} FOR SHARE OF leader)
    FROM set_config('synchronous_commit', 'off', true)
"""
WITH = "WITH moved AS ({} RETURNING version_num)"


@light_dataclass
class HistoryEntry:
    """The last thing that happened to a revision."""

    revision: str
    direction: Direction
    checksum: str
    outcome: str
    error: str | None
    role: str
    client: str
    started_at: datetime
    finished_at: datetime | None


@light_dataclass
class Begun:
    """What the history records of a revision when it begins."""

    revision: str
    description: str
    direction: Direction
    checksum: str


def begin(session: MigrationSession, begun: Begun) -> int:
    """Record that a revision starts; give the row's id. The caller commits."""
    return int(session.execute(BEGIN, _values(session, begun)).scalar_one())


def row_when_done(session: MigrationSession, begun: Begun, *, version_row: str) -> str:
    """Give the SQL that records a revision of one transaction, begun and done at its end.

    A crash of the server takes back all of it or nothing; `make_durable` follows before the run has succeeded.
    """
    session.owes_durability = True
    values = {name: literal(value) for name, value in _values(session, begun).items()}
    moved, both = (WITH.format(version_row), "moved, ") if version_row else ("", "")
    return ADD_DONE.format(epoch=session.epoch, moved=moved, both=both, **values)


def finish(session: MigrationSession, entry: int) -> None:
    """Record that the revision is done, in the transaction that also writes Alembic's version row."""
    _end(session, entry, outcome="done", error=None)


def fail(session: MigrationSession, entry: int, error: BaseException) -> None:
    """Record why the revision has failed. The caller has rolled back, and commits."""
    _end(session, entry, outcome="failed", error=f"{type(error).__name__}: {error}".split("\n")[0])


def mark_interrupted(session: MigrationSession) -> None:
    """Mark as interrupted what still says 'running': as the caller leads, its process was killed.

    Of every version table: there is one leader for the database.
    """
    session.execute(INTERRUPTED)


def accept(session: MigrationSession, revision: str, checksum: str) -> None:
    """Record that a person accepts an edited file: from now on it counts as the one that ran."""
    mine = {"revision": revision, "version_table": session.version_table}
    session.execute(ACCEPTED, {"checksum": checksum, **mine})


def is_edited(entry: HistoryEntry | None, checksum: str) -> bool:
    """Whether the file differs from the one that was applied last."""
    return (
        entry is not None
        and (entry.direction, entry.outcome) == ("up", "done")
        and entry.checksum not in (checksum, NO_FILE)
    )


def latest(session: MigrationSession) -> dict[str, HistoryEntry]:
    """Give the last entry of every revision, by revision."""
    fields = HistoryEntry.__dataclass_fields__
    rows = session.execute(LATEST, {"version_table": session.version_table}).mappings()
    return {row["revision"]: HistoryEntry(**{name: row[name] for name in fields}) for row in rows}


def checksum_of(file: Path) -> str:
    """Give the SHA-256 of a revision's file, as hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def client() -> str:
    """Name this process for readers of the tables: operating system user, host, process id."""
    return _client(os.getpid())


@cache
def _client(pid: int) -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}:{pid}"


def _values(session: MigrationSession, begun: Begun) -> dict[str, str]:
    more = {"client": client(), "holdfast_version": _version()}
    return vars(begun) | more | {"version_table": session.version_table}


@cache
def _version() -> str:
    return version("holdfast")


def _end(session: MigrationSession, entry: int, *, outcome: str, error: str | None) -> None:
    session.execute(ENDED, {"id": entry, "outcome": outcome, "error": error})
