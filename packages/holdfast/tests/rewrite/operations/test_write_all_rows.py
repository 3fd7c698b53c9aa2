"""UPDATE and DELETE."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.online import rewrite
from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import BackfillStep

Check = Callable[..., None]


def test_the_statements_of_its_batches(facts: Facts) -> None:
    """Along the primary key; the condition stays."""
    (statement,) = parse("update orders as o set total = o.total * 2 where note = 'a' or id < 5")
    (step,) = rewrite(statement, facts=facts, today=date(2026, 1, 1))
    assert isinstance(step, BackfillStep)
    last_key = "SELECT CAST(id AS text) FROM ({}) AS batch ORDER BY id DESC LIMIT 1"
    write = "UPDATE public.orders o SET total = o.total * 2 WHERE (note = 'a' OR id < 5) AND {}"
    orders = "SELECT id FROM public.orders"
    beyond = "WHERE (id) > (CAST($1 AS integer))"
    assert step.key == ("id",)
    assert step.first == last_key.format(f"{orders} ORDER BY id LIMIT CAST($1 AS bigint)")
    assert step.next == last_key.format(f"{orders} {beyond} ORDER BY id LIMIT CAST($2 AS bigint)")
    assert step.first_batch == write.format("o.id <= $1::int")
    assert step.batch == write.format("(o.id > $1::int AND o.id <= $2::int)")


@pytest.mark.parametrize(
    "sql",
    [
        "update orders set id = id + 1",
        "update orders set customer_id = 5",
        "update orders set total = (select 1)",
        "update orders set total = 1 from customers",
        "with x as (select 1) update orders set total = 1",
        "delete from orders using customers",
        "delete from customers",
        "update log set a = 1",
        "update fresh set a = 1",
        "update orders set total = 1 where note = 'a' and id = 5",
        "update orders set total = 1 where orders.id in (1, 2, 3)",
        "delete from orders where id = any ('{1, 2}')",
        "insert into orders values (1)",
    ],
)
def test_one_statement(sql: str, check_as_written: Check) -> None:
    """Keys, foreign keys, other tables, partitions, new tables, rows picked by key."""
    check_as_written(sql)


def test_triggers_have_their_own_idea(facts: Facts, check_as_written: Check) -> None:
    """What a trigger does for each row is not known."""
    orders = replace(facts.relations["", "orders"], triggers=("audit",))
    check_as_written(
        "update orders set total = 1", facts=replace(facts, relations={("", "orders"): orders})
    )
