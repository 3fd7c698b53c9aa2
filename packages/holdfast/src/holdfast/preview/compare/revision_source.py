"""Writes the lines of a revision as Python source."""

import json
import re
from dataclasses import dataclass
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import ClauseElement

from holdfast.rewrite.names import QualifiedName, quote

COLON = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")  # as in sqlalchemy.sql.elements.TextClause


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference: the lines that make it, and those that undo it."""

    up: tuple[str, ...]
    down: tuple[str, ...]


class Source(str):
    """A piece of Python source, not a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def call(operation: str, *arguments: object, **keywords: object) -> str:
    """Write the call of one of Alembic's operations: `op.operation(...)`."""
    written = [_written(argument) for argument in arguments]
    written += [f"{name}={_written(value)}" for name, value in keywords.items()]
    return f"op.{operation}({', '.join(written)})"


def _written(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, str) and not isinstance(value, Source):
        return literal(value)
    return repr(value)


def literal(value: str) -> str:
    """Write a string as a formatter of Python would leave it."""
    return json.dumps(value, ensure_ascii=False)


def sql_text(text: str) -> str:
    """Write a text for sqlalchemy.text(), which takes a colon before a name for a parameter."""
    return COLON.sub(r"\\:\1", text)


def final_name(name: str) -> Source:
    """Write a final name, to which no naming convention is applied again."""
    return Source(f"op.f({literal(name)})")


def execute(sql: str) -> str:
    """Write the call that executes a statement: `op.execute(...)`."""
    return call("execute", sql_text(sql))


def short_name(name: QualifiedName, default_schema: str) -> str:
    """Write the name in SQL, without the schema if that is understood."""
    return quote(name.name) if name.schema == default_schema else str(name)


def sql_literal(text: str) -> str:
    """Write a text as a string literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def write_percent_signs_once(context: MigrationContext) -> None:
    """Let Alembic write an expression as it is: it doubles each % as if a driver were to read it.

    Drivers halve them when the revision runs; but SQLAlchemy doubles them for that again.
    """
    impl, preparer = context.impl, context.dialect.identifier_preparer
    render = impl.render_ddl_sql_expr

    def rendered(expression: ClauseElement, **options: Any) -> str:
        text = render(expression, **options)
        return text.replace("%%", "%") if preparer._double_percents else text  # noqa: SLF001  # nothing else tells

    impl.render_ddl_sql_expr = rendered  # type: ignore[method-assign, assignment]  # of this context alone
