"""CREATE INDEX."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.online import rewrite
from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import BuildIndexStep

Check = Callable[..., None]
TODAY = date(2026, 1, 1)


def test_concurrently_under_its_final_name(check_steps: Check) -> None:
    """The name is PostgreSQL's own choice, the table is named with its schema."""
    check_steps(
        "create index on orders (total)",
        "build index: CREATE INDEX CONCURRENTLY orders_total_idx ON public.orders"
        " USING btree (total)",
    )


def test_an_expression_gets_its_statistics(check_steps: Check) -> None:
    """The planner knows nothing of its values before ANALYZE."""
    check_steps(
        "create index by_note on orders (id, lower(note))",
        "build index: CREATE INDEX CONCURRENTLY by_note ON public.orders USING btree (id, lower(note))",
        "autocommit: ANALYZE public.orders",
    )


def test_a_new_table_is_nobodys(check_as_written: Check) -> None:
    """Nobody waits for a table that this revision has created."""
    check_as_written("create index on fresh (a)")


def test_if_not_exists_is_content_with_a_valid_index(facts: Facts) -> None:
    """There is nothing to do."""
    (statement,) = parse("create index if not exists orders_note on orders (total)")
    assert rewrite(statement, facts=facts, today=TODAY) == ()


def test_an_invalid_index_is_built_anew(facts: Facts, check_steps: Check) -> None:
    """IF NOT EXISTS would report success over it."""
    orders = facts.relations["", "orders"]
    broken = tuple(replace(index, is_valid=False) for index in orders.indexes)
    relations = {("", "orders"): replace(orders, indexes=broken)}
    check_steps(
        "create index if not exists orders_note on orders (note)",
        "build index: CREATE INDEX CONCURRENTLY orders_note ON public.orders USING btree (note)",
        facts=replace(facts, relations=relations, indexes={}),
    )


def test_a_taken_name_is_postgresqls_to_refuse(check_as_written: Check) -> None:
    """The error is the one that everybody knows."""
    check_as_written("create index orders_note on orders (total)")


def test_a_unique_index_says_how_to_find_duplicates(facts: Facts) -> None:
    """Its keys as SQL, its condition, and whether NULL counts."""
    (statement,) = parse(
        "create unique index i on orders (lower(note), id) nulls not distinct where total > 5"
    )
    step = rewrite(statement, facts=facts, today=TODAY)[0]
    assert isinstance(step, BuildIndexStep)
    assert (step.unique, step.keys, step.where, step.nulls_not_distinct) == (
        True,
        ("lower(note)", "id"),
        "total > 5",
        True,
    )
