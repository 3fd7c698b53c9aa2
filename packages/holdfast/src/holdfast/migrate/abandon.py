"""Gives up the rest of revisions that can never finish, and says what stays in the schema.

A column copy that is half-way is taken away, so that its table is as it was.
"""

from dataclasses import dataclass
from functools import partial

from alembic.config import Config

from holdfast.errors.unfinished import NothingToAbandon
from holdfast.execute import waiting
from holdfast.execute.journal import Journal, Queued, Unfinished
from holdfast.execute.lock_patience import LockPatience, LockTimeouts
from holdfast.execute.progress import Direction, Report, silent
from holdfast.execute.session import MigrationSession
from holdfast.intercept.other_connections import MARK
from holdfast.migrate.finish import finish_one
from holdfast.migrate.locked_connection import LockedConnection, on_every_locked_pass
from holdfast.rewrite.side_by_side.finish import take_back_steps
from holdfast.rewrite.statement import on_one_line, shortened
from holdfast.rewrite.steps import Step, TransactionStep, waits_of
from holdfast.rewrite.waiting import RENAMES
from holdfast.rewrite.way_back import by_hand, is_by_hand, way_back


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """What `abandon` has given up, and the way back for a person who wants it."""

    revision: str
    direction: Direction
    stays: tuple[str, ...]  # statements and steps that were committed, in their order
    undo: tuple[
        str, ...
    ]  # the whole way back, last one first; a comment where a person has to find out
    not_done: tuple[str, ...]
    given_back: tuple[
        str, ...
    ] = ()  # type changes that were half-way: their tables are as they were


def abandon(config: Config, *, report: Report = silent) -> tuple[Abandoned, ...]:
    """Forget the queue of the revision that is half-way; the schema stays as it is now.

    Half a column copy is taken away. The version row stays at the revision before. Only what this project has begun
    is given up: one revision in each database and version table that env.py goes through. Raises NothingToAbandon.
    """

    def forget(locked: LockedConnection) -> Abandoned | None:
        return _forgotten(locked.session, report=report)

    each = on_every_locked_pass(config, forget, report=report)
    given_up = tuple(found for found in each if found is not None)
    if not given_up:
        raise NothingToAbandon
    return given_up


def _forgotten(session: MigrationSession, *, report: Report) -> Abandoned | None:
    journal = Journal(session)
    found = journal.unfinished()
    if found is None:
        return None
    statements = journal.every()
    beside = [c.sql.removeprefix(MARK) for c in journal.calls() if c.sql.startswith(MARK)]
    copies = [statement for statement in statements if statement.is_half_copied]
    if copies:
        journal.begin_to_abandon()
        session.commit()
    for statement in copies:
        _give_back(session, statement, report=report)
    kept = _forget_what_waits(session, found.revision, report=report)
    journal.close()
    left = [statement for statement in statements if statement not in copies]
    steps = [step for s in left for step in (s.steps or ())[: s.steps_done]]
    undoing = [
        step for s in left if not s.is_whole_copy for step in (s.steps or ())[: s.steps_done]
    ]
    return Abandoned(
        revision=found.revision,
        direction=found.direction,
        stays=(*found.committed, *map(shortened, beside), *(step.describe() for step in steps)),
        undo=(
            *map(by_hand, _unknown(found)),
            *(by_hand(shortened(sql)) for sql in reversed(beside)),
            *(sql for step in reversed(undoing) for sql in _undo(step)),
            *(sql for done in reversed(found.committed) for sql in way_back(done)),
        ),
        not_done=tuple(line for s in left for line in _left(s))
        + tuple(on_one_line(s.sql) for s in copies),
        given_back=(*kept, *(on_one_line(statement.sql) for statement in copies)),
    )


def _unknown(found: Unfinished) -> tuple[str, ...]:
    """Say that it may have committed something that is not in the record, and why."""
    if found.function_ended or found.unrepeatable is None:
        return ()
    return (f"what is not recorded, as {found.unrepeatable}",)


def _forget_what_waits(
    session: MigrationSession, revision: str, *, report: Report
) -> tuple[str, ...]:
    """Forget what waits: a column's second name is dropped; what waits to be dropped stays."""
    kept = []
    for entry in reversed(waiting.entries(session)):
        if entry.recorded.revision != revision:
            continue
        finish_one(session, entry, report=report, steps=take_back_steps(entry.waiting) or ())
        kept.append(str(entry.waiting))
    return tuple(kept)


def _undo(step: Step) -> tuple[str, ...]:
    """Give the SQL that undoes the step, if the step or its text tells; a write or a drop is left to a person."""
    if step.undo or not isinstance(step, TransactionStep):
        return step.undo or (by_hand(step.describe()),)
    ways = [way for sql in reversed(step.sql) for way in way_back(sql)]
    return (by_hand(step.describe()),) if any(map(is_by_hand, ways)) else tuple(ways)


def _give_back(session: MigrationSession, statement: Queued, *, report: Report) -> None:
    """Undo the finished steps of a column copy, last one first; each statement may be repeated after a kill.

    A second name is dropped with its record, by `_forget_what_waits`.
    """
    patience = LockPatience(session=session, report=report)
    for step in reversed((statement.steps or ())[: statement.steps_done]):
        if any(each.what in RENAMES for each in waits_of(step)):
            continue
        for sql in step.undo:

            def unit(timeouts: LockTimeouts, sql: str = sql) -> None:
                timeouts.apply(session)
                session.execute_sql(sql)
                session.commit()

            locks = step.locks
            patience.run(unit, what=f"undo: {step.describe()}", locks=partial(tuple, locks))


def _left(statement: Queued) -> list[str]:
    if statement.steps is None:
        return [on_one_line(statement.sql)]
    return [step.describe() for step in statement.steps[statement.steps_done :]]
