"""Checks after the last step that what the revision has built and validated is valid in the catalog.

A constraint that its author has written NOT VALID was never to be validated.
"""

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection

from holdfast.execute.journal import Queued
from holdfast.observe.leftovers import Leftover, leftovers
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.steps import BuildIndexStep, ValidateStep


def left_behind(connection: Connection, queue: Iterable[Queued]) -> tuple[Leftover, ...]:
    """Find indexes that are INVALID and constraints that are NOT VALID in spite of their steps."""
    indexes, constraints = set(), set()
    for statement in queue:
        indexes |= set(_indexes(statement))
        constraints |= set(_constraints(statement))
    if not indexes and not constraints:
        return ()
    return tuple(
        found
        for found in leftovers(connection)
        if found.name in indexes or (found.table, found.name) in constraints
    )


def _indexes(statement: Queued) -> Iterator[str]:
    for step in statement.steps or ():
        if isinstance(step, BuildIndexStep):
            yield str(QualifiedName(schema=step.schema, name=step.index))


def _constraints(statement: Queued) -> Iterator[tuple[str, str]]:
    """Give the constraints by table and name, those on inheriting tables included."""
    for step in statement.steps or ():
        if isinstance(step, ValidateStep) and (name := step.constraint or statement.captured):
            for table in {step.table, *(lock.relation for lock in step.locks)}:
                yield str(table), quote(name)
