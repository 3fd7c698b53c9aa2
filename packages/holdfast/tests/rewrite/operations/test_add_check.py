"""ADD CHECK."""

from collections.abc import Callable

Check = Callable[..., None]


def test_for_new_rows_then_for_all(check_steps: Check) -> None:
    """The name of an unnamed constraint is PostgreSQL's."""
    check_steps(
        "alter table orders add check (total > 0)",
        "transaction: ALTER TABLE public.orders ADD CHECK (total > 0) NOT VALID",
        "validate: the new constraint of public.orders",
    )


def test_not_valid_and_not_enforced_read_nothing(check_as_written: Check) -> None:
    """The author has done it already."""
    check_as_written("alter table orders add check (total > 0) not valid")
    check_as_written("alter table orders add check (total > 0) not enforced")
