"""ADD PRIMARY KEY."""

from collections.abc import Callable
from dataclasses import replace

from holdfast.rewrite.facts import Facts

Check = Callable[..., None]


def test_not_null_comes_first(facts: Facts, check_steps: Check) -> None:
    """A column that is NOT NULL already needs nothing."""
    orders = facts.relations["", "orders"]
    without_key = {("", "orders"): replace(orders, constraints=())}
    check_steps(
        "alter table orders add primary key (id, note)",
        "transaction: ALTER TABLE public.orders ADD NOT NULL note NOT VALID",
        "validate: the new constraint of public.orders",
        "build index: CREATE UNIQUE INDEX CONCURRENTLY orders_pkey ON public.orders"
        " USING btree (id, note)",
        "transaction: ALTER TABLE public.orders ADD CONSTRAINT orders_pkey PRIMARY KEY"
        " USING INDEX orders_pkey",
        facts=replace(facts, relations=without_key),
    )


def test_a_second_one_is_postgresqls_to_refuse(check_as_written: Check) -> None:
    """Before an index has been built for it."""
    check_as_written("alter table orders add primary key (note)")
