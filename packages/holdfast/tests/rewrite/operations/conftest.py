"""A language of two verbs for decisions: `check_steps` and `check_as_written`, on facts made by hand."""

from collections.abc import Callable
from datetime import date

import pytest

from holdfast.rewrite.facts import (
    Column,
    Constraint,
    ConstraintKind,
    Facts,
    Index,
    NewRelations,
    Reference,
    Relation,
    RelationKind,
)
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.online import Duration, duration, rewrite
from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import as_text

TODAY = date(2026, 1, 1)
NOT_A_STEP = ("   locks", "   note", "   reads")


def name(text: str) -> QualifiedName:
    return QualifiedName(schema="public", name=text)


def index(text: str, *columns: str, table: str = "orders", **more: object) -> Index:
    return Index(
        name=name(text),
        table=name(table),
        columns=columns,
        keys=columns,
        definition="",
        **more,  # type: ignore[arg-type]  # the test names fields of Index
    )


ORDERS = Relation(
    oid=1,
    name=name("orders"),
    kind=RelationKind.TABLE,
    rows=3_000_000,
    columns=(
        Column(name="id", type="integer", not_null=True),
        Column(name="customer_id", type="integer"),
        Column(name="note", type="character varying(50)"),
        Column(name="total", type="numeric(10,2)", not_null=True),
    ),
    constraints=(
        Constraint(
            name="orders_pkey",
            kind=ConstraintKind.PRIMARY_KEY,
            columns=("id",),
            definition="PRIMARY KEY (id)",
        ),
        Constraint(
            name="orders_customer",
            kind=ConstraintKind.FOREIGN_KEY,
            columns=("customer_id",),
            definition="FOREIGN KEY (customer_id) REFERENCES customers(id)",
            references=name("customers"),
        ),
    ),
    indexes=(
        index("orders_pkey", "id", is_unique=True, constraint="orders_pkey"),
        index("orders_note", "note"),
    ),
)
CUSTOMERS = Relation(
    oid=2,
    name=name("customers"),
    kind=RelationKind.TABLE,
    columns=(Column(name="id", type="integer", not_null=True),),
    referenced_by=(Reference(table=name("orders"), constraint="orders_customer", columns=("id",)),),
)
LOG = Relation(
    oid=3,
    name=name("log"),
    kind=RelationKind.PARTITIONED_TABLE,
    rows=9_000_000,
    columns=(Column(name="a", type="integer"),),
    descendants=(name("log_1"),),
    partitions=(
        Relation(
            oid=5,
            name=name("log_1"),
            kind=RelationKind.TABLE,
            rows=9_000_000,
            columns=(Column(name="a", type="integer"),),
            partition_of=name("log"),
        ),
    ),
)
FRESH = Relation(
    oid=4,
    name=name("fresh"),
    kind=RelationKind.TABLE,
    is_new=True,
    columns=(Column(name="a", type="integer"),),
)


@pytest.fixture
def facts() -> Facts:
    """Orders of customers, a partitioned log, and a table that this revision has created."""
    tables = {table.name: table for table in (ORDERS, CUSTOMERS, LOG, FRESH)}
    indexes = [found for table in tables.values() for found in table.indexes]
    return Facts(
        server_major=18,
        relations={
            (schema, key.name): table for key, table in tables.items() for schema in ("", "public")
        },
        indexes={
            (schema, found.name.name): found for found in indexes for schema in ("", "public")
        },
        new=NewRelations(names=frozenset([name("fresh")])),
        volatile_functions=frozenset(["random"]),
    )


CheckSteps = Callable[..., None]
CheckAsWritten = Callable[..., None]


@pytest.fixture
def check_steps(facts: Facts) -> CheckSteps:
    """`check_steps(sql, step, step, ..)`: the statement is long, and these are its steps."""

    def check(sql: str, *expected: str, facts: Facts = facts) -> None:
        (statement,) = parse(sql)
        assert duration(statement, facts=facts) is Duration.LONG
        lines = as_text(rewrite(statement, facts=facts, today=TODAY)).splitlines()
        assert [line[3:] for line in lines if not line.startswith(NOT_A_STEP)] == list(expected)

    return check


@pytest.fixture
def check_as_written(facts: Facts) -> CheckAsWritten:
    """`check_as_written(sql)`: one transaction, the statement as its author wrote it."""

    def check(sql: str, *, facts: Facts = facts) -> None:
        (statement,) = parse(sql)
        assert duration(statement, facts=facts) is Duration.INSTANT
        (step,) = rewrite(statement, facts=facts, today=TODAY)
        assert step.describe() == sql

    return check
