"""Creates the models of a project in a database, anew among whatever else the history has made."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, Connection, MetaData, Table, text
from sqlalchemy.schema import CreateSchema
from sqlalchemy.types import TypeDecorator, TypeEngine

from holdfast.preview.compare.type_source import is_named
from holdfast.rewrite.names import QualifiedName, quote


def tables_of(metadata: Iterable[MetaData], default_schema: str) -> set[QualifiedName]:
    """Give the names of the tables of the models."""
    return {
        QualifiedName(schema=table.schema or default_schema, name=table.name)
        for each in metadata
        for table in each.tables.values()
    }


def types_of(table: Table, default_schema: str) -> set[QualifiedName]:
    """Give the names of the enum types and domains that CREATE TABLE brings along."""
    types: list[Any] = [_element(column.type) for column in table.columns]
    return {
        QualifiedName(schema=type_.schema or default_schema, name=type_.name)
        for type_ in types
        if is_named(type_)
    }


def _element(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """Give the type itself, without arrays and decorators around it."""
    while isinstance(type_, ARRAY | TypeDecorator):
        type_ = type_.item_type if isinstance(type_, ARRAY) else type_.impl_instance
    return type_


def put_aside(connection: Connection, tables: Iterable[QualifiedName]) -> None:
    """Move tables that the models no longer have out of the way: a model may use the names of their indexes."""
    for table in sorted(tables):
        aside = f"holdfast_aside_{table.schema}"
        connection.execute(CreateSchema(aside, if_not_exists=True))
        connection.execute(text(f"ALTER TABLE {table} SET SCHEMA {quote(aside)}"))


def create_models(connection: Connection, metadata: tuple[MetaData, ...]) -> None:
    """Drop what the models have, and create it as they have it: extensions, functions, other types stay."""
    for each in metadata:
        for table in each.tables.values():
            schema = f"{quote(table.schema)}." if table.schema else ""
            connection.execute(text(f"DROP TABLE IF EXISTS {schema}{quote(table.name)} CASCADE"))
            for type_ in types_of(table, ""):
                written = quote(type_.name) if not type_.schema else str(type_)
                connection.execute(text(f"DROP TYPE IF EXISTS {written} CASCADE"))
        for name in sorted(_schemas_of(each)):
            connection.execute(CreateSchema(name, if_not_exists=True))
    for each in metadata:
        each.create_all(connection)


def _schemas_of(metadata: MetaData) -> set[str]:
    """Give the schemas that a table, the type of a column or a sequence names."""
    tables = metadata.tables.values()
    named = [type_.schema for table in tables for type_ in types_of(table, "")]
    named += [table.schema or "" for table in tables]
    named += [sequence.schema or "" for sequence in metadata._sequences.values()]  # noqa: SLF001  # nothing else lists them
    return set(filter(None, named))
