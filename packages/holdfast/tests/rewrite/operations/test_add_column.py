"""ADD COLUMN."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from holdfast.errors.statement import LongStatement
from holdfast.rewrite.facts import Facts

Check = Callable[..., None]


def test_deferrable_goes_with_its_constraint(check_steps: Check) -> None:
    """The parser gives it as a node of its own."""
    check_steps(
        "alter table orders add column x int default 5"
        " constraint k references customers deferrable initially deferred not null",
        "transaction: ALTER TABLE public.orders ADD COLUMN x int DEFAULT 5 NOT NULL",
        "transaction: ALTER TABLE public.orders ADD CONSTRAINT k FOREIGN KEY (x)"
        " REFERENCES public.customers DEFERRABLE INITIALLY DEFERRED NOT VALID",
        "validate: k of public.orders",
    )


def test_each_row_another_value(check_steps: Check) -> None:
    """Rows that are inserted meanwhile have theirs; the others get it in batches."""
    check_steps(
        "alter table orders add column x float default random()",
        "transaction: ALTER TABLE public.orders ADD COLUMN x double precision",
        "and: ALTER TABLE public.orders ALTER COLUMN x SET DEFAULT random()",
        "backfill: UPDATE public.orders SET x = DEFAULT WHERE x IS NULL",
    )


def test_without_a_key(facts: Facts, check_steps: Check) -> None:
    """Whether there is none, or the same statement drops it: the rows are filled block by block of the table."""
    orders = replace(facts.relations["", "orders"], indexes=())
    check_steps(
        "alter table orders add column x float default random()",
        "transaction: ALTER TABLE public.orders ADD COLUMN x double precision",
        "and: ALTER TABLE public.orders ALTER COLUMN x SET DEFAULT random()",
        "fill rows: UPDATE ONLY public.orders SET x = DEFAULT WHERE x IS NULL",
        facts=replace(facts, relations={("", "orders"): orders}),
    )
    check_steps(
        "alter table orders add column x float default random(), drop column id",
        "transaction: ALTER TABLE public.orders ADD COLUMN x double precision, DROP id",
        "and: ALTER TABLE public.orders ALTER COLUMN x SET DEFAULT random()",
        "fill rows: UPDATE ONLY public.orders SET x = DEFAULT WHERE x IS NULL",
    )


IN_THE_WAY = {
    "a trigger that each UPDATE fires": (
        {"triggers": ("audit",), "update_triggers": ("audit",)},
        (
            "public.orders has a trigger that each UPDATE fires (audit), so its rows are not written in batches. Let it"
            " fire for its own columns only, in a revision before this one: CREATE OR REPLACE TRIGGER ... UPDATE OF"
            " its columns."
        ),
    ),
}


@pytest.mark.parametrize("column", ["x float default random()", "x serial"])
@pytest.mark.parametrize(("changed", "words"), IN_THE_WAY.values(), ids=IN_THE_WAY)
def test_what_is_in_the_way_is_named(
    facts: Facts, check_steps: Check, column: str, changed: dict[str, object], words: str
) -> None:
    """Whatever keeps the rows from being filled, the refusal says it and how to make room for it."""
    orders = replace(facts.relations["", "orders"], **changed)  # type: ignore[arg-type]  # fields of it
    with pytest.raises(LongStatement) as refused:
        check_steps(
            f"alter table orders add column {column}",
            facts=replace(facts, relations={("", "orders"): orders}),
        )
    assert words in str(refused.value)


def test_a_trigger_that_the_filling_does_not_fire(facts: Facts, check_steps: Check) -> None:
    """On INSERT, on other columns, or switched off: it is nobody's reason to refuse."""
    orders = replace(facts.relations["", "orders"], triggers=("on_insert",))
    check_steps(
        "alter table orders add column x float default random()",
        "transaction: ALTER TABLE public.orders ADD COLUMN x double precision",
        "and: ALTER TABLE public.orders ALTER COLUMN x SET DEFAULT random()",
        "backfill: UPDATE public.orders SET x = DEFAULT WHERE x IS NULL",
        facts=replace(facts, relations={("", "orders"): orders}),
    )


def test_a_name_for_not_null(check_steps: Check) -> None:
    """PostgreSQL 18 keeps it."""
    check_steps(
        "alter table orders add column x int constraint k not null default random()",
        "transaction: ALTER TABLE public.orders ADD COLUMN x int",
        "and: ALTER TABLE public.orders ALTER COLUMN x SET DEFAULT random()",
        "backfill: UPDATE public.orders SET x = DEFAULT WHERE x IS NULL",
        "transaction: ALTER TABLE public.orders ADD CONSTRAINT k NOT NULL x NOT VALID",
        "validate: k of public.orders",
    )


def test_it_is_there_already(check_as_written: Check) -> None:
    """IF NOT EXISTS is content."""
    check_as_written("alter table orders add column if not exists note text unique")
