"""Lets a question about tables wait only briefly for a session that has one of them locked.

To show an expression, a definition or a size, PostgreSQL opens the table: it waits for an ACCESS EXCLUSIVE lock as a
SELECT does, also in functions of the catalog (pg_get_indexdef, pg_get_constraintdef, pg_get_expr, pg_table_size).
A question that names its tables only in values brings its limit along, within one statement (`brief`, or a DO block
with the same setting). One that named a table in its text would wait before anything of it runs: query_to_xml() takes
such a text as a value.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError

from holdfast.errors.locks import TableIsLocked
from holdfast.errors.sqlstate import LOCK_NOT_AVAILABLE, sqlstate
from holdfast.rewrite.names import QualifiedName

BRIEFLY = (
    "500ms"  # nobody waits behind such a wait: others who want the table wait for its holder anyway
)

# The rows of the question. Each part needs the one before it: what was set is read, the limit is set, the question
# is answered to its end, and what was set is set again.
BRIEF = """
    WITH before_it AS MATERIALIZED (SELECT current_setting('lock_timeout') AS setting),
    limited AS MATERIALIZED (
      SELECT set_config('lock_timeout', '{briefly}', true) IS NOT NULL AS is_set FROM before_it),
    answer AS MATERIALIZED (SELECT * FROM ({question}) AS question WHERE (SELECT is_set FROM limited))
    SELECT * FROM answer WHERE (
      SELECT set_config('lock_timeout', setting, true)
      FROM before_it, (SELECT count(*) FROM answer) AS whole) IS NOT NULL
"""


def brief(question: str) -> TextClause:
    """Wrap a question about the catalog so that it waits only briefly for locks; to be asked within `naming`."""
    return text(BRIEF.replace("{briefly}", BRIEFLY).replace("{question}", question))


@contextmanager
def naming(tables: tuple[QualifiedName, ...]) -> Iterator[None]:
    """Raise TableIsLocked, in the block, if a table of a question that waits only briefly was not free."""
    try:
        yield
    except DBAPIError as error:
        if sqlstate(error) != LOCK_NOT_AVAILABLE:
            raise
        raise TableIsLocked(
            tables=tuple(map(str, tables)),
            schemas=tuple(table.schema for table in tables),
            names=tuple(table.name for table in tables),
        ) from error
