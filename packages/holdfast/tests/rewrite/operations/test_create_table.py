"""CREATE TABLE."""

from collections.abc import Callable
from dataclasses import replace

from holdfast.rewrite.facts import Facts

Check = Callable[..., None]


def test_foreign_keys_to_tables_in_use_come_later(check_steps: Check) -> None:
    """Those to itself and to new tables stay where they are."""
    check_steps(
        "create table x (id int primary key, x_id int references x, f int references fresh (a),"
        " c int references customers not null, constraint k foreign key (c) references orders)",
        "transaction: CREATE TABLE public.x (id int PRIMARY KEY, x_id int REFERENCES x,"
        " f int REFERENCES fresh (a), c int NOT NULL)",
        "transaction: ALTER TABLE public.x ADD FOREIGN KEY (c) REFERENCES public.customers"
        " NOT VALID",
        "validate: the new constraint of public.x",
        "transaction: ALTER TABLE public.x ADD CONSTRAINT k FOREIGN KEY (c)"
        " REFERENCES public.orders NOT VALID",
        "validate: k of public.x",
    )


def test_nothing_to_take_out(check_as_written: Check) -> None:
    """No lock on a table in use."""
    check_as_written("create table x (id int primary key, f int references fresh (a))")
    check_as_written("create table x (c int references missing)")


def test_it_is_there_already(check_as_written: Check) -> None:
    """IF NOT EXISTS is content."""
    check_as_written("create table if not exists orders (c int references customers)")


def test_a_partitioned_table_before_18(facts: Facts, check_as_written: Check) -> None:
    """Its foreign keys cannot be NOT VALID; the table is empty."""
    check_as_written(
        "create table x (c int references customers) partition by list (c)",
        facts=replace(facts, server_major=17),
    )
