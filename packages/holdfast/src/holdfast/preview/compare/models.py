"""The models of a project in a database: all their tables made anew among whatever else the history brought."""

from collections.abc import Iterable

from sqlalchemy import Connection, Enum, MetaData, Table, text
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.schema import CreateSchema

from holdfast.rewrite.names import QualifiedName, quote


def tables_of(metadata: Iterable[MetaData], default_schema: str) -> set[QualifiedName]:
    """The names of the tables of the models."""
    return {
        QualifiedName(schema=table.schema or default_schema, name=table.name)
        for each in metadata
        for table in each.tables.values()
    }


def types_of(table: Table, default_schema: str) -> set[QualifiedName]:
    """The names of the enum types and domains that CREATE TABLE brings along."""
    return {
        QualifiedName(schema=type_.schema or default_schema, name=type_.name)
        for type_ in (getattr(column.type, "item_type", column.type) for column in table.columns)
        if isinstance(type_, DOMAIN) or (isinstance(type_, Enum) and type_.native_enum)
        if type_.name
    }


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
            for type_ in types_of(table, table.schema or ""):
                written = quote(type_.name) if not type_.schema else str(type_)
                connection.execute(text(f"DROP TYPE IF EXISTS {written} CASCADE"))
        for name in sorted({table.schema for table in each.tables.values() if table.schema}):
            connection.execute(CreateSchema(name, if_not_exists=True))
    for each in metadata:
        each.create_all(connection)
