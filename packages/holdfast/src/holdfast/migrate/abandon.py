"""Gives up what is left of a revision that can never finish, and says what stays in the schema."""

from dataclasses import dataclass

from alembic.config import Config

from holdfast.errors.migration import NothingToAbandon
from holdfast.execute.journal import Journal, Queued
from holdfast.execute.progress import Direction, Report, silent
from holdfast.migrate.locked_connection import LockedConnection, on_locked_connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned:
    """What was given up."""

    revision: str
    direction: Direction
    stays: tuple[str, ...]  # statements and steps that were committed, in their order
    undo: tuple[str, ...]  # SQL that takes back the steps that know how, last one first
    not_done: tuple[str, ...]


def abandon(config: Config, *, report: Report = silent) -> Abandoned:
    """Forget the queue of the revision that is half-way; the schema stays as it is now.

    The version row stays at the revision before. Only what this project has begun is given up; where it has
    several version tables (env.py loops over schemas), the first that is half-way. Raises NothingToAbandon.
    """
    given_up: list[Abandoned] = []

    def forget(locked: LockedConnection) -> None:
        journal = Journal(locked.session)
        found = None if given_up else journal.unfinished()
        if found is None:
            return
        statements = journal.every()
        journal.close()
        steps = [step for s in statements for step in (s.steps or ())[: s.steps_done]]
        given_up.append(
            Abandoned(
                revision=found.revision,
                direction=found.direction,
                stays=(*found.committed, *(step.describe() for step in steps)),
                undo=tuple(sql for step in reversed(steps) for sql in step.undo),
                not_done=tuple(line for s in statements for line in _left(s)),
            )
        )

    on_locked_connection(config, forget, report=report)
    if not given_up:
        raise NothingToAbandon
    return given_up[0]


def _left(statement: Queued) -> list[str]:
    if statement.steps is None:
        return [statement.sql]
    return [step.describe() for step in statement.steps[statement.steps_done :]]
