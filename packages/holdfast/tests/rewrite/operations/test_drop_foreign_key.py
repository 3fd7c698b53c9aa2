"""DROP CONSTRAINT of a foreign key."""

from collections.abc import Callable

Check = Callable[..., None]


def test_before_the_rest(check_steps: Check) -> None:
    """It locks two tables."""
    check_steps(
        "alter table orders add column x int, drop constraint orders_customer",
        "transaction: ALTER TABLE public.orders DROP CONSTRAINT orders_customer",
        "transaction: ALTER TABLE public.orders ADD COLUMN x int",
    )


def test_replaced_without_a_gap(check_steps: Check) -> None:
    """The new one, for new rows, in the statement that drops the old one."""
    check_steps(
        "alter table orders drop constraint orders_customer, add constraint orders_customer"
        " foreign key (customer_id) references customers on delete cascade",
        "transaction: ALTER TABLE public.orders DROP CONSTRAINT orders_customer,"
        " ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES public.customers"
        " ON DELETE CASCADE NOT VALID",
        "validate: orders_customer of public.orders",
    )


def test_alone(check_as_written: Check) -> None:
    """It has its transaction."""
    check_as_written("alter table orders drop constraint orders_customer")
