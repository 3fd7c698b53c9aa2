"""ALTER COLUMN TYPE."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from holdfast.errors.statement import LongStatement
from holdfast.rewrite.facts import Constraint, ConstraintKind, Facts

Check = Callable[..., None]


@pytest.fixture
def with_check(facts: Facts) -> Facts:
    check = Constraint(
        name="k",
        kind=ConstraintKind.CHECK,
        columns=("note", "total"),
        definition="CHECK (((note)::text <> ''::text))",
        comment="Said.",
    )
    orders = replace(facts.relations["", "orders"], constraints=(check,))
    return replace(facts, relations={("", "orders"): orders})


def test_a_check_is_taken_off_and_put_on_again(with_check: Facts, check_steps: Check) -> None:
    """With its comment, in the same transaction; its rows are read afterwards."""
    check_steps(
        "alter table orders alter note type text",
        "transaction: ALTER TABLE public.orders DROP CONSTRAINT k, ALTER COLUMN note TYPE text",
        "and: ALTER TABLE public.orders ADD CONSTRAINT k CHECK (note::text <> ''::text) NOT VALID",
        "and: COMMENT ON CONSTRAINT k ON public.orders IS 'Said.'",
        "validate: k of public.orders",
        facts=with_check,
    )


def test_two_columns_of_one_check(with_check: Facts, check_steps: Check) -> None:
    """Too tangled: refused."""
    with pytest.raises(LongStatement):
        check_steps(
            "alter table orders alter note type text, alter total type numeric(12, 2)",
            facts=with_check,
        )


def test_another_type(check_steps: Check) -> None:
    """Every row would be rewritten: refused."""
    with pytest.raises(LongStatement):
        check_steps("alter table orders alter id type bigint")


def test_a_wider_type(check_as_written: Check) -> None:
    """It is over in a moment."""
    check_as_written("alter table orders alter note type varchar(60)")
