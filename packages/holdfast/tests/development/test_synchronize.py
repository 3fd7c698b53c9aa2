"""Synchronisation adds what is missing and takes nothing away."""

from collections.abc import Iterator

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Enum,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    text,
)

from holdfast.development.synchronize import synchronize
from holdfast.engine.create_engine import create_engine
from holdfast.engine.profiles import Profile
from holdfast.engine.settings import Settings
from holdfast.errors.settings import RefusedSetting


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    engine = create_engine(Settings(profile="test", url=database))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def models() -> MetaData:
    """Two tables, an enum, an index, a unique and a foreign key."""
    metadata = MetaData(schema="shop")
    state = Enum("new", "old", name="state", schema="shop")
    Table(
        "product",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("name", Text),
        Column("state", state),
        Column("parent_id", ForeignKey("shop.product.id", name="product_parent_fkey")),
        UniqueConstraint("name", name="product_name_key"),
        Index("product_state_idx", "state"),
    )
    Table("review", metadata, Column("id", Integer, primary_key=True), Column("state", state))
    return metadata


def sync(connection: Connection, metadata: MetaData) -> tuple[str, ...]:
    return synchronize(connection, metadata, profile=Profile.DEVELOPMENT)


def test_missing_tables(connection: Connection) -> None:
    """With everything that belongs to them; a second time there is nothing to do."""
    connection.execute(text("CREATE SCHEMA shop"))
    assert sync(connection, models()) == ("table shop.product", "table shop.review")
    assert sync(connection, models()) == ()


def test_missing_columns_indexes_and_keys(connection: Connection) -> None:
    """On a table that exists, an enum type included."""
    connection.execute(text("CREATE SCHEMA shop"))
    connection.execute(text("CREATE TABLE shop.product (id integer PRIMARY KEY)"))
    added = sync(connection, models())
    assert sorted(added) == [
        "column product.name",
        "column product.parent_id",
        "column product.state",
        "constraint product.product_name_key",
        "constraint product.product_parent_fkey",
        "index product.product_state_idx",
        "table shop.review",
    ]
    assert sync(connection, models()) == ()


def test_nothing_is_dropped_or_changed(connection: Connection) -> None:
    """Tables, columns and indexes that the models do not know, types and definitions that differ: all stay."""
    connection.execute(text("CREATE SCHEMA shop"))
    sync(connection, models())
    for statement in (
        "CREATE TABLE shop.old (id integer)",
        "CREATE TABLE public_one (id integer)",
        "ALTER TABLE shop.review ADD COLUMN note text, ALTER COLUMN id TYPE bigint",
        "CREATE INDEX review_note_idx ON shop.review (note)",
        "DROP INDEX shop.product_state_idx",
        "CREATE INDEX product_state_idx ON shop.product (name)",
    ):
        connection.execute(text(statement))
    before = everything(connection)
    assert sync(connection, models()) == ()
    assert everything(connection) == before


def everything(connection: Connection) -> list[tuple[object, ...]]:
    query = """
        SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
        WHERE table_schema IN ('public', 'shop')
        UNION ALL
        SELECT schemaname, tablename, indexname, indexdef FROM pg_indexes
        WHERE schemaname IN ('public', 'shop')
        ORDER BY 1, 2, 3
    """
    return [tuple(row) for row in connection.execute(text(query))]


def test_models_without_a_schema(connection: Connection) -> None:
    """The usual case."""
    metadata = MetaData()
    Table("product", metadata, Column("id", Integer, primary_key=True))
    assert sync(connection, metadata) == ("table product",)
    assert inspect(connection).get_table_names() == ["product"]


@pytest.mark.parametrize("profile", [Profile.TEST, Profile.PRODUCTION])
def test_only_in_development(connection: Connection, profile: Profile) -> None:
    """Also for whoever calls it past the settings."""
    with pytest.raises(RefusedSetting) as raised:
        synchronize(connection, models(), profile=profile)
    assert raised.value.variable == "HOLDFAST_SYNCHRONIZE"
    assert everything(connection) == []
