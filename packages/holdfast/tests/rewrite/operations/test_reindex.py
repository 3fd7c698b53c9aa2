"""REINDEX."""

from collections.abc import Callable
from dataclasses import replace

from holdfast.rewrite.facts import Facts

Check = Callable[..., None]


def test_concurrently(check_steps: Check) -> None:
    """Whether its author wrote it or not, whatever the options."""
    for written in ("reindex table orders", "reindex table concurrently orders"):
        check_steps(written, "reindex: REINDEX (CONCURRENTLY) TABLE public.orders")
    check_steps(
        "reindex (verbose) index orders_note",
        "reindex: REINDEX (VERBOSE, CONCURRENTLY) INDEX public.orders_note",
    )


def test_an_invalid_index_of_a_table(facts: Facts, check_steps: Check) -> None:
    """It is left out by REINDEX TABLE CONCURRENTLY, and built by the plain one: so it gets a REINDEX of its own."""
    orders = facts.relations["", "orders"]
    first, second = orders.indexes
    broken = replace(orders, indexes=(first, replace(second, is_valid=False)))
    check_steps(
        "reindex table orders",
        "reindex: REINDEX (CONCURRENTLY) TABLE public.orders",
        "reindex: REINDEX (CONCURRENTLY) INDEX public.orders_note",
        facts=replace(facts, relations={("", "orders"): broken}),
    )


def test_a_new_table_is_nobodys(check_as_written: Check) -> None:
    """Nobody waits for it."""
    check_as_written("reindex table fresh")
