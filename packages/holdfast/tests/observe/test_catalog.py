"""The catalog's facts, asked through every driver."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from holdfast.observe.catalog import facts_for
from holdfast.rewrite.facts import (
    Column,
    Constraint,
    ConstraintKind,
    DependentView,
    Facts,
    Index,
    NewRelations,
    Reference,
    Relation,
    RelationKind,
)
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.statement import Statement, parse

SCHEMA = """
CREATE SCHEMA shop;
CREATE TABLE shop.users (id int PRIMARY KEY, "Name" varchar(50) NOT NULL);
CREATE TABLE shop.orders (
  id int GENERATED ALWAYS AS IDENTITY,
  user_id int CONSTRAINT orders_user REFERENCES shop.users (id),
  note text DEFAULT '-',
  CONSTRAINT positive CHECK (user_id > 0)
);
CREATE UNIQUE INDEX orders_note ON shop.orders (lower(note)) WHERE user_id > 5;
CREATE VIEW shop.notes AS SELECT note FROM shop.orders;
CREATE DOMAIN shop.positive AS int CHECK (VALUE > 0);
CREATE DOMAIN shop.twice AS shop.positive;
CREATE DOMAIN shop.plain AS int;
"""

Ask = Callable[[str, Statement, NewRelations], Facts]


def ask(url: str, statement: Statement, new: NewRelations) -> Facts:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("SET search_path = shop")
        return facts_for(connection, statement, new=new)


def ask_psycopg(url: str, statement: Statement, new: NewRelations) -> Facts:
    return ask(url.replace("postgresql://", "postgresql+psycopg://"), statement, new)


def ask_psycopg2(url: str, statement: Statement, new: NewRelations) -> Facts:
    return ask(url.replace("postgresql://", "postgresql+psycopg2://"), statement, new)


def ask_asyncpg(url: str, statement: Statement, new: NewRelations) -> Facts:
    async def main() -> Facts:
        engine = create_async_engine(
            url.replace("postgresql://", "postgresql+asyncpg://"), poolclass=sa.NullPool
        )
        async with engine.connect() as connection:
            await connection.exec_driver_sql("SET search_path = shop")
            return await connection.run_sync(facts_for, statement, new=new)

    return asyncio.run(main())


@pytest.fixture
def shop(database_from: Callable[[str, Callable[[str], None]], str]) -> str:
    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(SCHEMA)

    return database_from("shop of the catalog", build)


def facts(url: str, sql: str, *, new: NewRelations | None = None) -> Facts:
    return ask_psycopg(url, parse(sql)[0], new or NewRelations())


def shop_name(name: str) -> QualifiedName:
    return QualifiedName(schema="shop", name=name)


@pytest.mark.parametrize("ask", [ask_psycopg, ask_psycopg2, ask_asyncpg])
def test_everything_of_a_table(shop: str, ask: Ask) -> None:
    """Columns, constraints, indexes, views; the name is resolved under the search_path."""
    (statement,) = parse("ALTER TABLE orders ADD COLUMN a int")
    found = ask(shop, statement, NewRelations())
    assert found.current_schema == "shop"
    assert found.relations[("", "orders")] is found.relations[("shop", "orders")]
    orders = found.relations[("", "orders")]
    assert replace(orders, oid=1, rows=0, bytes=0, owner="") == Relation(
        oid=1,
        name=shop_name("orders"),
        kind=RelationKind.TABLE,
        columns=(
            Column(name="id", type="integer", not_null=True, is_identity=True),
            Column(name="user_id", type="integer"),
            Column(name="note", type="text", has_default=True),
        ),
        constraints=(
            Constraint(
                name="orders_id_not_null",
                kind=ConstraintKind.NOT_NULL,
                columns=("id",),
                definition="NOT NULL id",
            ),
            Constraint(
                name="orders_user",
                kind=ConstraintKind.FOREIGN_KEY,
                columns=("user_id",),
                definition="FOREIGN KEY (user_id) REFERENCES users(id)",
                references=shop_name("users"),
            ),
            Constraint(
                name="positive",
                kind=ConstraintKind.CHECK,
                columns=("user_id",),
                definition="CHECK ((user_id > 0))",
            ),
        ),
        indexes=(
            Index(
                name=shop_name("orders_note"),
                table=shop_name("orders"),
                columns=("user_id", "note"),
                definition="CREATE UNIQUE INDEX orders_note ON shop.orders"
                " USING btree (lower(note)) WHERE (user_id > 5)",
                is_unique=True,
                has_expressions=True,
            ),
        ),
        dependent_views=(DependentView(name=shop_name("notes"), columns=("note",)),),
    )


def test_a_referenced_table(shop: str) -> None:
    """The foreign keys that point to it; the index of its primary key belongs to the constraint."""
    users = facts(shop, "DROP TABLE users").relations[("", "users")]
    assert users.referenced_by == (
        Reference(
            table=shop_name("orders"),
            constraint="orders_user",
            columns=("id",),
            definition="FOREIGN KEY (user_id) REFERENCES users(id)",
        ),
    )
    assert [index.constraint for index in users.indexes] == ["users_pkey"]
    assert users.column("Name") == Column(name="Name", type="character varying(50)", not_null=True)


def test_an_index_leads_to_its_table(shop: str) -> None:
    """DROP INDEX names an index; the facts know its table."""
    found = facts(shop, "DROP INDEX orders_note, missing")
    index = found.index_named(("orders_note",))
    assert index is not None
    assert index.table == shop_name("orders")
    assert list(found.relations) == [("shop", "orders")]
    assert found.index_named(("missing",)) is None


def test_new_and_temporary_tables_are_not_in_use(shop: str) -> None:
    """What this revision created, under any schema, is nobody's yet."""
    (statement,) = parse("ALTER TABLE orders ADD COLUMN a int")
    new = NewRelations(names=frozenset([shop_name("orders")]))
    assert facts(shop, statement.sql, new=new).in_use(statement.node.relation) is None
    assert facts(shop, statement.sql).in_use(statement.node.relation) is not None


def test_volatile_functions_and_constrained_domains(shop: str) -> None:
    """now() gives one value per statement; an unknown function may do anything."""
    found = facts(
        shop,
        "ALTER TABLE orders ADD a twice DEFAULT random(), ADD b plain DEFAULT now(),"
        " ADD c uuid DEFAULT gen_random_uuid(), ADD d int DEFAULT mine()",
    )
    assert found.volatile_functions == {"random", "gen_random_uuid", "mine"}
    assert found.constrained_domains == {"twice"}


def test_names_that_a_chosen_one_could_collide_with(shop: str) -> None:
    """Relations and constraints of the schema."""
    found = facts(shop, "ALTER TABLE users ADD UNIQUE (id)")
    assert found.taken_in("shop") == frozenset()
    found = facts(shop, "ALTER TABLE users ADD PRIMARY KEY (id)")
    assert found.taken_in("shop") == {"users_pkey", "users_id_not_null"}


def test_a_statement_without_relations(shop: str) -> None:
    """The session's own facts only."""
    found = facts(shop, "CREATE TYPE mood AS ENUM ('fine')")
    assert (found.relations, found.server_major, found.time_zone) == ({}, 18, "UTC")


def test_inheritance(shop: str) -> None:
    """Partitions at any depth are locked with their parent."""
    with psycopg.connect(shop) as connection:
        connection.execute("""
            SET search_path = shop;
            CREATE TABLE log (a int, b int) PARTITION BY LIST (a);
            CREATE TABLE log_1 PARTITION OF log FOR VALUES IN (1) PARTITION BY LIST (b);
            CREATE TABLE log_1_2 PARTITION OF log_1 FOR VALUES IN (2);
        """)
    log = facts(shop, "ALTER TABLE log ADD c int").relations[("", "log")]
    assert log.is_partitioned
    assert log.descendants == (shop_name("log_1"), shop_name("log_1_2"))
