"""DROP COLUMN."""

from collections.abc import Callable
from dataclasses import replace

from holdfast.rewrite.facts import DependentView, Facts
from holdfast.rewrite.names import QualifiedName

Check = Callable[..., None]


def test_its_indexes_and_foreign_keys_go_first(check_steps: Check) -> None:
    """Each in a step of its own."""
    check_steps(
        "alter table orders drop column note, drop column customer_id",
        "drop index: DROP INDEX CONCURRENTLY public.orders_note",
        "transaction: ALTER TABLE public.orders DROP CONSTRAINT orders_customer",
        "transaction: ALTER TABLE public.orders DROP note, DROP customer_id",
    )


def test_nothing_is_dropped_ahead_of_a_refusal(facts: Facts, check_as_written: Check) -> None:
    """A view needs the column: PostgreSQL will say so."""
    view = DependentView(name=QualifiedName(schema="public", name="v"), columns=("note",))
    orders = replace(facts.relations["", "orders"], dependent_views=(view,))
    check_as_written(
        "alter table orders drop column note",
        facts=replace(facts, relations={("", "orders"): orders}),
    )


def test_a_column_that_nothing_is_built_on(check_as_written: Check) -> None:
    """It is over in a moment."""
    check_as_written("alter table orders drop column total")
