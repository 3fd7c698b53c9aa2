"""A plan is data."""

from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.steps import (
    AutocommitStep,
    BuildIndexStep,
    DropIndexStep,
    TransactionStep,
    ValidateStep,
    as_text,
    from_json,
    to_json,
)

ORDERS = QualifiedName(schema="public", name="orders")
STEPS = (
    TransactionStep(
        sql=("SET LOCAL x = 1", "ALTER TABLE orders ADD FOREIGN KEY (a) REFERENCES b NOT VALID"),
        locks=(Lock(mode=LockMode.SHARE_ROW_EXCLUSIVE, relation=ORDERS),),
        captures_constraint_on=ORDERS,
        undo=("SELECT 1",),
    ),
    ValidateStep(table=ORDERS, scans=(ORDERS,)),
    BuildIndexStep(
        schema="public",
        index="i",
        table=ORDERS,
        sql="CREATE UNIQUE INDEX CONCURRENTLY i ON orders (a)",
        unique=True,
        keys=("a",),
    ),
    DropIndexStep(schema="public", index="i", table=ORDERS, sql="DROP INDEX CONCURRENTLY public.i"),
    AutocommitStep(sql="VACUUM orders"),
)


def test_survives_the_journal() -> None:
    """What is stored is what comes back."""
    assert from_json(to_json(STEPS)) == STEPS


def test_reads_as_text() -> None:
    """Each step with its locks, what they block, and what is read in full."""
    assert (
        as_text(STEPS)
        == """\
1. transaction: SET LOCAL x = 1
   and: ALTER TABLE orders ADD FOREIGN KEY (a) REFERENCES b NOT VALID
   locks: SHARE ROW EXCLUSIVE on public.orders (blocks writes)
2. validate: the new constraint of public.orders
   reads: public.orders in full
3. build index: CREATE UNIQUE INDEX CONCURRENTLY i ON orders (a)
4. drop index: DROP INDEX CONCURRENTLY public.i
5. autocommit: VACUUM orders"""
    )


def test_names_are_told_as_sql_has_them() -> None:
    """Whatever they are: where a name ends is seen in a line of progress."""
    index = BuildIndexStep(schema="s", index="by state", table=ORDERS, sql="", unique=True, keys=())
    drop = DropIndexStep(schema="s", index="by state", table=ORDERS, sql="")
    check = ValidateStep(table=ORDERS, constraint="Orders_a", scans=())
    assert [step.describe() for step in (index, drop, check)] == [
        'build unique index "by state" on public.orders',
        'drop index "by state" of public.orders',
        'validate constraint "Orders_a" of public.orders',
    ]
