"""ADD FOREIGN KEY."""

from collections.abc import Callable
from dataclasses import replace

from holdfast.rewrite.facts import Facts

Check = Callable[..., None]


def test_from_a_new_table_to_one_in_use(check_steps: Check) -> None:
    """The table in use is locked for a moment, not while the new one is read."""
    check_steps(
        "alter table fresh add constraint k foreign key (a) references customers",
        "transaction: ALTER TABLE public.fresh ADD CONSTRAINT k FOREIGN KEY (a)"
        " REFERENCES public.customers NOT VALID",
        "validate: k of public.fresh",
    )


def test_two_foreign_keys_are_two_units(check_steps: Check) -> None:
    """Each locks two tables; one that is NOT VALID, too."""
    check_steps(
        "alter table orders add foreign key (id) references customers not valid,"
        " add constraint k foreign key (id) references orders",
        "transaction: ALTER TABLE public.orders ADD FOREIGN KEY (id) REFERENCES public.customers"
        " NOT VALID",
        "transaction: ALTER TABLE public.orders ADD CONSTRAINT k FOREIGN KEY (id)"
        " REFERENCES public.orders NOT VALID",
        "validate: k of public.orders",
    )


def test_between_new_tables(check_as_written: Check) -> None:
    """Nobody uses either of them."""
    check_as_written("alter table fresh add foreign key (a) references fresh (a)")


def test_a_partitioned_table_before_18(facts: Facts, check_steps: Check) -> None:
    """It takes NOT VALID from PostgreSQL 18 on; before, each partition has the foreign key before the table does."""
    sql = "alter table log add foreign key (a) references customers"
    check_steps(
        sql,
        "transaction: ALTER TABLE public.log ADD FOREIGN KEY (a) REFERENCES public.customers NOT VALID",
        "validate: the new constraint of public.log",
    )
    check_steps(
        sql,
        "transaction: ALTER TABLE public.log_1 ADD CONSTRAINT log_a_fkey FOREIGN KEY (a)"
        " REFERENCES public.customers NOT VALID",
        "validate: log_a_fkey of public.log_1",
        "partitions: what is still lacking on one of public.log",
        "transaction: ALTER TABLE public.log ADD CONSTRAINT log_a_fkey FOREIGN KEY (a)"
        " REFERENCES public.customers",
        facts=replace(facts, server_major=17),
    )
