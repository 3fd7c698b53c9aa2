"""SET NOT NULL."""

from collections.abc import Callable
from dataclasses import replace

from holdfast.rewrite.facts import Constraint, ConstraintKind, Facts

Check = Callable[..., None]


def with_check(facts: Facts, *, is_validated: bool = True) -> Facts:
    check = Constraint(
        name="k",
        kind=ConstraintKind.CHECK,
        columns=("note",),
        definition="CHECK ((note IS NOT NULL))",
        is_validated=is_validated,
    )
    orders = replace(facts.relations["", "orders"], constraints=(check,))
    return replace(facts, relations={("", "orders"): orders})


def test_since_18(check_steps: Check) -> None:
    """As a constraint of its own, whose name PostgreSQL chooses."""
    check_steps(
        "alter table orders alter note set not null",
        "transaction: ALTER TABLE public.orders ADD NOT NULL note NOT VALID",
        "validate: the new constraint of public.orders",
    )


def test_before_18(facts: Facts, check_steps: Check) -> None:
    """A CHECK proves it, and goes in the same transaction, in a statement behind it."""
    check_steps(
        "alter table orders alter note set not null",
        "transaction: ALTER TABLE public.orders ADD CONSTRAINT orders_note_not_null"
        " CHECK (note IS NOT NULL) NOT VALID",
        "validate: orders_note_not_null of public.orders",
        "transaction: ALTER TABLE public.orders ALTER COLUMN note SET NOT NULL",
        "and: ALTER TABLE public.orders DROP CONSTRAINT orders_note_not_null",
        facts=replace(facts, server_major=17),
    )


def test_it_is_not_null_already(check_as_written: Check) -> None:
    """Nothing is read."""
    check_as_written("alter table orders alter total set not null")


def test_a_check_proves_it(facts: Facts, check_as_written: Check) -> None:
    """Nothing is read."""
    check_as_written("alter table orders alter note set not null", facts=with_check(facts))


def test_a_check_that_is_not_valid_proves_nothing(facts: Facts, check_steps: Check) -> None:
    """The rows have to be read."""
    check_steps(
        "alter table orders alter note set not null",
        "transaction: ALTER TABLE public.orders ADD NOT NULL note NOT VALID",
        "validate: the new constraint of public.orders",
        facts=with_check(facts, is_validated=False),
    )


def test_the_proof_is_dropped_last(facts: Facts, check_steps: Check) -> None:
    """In one ALTER TABLE it would be dropped first, and every row read under the lock."""
    check_steps(
        "alter table orders alter note set not null, drop constraint k",
        "transaction: ALTER TABLE public.orders ALTER COLUMN note SET NOT NULL",
        "transaction: ALTER TABLE public.orders DROP CONSTRAINT k",
        facts=with_check(facts),
    )
