"""Lets a question about tables wait only briefly for whoever has one of them locked.

To show an expression, a definition or a size, PostgreSQL opens the table: it waits for an ACCESS EXCLUSIVE lock as a
SELECT does, also in functions of the catalog (pg_get_indexdef, pg_get_constraintdef, pg_get_expr, pg_table_size).
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from holdfast.errors.migration import TableIsLocked
from holdfast.errors.sqlstate import LOCK_NOT_AVAILABLE, sqlstate
from holdfast.rewrite.names import QualifiedName

BRIEFLY = (
    "500ms"  # nobody waits behind such a wait: others who want the table wait for its holder anyway
)

# One row: what was set before. OFFSET 0, so that it is read first.
SET = text(
    """
    SELECT before, set_config('lock_timeout', :setting, :is_local)
    FROM (SELECT current_setting('lock_timeout') AS before OFFSET 0) AS settings
    """
)


@contextmanager
def waiting_briefly(connection: Connection, tables: tuple[QualifiedName, ...]) -> Iterator[None]:
    """Wait only briefly for locks in the block. Raises TableIsLocked where one of the tables was not free."""
    is_local = not connection.connection.dbapi_connection.autocommit  # type: ignore[union-attr]  # every driver here has it
    values = {"setting": BRIEFLY, "is_local": is_local}
    before = connection.execute(SET, values).one().before
    try:
        yield
    except DBAPIError as error:
        if not is_local:  # otherwise the transaction takes it back
            connection.execute(SET, {**values, "setting": before})
        if sqlstate(error) != LOCK_NOT_AVAILABLE:
            raise
        raise TableIsLocked(
            tables=tuple(map(str, tables)),
            schemas=tuple(table.schema for table in tables),
            names=tuple(table.name for table in tables),
        ) from error
    connection.execute(SET, {**values, "setting": before})
