"""Shows any session how far a running migration is: who migrates, which revision and step, what share of it.

What is recorded in the schema holdfast is read where this role may read it; who holds the lock, everybody may see.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from holdfast.observe.blockers import blockers_of
from holdfast.observe.current_holder import current_holder
from holdfast.observe.half_way import MAY_READ
from holdfast.observe.watched_step import waits_for
from holdfast.rewrite.steps import (
    SETTING,
    BuildIndexStep,
    CountedUnit,
    Step,
    from_json,
    from_setting,
    in_words,
    next_step,
    total,
)

# At most one row: the revision that runs, and the statement of its queue whose turn it is.
RUNNING = text(
    """
    WITH queue AS (SELECT *, coalesce(to_jsonb(q) ->> 'version_table', '') AS about FROM holdfast.queue q),
         running AS (SELECT *, coalesce(to_jsonb(h) ->> 'version_table', '') AS about
                     FROM holdfast.history h WHERE outcome = 'running' ORDER BY id DESC LIMIT 1)
    SELECT h.revision, h.direction, h.started_at, h.about, q.steps, coalesce(q.steps_done, 0) AS steps_done
    FROM running h
    LEFT JOIN LATERAL (SELECT steps, steps_done FROM queue WHERE NOT done AND about = h.about
                       ORDER BY id LIMIT 1) q ON true
    """
)
# One row for each unit of the queue of a version table, in their order, with the number of its steps.
COUNTED = text(
    """
    SELECT settings, json_array_length(CAST(steps AS json)) AS steps, steps_done
    FROM holdfast.queue q WHERE coalesce(to_jsonb(q) ->> 'version_table', '') = :about ORDER BY id
    """
)
# No row where nobody has asked for a pause; the right to read it is that of the table.
MAY_READ_PAUSE = text(
    """
    SELECT CASE WHEN to_regclass('holdfast.pause') IS NOT NULL
                THEN has_table_privilege(CAST(to_regclass('holdfast.pause') AS oid), 'SELECT') END
    """
)
PAUSED = text("SELECT asked_by FROM holdfast.pause")
# The share of a build that is done, in its present phase; none where the server does not count.
BUILT = text(
    """
    SELECT CASE WHEN p.blocks_total > 0 THEN p.blocks_done::float8 / p.blocks_total END
    FROM pg_stat_progress_create_index p
    JOIN pg_class c ON c.oid = p.index_relid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relname = :index
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningStep:
    """The step that a running migration is at, and how far it is."""

    number: int  # of the revision's steps, from 1, as in its plan
    steps: int  # as far as they are known
    doing: str  # may hold a piece of a statement: not for strangers
    done: float | None  # share, 0 to 1, where the server tells
    waits_for: tuple[
        str, ...
    ] = ()  # who is in the way right now; may hold the names of strangers' sessions

    def __str__(self) -> str:
        share = "" if self.done is None else f", {self.done:.0%}"
        return f"{in_words(self.number, self.steps)}{share}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationProgress:
    """A migration that is running right now."""

    migrator: str
    revision: str | None = None  # None: this role may not read it, or it has not begun
    direction: str | None = None
    since: datetime | None = None
    step: RunningStep | None = None  # None: the revision's function itself runs
    paused_by: str | None = None  # who has asked for a pause, which comes after the step or batch

    def __str__(self) -> str:
        if self.revision is None:
            return "another process migrates"
        step = "" if self.step is None else f", {self.step}"
        return f"revision {self.revision} {self.direction}{step}"


def migration_progress(connection: Connection) -> MigrationProgress | None:
    """Ask how far a migration is; None while nobody migrates. Takes no lock that a migration waits for."""
    migrator = current_holder(connection)
    if migrator is None:
        return None
    row = connection.execute(RUNNING).one_or_none() if connection.scalar(MAY_READ) else None
    if row is None:
        return MigrationProgress(migrator=migrator)
    return MigrationProgress(
        migrator=migrator,
        revision=row.revision,
        direction=row.direction,
        since=row.started_at,
        step=_step(connection, row),
        paused_by=_paused_by(connection),
    )


def _paused_by(connection: Connection) -> str | None:
    if not connection.scalar(MAY_READ_PAUSE):
        return None
    asked_by: str | None = connection.execute(PAUSED).scalar()
    return asked_by


def _step(connection: Connection, row: Any) -> RunningStep | None:
    steps = from_json(row.steps) if row.steps else ()
    if row.steps_done >= len(steps):
        return None
    step, counts = steps[row.steps_done], _counts(connection, row.about)
    return RunningStep(
        number=next_step(counts),
        steps=total(counts),
        doing=step.describe(),
        done=_share(connection, step),
        waits_for=_in_the_way(connection, step),
    )


def _counts(connection: Connection, version_table: str) -> list[CountedUnit]:
    found = connection.execute(COUNTED, {"about": version_table}).all()
    kept = [{each["name"]: each["setting"] for each in json.loads(row.settings)} for row in found]
    return [
        from_setting(settings.get(SETTING), steps=row.steps, done=row.steps_done)
        for row, settings in zip(found, kept, strict=True)
    ]


# The sessions of a run are called by its revision, see `holdfast.execute.session`.
OF_THE_RUN = text(
    """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'holdfast %'
    """
)


def _in_the_way(connection: Connection, step: Step) -> tuple[str, ...]:
    """Find the holders of the locks that the step needs, and those whom the run's sessions wait for."""
    own = set(connection.execute(OF_THE_RUN).scalars())
    holders = tuple(b.with_way_out for b in blockers_of(connection, step.locks) if b.pid not in own)
    return holders or tuple(words for pid in own for words in waits_for(connection, pid))


def _share(connection: Connection, step: Step) -> float | None:
    if not isinstance(step, BuildIndexStep):
        return None
    share = connection.execute(BUILT, {"schema": step.schema, "index": step.index}).scalar()
    return None if share is None else float(share)
