"""Writes a column's type into a revision if Alembic's own way does not run or loses something.

A revision outlives the application's code: what a TypeDecorator stores is written, not the decorator, so that the
file imports nothing of the application. Another type that SQLAlchemy does not have (an extension's) is imported.
No table brings a type along: the revision creates it, where it is missing, in a line of its own.
"""

from typing import Any, Literal

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _repr_type  # the only way to write a type as Alembic does
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine


def write_types_of_their_own(opts: dict[str, Any]) -> None:
    """Add our way after the project's own render_item, to the options of Alembic's context."""
    projects = opts.get("render_item")

    def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
        written = projects(kind, item, autogen) if projects else False
        if written is not False or kind != "type":
            return written  # type: ignore[return-value]  # as the project gave it
        return _source(item, autogen)

    opts["render_item"] = render_item


def _source(type_: TypeEngine[Any], autogen: AutogenContext) -> str | Literal[False]:
    module = type(type_).__module__
    if is_named(type_):
        autogen.imports.add("from sqlalchemy.dialects import postgresql")
        return _named_source(type_, autogen)
    if isinstance(type_, sa.Interval) and type_.second_precision is not None:
        return f"sa.Interval(second_precision={type_.second_precision})"  # repr() leaves it out
    if module.startswith("sqlalchemy."):
        return False
    if isinstance(type_, TypeDecorator):
        return _repr_type(_stored(type_, autogen.dialect), autogen)
    if autogen.opts["user_module_prefix"] is None:
        autogen.imports.add(f"import {module}")
    return False


def is_named(type_: TypeEngine[Any]) -> bool:
    """Whether the type has a name of its own in the database: an enum type or a domain."""
    return isinstance(type_, DOMAIN) or (
        isinstance(type_, sa.Enum) and type_.native_enum and type_.name is not None
    )


def _named_source(type_: Any, autogen: AutogenContext) -> str:
    """Refer to a type that a line of its own creates: a table that brings it would fail if it exists."""
    if isinstance(type_, DOMAIN):
        arguments = [repr(str(type_.name)), _repr_type(type_.data_type, autogen)]
    else:
        arguments = [*map(repr, type_.enums), f"name={str(type_.name)!r}"]
    if type_.schema:
        arguments.append(f"schema={str(type_.schema)!r}")
    kind = "DOMAIN" if isinstance(type_, DOMAIN) else "ENUM"
    return f"postgresql.{kind}({', '.join(arguments)}, create_type=False)"


def _stored(type_: TypeEngine[Any], dialect: Dialect | None) -> TypeEngine[Any]:
    """Give the type that a column of a decorated type has in PostgreSQL."""
    while isinstance(type_, TypeDecorator) and not type(type_).__module__.startswith("sqlalchemy."):
        type_ = type_.load_dialect_impl(dialect) if dialect is not None else type_.impl_instance
    return type_
