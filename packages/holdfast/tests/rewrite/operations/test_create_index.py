"""CREATE INDEX."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

from holdfast.rewrite.facts import Facts, Index
from holdfast.rewrite.names import QualifiedName
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


def test_an_index_that_is_there_is_attached(facts: Facts, check_steps: Check) -> None:
    """Whatever it is called; not one that belongs to another index, is invalid, or is of other columns."""
    definition = "CREATE INDEX by_hand ON public.log_1 USING btree (a DESC)"
    log = facts.relations["", "log"]
    index = Index(
        name=QualifiedName(schema="public", name="by_hand"),
        table=QualifiedName(schema="public", name="log_1"),
        columns=("a",),
        definition=definition,
    )

    def with_index(index: Index) -> Facts:
        partition = replace(log.partitions[0], indexes=(index,))
        return replace(facts, relations={("", "log"): replace(log, partitions=(partition,))})

    only = "transaction: CREATE INDEX i ON ONLY public.log USING btree (a)"
    look = "partitions: what is still lacking on one of public.log"
    attach = "transaction: ALTER INDEX public.i ATTACH PARTITION public.by_hand"
    sql = "create index i on log (a)"
    check_steps(sql, only, look, attach, look, facts=with_index(index))
    for other in (
        replace(index, is_valid=False),
        replace(index, parent=QualifiedName(schema="public", name="another")),
        replace(index, definition="CREATE INDEX by_hand ON public.log_1 USING hash (a)"),
        replace(index, definition="CREATE UNIQUE INDEX by_hand ON public.log_1 USING btree (a)"),
        replace(
            index, definition="CREATE INDEX by_hand ON public.log_1 USING btree (a) WHERE a > 5"
        ),
    ):
        check_steps(
            sql,
            only,
            look,
            "build index: CREATE INDEX CONCURRENTLY log_1_a_idx ON public.log_1 USING btree (a)",
            "transaction: ALTER INDEX public.i ATTACH PARTITION public.log_1_a_idx",
            look,
            facts=with_index(other),
        )
