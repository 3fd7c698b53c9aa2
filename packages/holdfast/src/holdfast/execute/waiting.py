"""The table of what waits for `holdfast finish`: adds, reads and deletes its rows. The caller commits.

Each row is also the journal of its own end: `finish` runs it step by step, as a run runs a statement of its queue.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, delete, func, insert, select, text, update

from holdfast.execute.journal import Queued, of_version_table
from holdfast.execute.session import LocalSetting, MigrationSession
from holdfast.execute.tables import waiting
from holdfast.rewrite.facts import NewRelations
from holdfast.rewrite.steps import Step
from holdfast.rewrite.steps import from_json as steps_from_json
from holdfast.rewrite.steps import to_json as steps_to_json
from holdfast.rewrite.waiting import Recorded, Waiting, from_json, to_json

SETTINGS = TypeAdapter(tuple[LocalSetting, ...])
TEXTS = TypeAdapter(tuple[str, ...])
IS_THERE = text("SELECT to_regclass('holdfast.waiting') IS NOT NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the table of what waits for `finish`."""

    recorded: Recorded
    since: datetime
    today: str  # of the server, when it was read
    settings: tuple[LocalSetting, ...]
    steps: tuple[Step, ...] | None
    steps_done: int
    is_started: bool
    captured: str | None
    reached: tuple[str, ...] | None
    seen: str | None

    @property
    def waiting(self) -> Waiting:
        """What waits, by this row."""
        return self.recorded.waiting

    @property
    def has_begun(self) -> bool:
        """Whether finishing it has begun."""
        return self.steps_done > 0 or self.is_started or self.reached is not None

    def queued(self, steps: tuple[Step, ...]) -> Queued:
        """The row as a unit that the executor runs."""
        return Queued(
            sql=self.waiting.sql,
            new=NewRelations(),
            settings=self.settings,
            today=self.today,
            call=0,
            id=self.recorded.id,
            steps=self.steps or steps,
            steps_done=self.steps_done,
            is_started=self.is_started,
            captured=self.captured,
            reached=self.reached,
        )


def add(
    session: MigrationSession,
    found: Iterable[Waiting],
    *,
    revision: str,
    settings: tuple[LocalSetting, ...],
) -> None:
    """Record what waits from now on, in the transaction that makes it wait."""
    for each in found:
        session.execute(
            insert(waiting).values(
                version_table=session.version_table,
                revision=revision,
                document=to_json(each),
                settings=SETTINGS.dump_json(settings).decode(),
            )
        )


def forget(session: MigrationSession, ids: Sequence[int]) -> None:
    """Delete the row of something that no longer waits: it is gone, or taken back."""
    if ids:
        session.execute(delete(waiting).where(waiting.c.id.in_(ids)))


def entries(session: MigrationSession) -> tuple[Entry, ...]:
    """Give all that waits in the session's version table, in the order in which it has to go."""
    if not session.execute(IS_THERE).scalar_one():
        return ()
    columns = [column for column in waiting.c if column.name != "version_table"]
    rows = session.execute(
        select(*columns, func.current_date().label("today"))
        .where(_mine(session))
        .order_by(waiting.c.id)
    )
    return tuple(
        Entry(
            recorded=Recorded(id=row.id, revision=row.revision, waiting=from_json(row.document)),
            since=row.since,
            today=row.today.isoformat(),
            settings=SETTINGS.validate_json(row.settings),
            steps=None if row.steps is None else steps_from_json(row.steps),
            steps_done=row.steps_done,
            is_started=row.is_started,
            captured=row.captured,
            reached=None if row.reached is None else TEXTS.validate_json(row.reached),
            seen=row.seen,
        )
        for row in rows
    )


def recorded(session: MigrationSession) -> tuple[Recorded, ...]:
    """Give what waits in the session's version table, without how far each is."""
    return tuple(entry.recorded for entry in entries(session))


def recorded_by_others(session: MigrationSession) -> tuple[Recorded, ...]:
    """Give what waits in the database's other version tables, which share its relations."""
    if not session.execute(IS_THERE).scalar_one():
        return ()
    asked = select(waiting.c.id, waiting.c.revision, waiting.c.document).where(~_mine(session))
    return tuple(
        Recorded(id=row.id, revision=row.revision, waiting=from_json(row.document))
        for row in session.execute(asked)
    )


def note_seen(session: MigrationSession, entry: Entry, seen: str) -> None:
    """Keep what a look has found, for the next one to compare with."""
    session.execute(update(waiting).where(waiting.c.id == entry.recorded.id).values(seen=seen))


def _mine(session: MigrationSession) -> ColumnElement[bool]:
    return of_version_table(waiting, session.version_table)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishJournal:
    """The executor's journal while an entry is finished: in the entry's own row, deleted with the last step."""

    session: MigrationSession

    def every(self) -> tuple[Queued, ...]:
        """Give nothing: nothing else is in the queue."""
        return ()

    def plan(self, statement: Queued, steps: tuple[Step, ...]) -> Queued:
        """Record the steps by which it will be finished."""
        self._update(statement, steps=steps_to_json(steps))
        return replace(statement, steps=steps)

    def start(self, statement: Queued) -> Queued:
        """Record that a step outside a transaction begins."""
        self._update(statement, is_started=True)
        return replace(statement, is_started=True)

    def forget(self, statement: Queued) -> None:
        """Record that a step outside a transaction has failed and left nothing."""
        self._update(statement, is_started=False)

    def reach(self, statement: Queued, key: tuple[str, ...]) -> Queued:
        """Record how far a step that writes or reads rows is."""
        self._update(statement, reached=TEXTS.dump_json(key).decode())
        return replace(statement, reached=key)

    def advance(self, statement: Queued, *, captured: str | None = None) -> Queued:
        """Record that the step under way is done; after the last one nothing waits any more."""
        done = statement.steps_done + 1
        captured = captured or statement.captured
        after = replace(
            statement, steps_done=done, is_started=False, captured=captured, reached=None
        )
        if done == len(statement.steps or ()):
            forget(self.session, [statement.id])
        else:
            self._update(
                statement, steps_done=done, is_started=False, captured=captured, reached=None
            )
        return after

    def _update(self, statement: Queued, **values: object) -> None:
        self.session.execute(update(waiting).where(waiting.c.id == statement.id).values(**values))
