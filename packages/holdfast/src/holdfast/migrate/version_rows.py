"""Writes Alembic's version row of an empty database with what commits the revision: one round trip less for each.

Alembic would send an UPDATE of its own, which is compiled anew for each revision and costs a fourth of its time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from holdfast.errors.sqlstate import NOT_NULL_VIOLATION, sqlstate
from holdfast.observe.schema_constants import SCHEMA
from holdfast.rewrite.literals import literal

# What Alembic looks at; whether it is so, the row of the history knows.
ONE_ROW = SimpleNamespace(rowcount=1)


def version_rows(context: MigrationContext, steps: Sequence[RevisionStep]) -> Mapping[str, str]:
    """Give the statement that writes the version row, by revision; none if only Alembic can write it.

    That is: a history with branches, the version table of another tool or with more columns, an env.py that commits by
    itself or looks at each row, tables with other names on the server.
    """
    assert context.connection is not None  # noqa: S101  # only None in offline mode
    is_alembics = (
        type(context) is not MigrationContext
        or len(context._version.columns) > 1  # noqa: SLF001  # has no public name
        or context.opts.get("transaction_per_migration")
        or context.on_version_apply_callbacks
        or context.connection.get_execution_options().get("schema_translate_map")
    )
    if is_alembics or not _is_straight(steps):
        return {}
    table = context.dialect.identifier_preparer.format_table(context._version)  # noqa: SLF001  # has no public name
    names = [literal(step.revision.revision) for step in steps]
    first = f"INSERT INTO {table} (version_num) VALUES ({names[0]})"  # noqa: S608  # quoted, as the next
    later = [
        f"UPDATE {table} SET version_num = {name} WHERE version_num = {before}"  # noqa: S608
        for before, name in pairwise(names)
    ]
    return dict(zip((step.revision.revision for step in steps), [first, *later], strict=True))


def _is_straight(steps: Sequence[RevisionStep]) -> bool:
    """Whether each revision follows the one before it, and nothing else."""
    before: str | None = None
    for step in steps:
        revision = step.revision
        if revision.dependencies or revision.down_revision != before:
            return False
        before = revision.revision
    return True


@contextmanager
def left_to_us(context: MigrationContext, is_ours: Callable[[], bool]) -> Iterator[None]:
    """Keep Alembic in this block from sending its own statement for a version row that `is_ours` to write."""
    impl: Any = context.impl
    execute = impl._exec  # noqa: SLF001  # by which it sends everything

    def unless_ours(construct: Any, *arguments: Any, **more: Any) -> Any:
        if getattr(construct, "table", None) is context._version and is_ours():  # noqa: SLF001
            return ONE_ROW
        return execute(construct, *arguments, **more)

    impl._exec = unless_ours  # noqa: SLF001
    try:
        yield
    finally:
        del impl._exec  # noqa: SLF001  # the class's own method shows again


def is_without_version_row(error: DBAPIError) -> bool:
    """Whether an error says that the history row lacks its revision; the session has ruled out the epoch."""
    of_psycopg: Any = getattr(error.orig, "diag", None)
    return sqlstate(error) == NOT_NULL_VIOLATION and of_psycopg.schema_name == SCHEMA


def lost_version_row(context: MigrationContext, revision: str) -> CommandError:
    """Give the error that Alembic itself would raise, in its words."""
    return CommandError(
        "Online migration expected to match one row when updating to "
        f"'{revision}' in '{context.version_table}'; 0 found"
    )
