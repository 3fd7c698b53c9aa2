"""Corrects how SQLAlchemy reads defaults that count by a sequence of another schema.

It puts the schema of the table before the name of every sequence that has none, and Alembic asks PostgreSQL about the
sequence by that name: where the sequence is in the default schema, there is none of that name.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Inspector, Table, event, text

WITH_SCHEMA = re.compile(r"""^(nextval\(')"[^"]+"\.([^'.]+)('.*)$""")
IS_THERE = text("SELECT to_regclass(:name) IS NOT NULL")


@contextmanager
def sequences_found() -> Iterator[None]:
    """Read, in the block, a default without its schema if no sequence has the name with it."""
    event.listen(Table, "column_reflect", _without_wrong_schema)
    try:
        yield
    finally:
        event.remove(Table, "column_reflect", _without_wrong_schema)


def _without_wrong_schema(inspector: Inspector, table: Table, column: dict[str, Any]) -> None:
    found = WITH_SCHEMA.match(column.get("default") or "")
    if table.schema is None or found is None:
        return
    name = column["default"].removeprefix(found[1]).partition("'")[0]
    with inspector._operation_context() as connection:  # noqa: SLF001  # as Alembic asks about sequences
        if not connection.execute(IS_THERE, {"name": name}).scalar_one():
            column["default"] = f"{found[1]}{found[2]}{found[3]}"
