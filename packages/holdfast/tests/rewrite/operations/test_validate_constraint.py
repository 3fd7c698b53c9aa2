"""VALIDATE CONSTRAINT."""

from collections.abc import Callable
from dataclasses import replace

from holdfast.rewrite.facts import Facts

Check = Callable[..., None]


def test_after_everything_else(facts: Facts, check_steps: Check) -> None:
    """Not under the lock of another action."""
    orders = facts.relations["", "orders"]
    constraints = tuple(replace(found, is_validated=False) for found in orders.constraints)
    relations = {("", "orders"): replace(orders, constraints=constraints)}
    check_steps(
        "alter table orders validate constraint orders_customer, add column x int",
        "transaction: ALTER TABLE public.orders ADD COLUMN x int",
        "validate: orders_customer of public.orders",
        facts=replace(facts, relations=relations),
    )


def test_it_is_valid_already(check_as_written: Check) -> None:
    """Nothing is read."""
    check_as_written("alter table orders validate constraint orders_customer")
