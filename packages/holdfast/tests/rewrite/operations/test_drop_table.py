"""DROP TABLE."""

from collections.abc import Callable

Check = Callable[..., None]


def test_table_by_table(check_steps: Check) -> None:
    """Sorted by name, after the foreign keys between them."""
    check_steps(
        "drop table if exists orders, customers, missing",
        "transaction: ALTER TABLE public.orders DROP CONSTRAINT orders_customer",
        "transaction: DROP TABLE public.customers",
        "transaction: DROP TABLE public.orders",
    )


def test_cascade_takes_foreign_keys_of_others(check_steps: Check) -> None:
    """Each in a transaction of its own."""
    check_steps(
        "drop table customers cascade",
        "transaction: ALTER TABLE public.orders DROP CONSTRAINT orders_customer",
        "transaction: DROP TABLE public.customers CASCADE",
    )


def test_what_postgresql_refuses_it_refuses(check_as_written: Check) -> None:
    """Another table points to it, or a table is missing: before anything is dropped."""
    check_as_written("drop table customers")
    check_as_written("drop table orders, missing")


def test_partitions_go_with_their_table(check_as_written: Check) -> None:
    """In one statement."""
    check_as_written("drop table log")


def test_new_tables(check_as_written: Check) -> None:
    """Nobody uses them."""
    check_as_written("drop table fresh")
