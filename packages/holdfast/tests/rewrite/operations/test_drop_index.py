"""DROP INDEX."""

from collections.abc import Callable
from dataclasses import replace

from holdfast.rewrite.facts import Facts

Check = Callable[..., None]


def test_concurrently(check_steps: Check) -> None:
    """What IF EXISTS does not find is left out."""
    check_steps(
        "drop index if exists missing, orders_note",
        "drop index: DROP INDEX CONCURRENTLY public.orders_note",
    )


def test_what_postgresql_refuses_it_refuses(check_as_written: Check) -> None:
    """A missing index, and one that a constraint needs, fail before anything is dropped."""
    check_as_written("drop index orders_note, missing")
    check_as_written("drop index orders_note, orders_pkey")


def test_partitions_have_no_concurrent_form(facts: Facts, check_as_written: Check) -> None:
    """The index of a partitioned table goes as it is written."""
    over_partitions = replace(facts.indexes["", "orders_note"], is_partitioned=True)
    check_as_written(
        "drop index orders_note",
        facts=replace(facts, indexes={("", "orders_note"): over_partitions}),
    )
