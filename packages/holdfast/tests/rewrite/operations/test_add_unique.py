"""ADD UNIQUE."""

from collections.abc import Callable
from dataclasses import replace

from holdfast.rewrite.facts import Facts

Check = Callable[..., None]


def test_an_index_is_built_and_taken_over(check_steps: Check) -> None:
    """Under the name of the constraint."""
    check_steps(
        "alter table orders add constraint k unique (note, id) deferrable",
        "build index: CREATE UNIQUE INDEX CONCURRENTLY k ON public.orders USING btree (note, id)",
        "transaction: ALTER TABLE public.orders ADD CONSTRAINT k UNIQUE USING INDEX k DEFERRABLE",
    )


def test_a_chosen_name_is_free(facts: Facts, check_steps: Check) -> None:
    """Of two without a name in one statement, the second takes the next number, too."""
    taken = {"public": frozenset(["orders_note_key"])}
    check_steps(
        "alter table orders add unique (note), add unique (note)",
        "build index: CREATE UNIQUE INDEX CONCURRENTLY orders_note_key1 ON public.orders"
        " USING btree (note)",
        "transaction: ALTER TABLE public.orders ADD CONSTRAINT orders_note_key1 UNIQUE"
        " USING INDEX orders_note_key1",
        "build index: CREATE UNIQUE INDEX CONCURRENTLY orders_note_key2 ON public.orders"
        " USING btree (note)",
        "transaction: ALTER TABLE public.orders ADD CONSTRAINT orders_note_key2 UNIQUE"
        " USING INDEX orders_note_key2",
        facts=replace(facts, taken_names=taken),
    )


def test_with_an_index_that_is_there(check_as_written: Check) -> None:
    """It is over in a moment."""
    check_as_written("alter table orders add unique using index i")
