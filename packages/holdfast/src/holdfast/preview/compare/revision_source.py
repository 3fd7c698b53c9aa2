"""The lines of a revision, as Python source."""

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
    """One difference: the lines that make it, and those that take it back."""

    up: tuple[str, ...]
    down: tuple[str, ...]


class Source(str):
    """Python source, not a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def call(operation: str, *arguments: object, **keywords: object) -> str:
    """The call of one of Alembic's operations as Python source: `op.operation(...)`."""
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
    """A string as a formatter of Python would leave it."""
    return json.dumps(value, ensure_ascii=False)


def sql_text(text: str) -> str:
    """The text for sqlalchemy.text(), which takes a colon before a name for a parameter."""
    return COLON.sub(r"\\:\1", text)


def final_name(name: str) -> Source:
    """A final name: no naming convention is applied to it once more."""
    return Source(f"op.f({literal(name)})")


def execute(sql: str) -> str:
    """The call that executes a statement as Python source: `op.execute(...)`."""
    return call("execute", sql_text(sql))


def short_name(name: QualifiedName, default_schema: str) -> str:
    """The name in SQL; without the schema where that is understood."""
    return quote(name.name) if name.schema == default_schema else str(name)


def sql_literal(text: str) -> str:
    """A text as a string literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def write_percent_signs_once(context: MigrationContext) -> None:
    """Let Alembic write an expression into a revision as it is: it doubles each % as if a driver were to read it.

    Drivers halve them when the revision runs; but SQLAlchemy doubles them for that again.
    """
    impl, preparer = context.impl, context.dialect.identifier_preparer
    render = impl.render_ddl_sql_expr

    def rendered(expression: ClauseElement, **options: Any) -> str:
        text = render(expression, **options)
        return text.replace("%%", "%") if preparer._double_percents else text  # noqa: SLF001  # nothing else tells

    impl.render_ddl_sql_expr = rendered  # type: ignore[method-assign, assignment]  # of this context alone
