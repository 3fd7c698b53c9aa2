"""ALTER COLUMN TYPE."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from holdfast.errors.statement import LongStatement
from holdfast.rewrite.column_copy.facts import (
    ChangedTable,
    ChangingColumn,
    Conversion,
    Dependent,
    DependentIndex,
    DependentKey,
    UsedFunction,
    UserTrigger,
)
from holdfast.rewrite.facts import Constraint, ConstraintKind, Facts
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.online import rewrite
from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import BatchStep, TransactionStep

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


def tried(facts: Facts, *changes: Conversion, **known: object) -> Facts:
    """What PostgreSQL said when it tried the change of these columns of orders."""
    table = ChangedTable(
        table=QualifiedName(schema="public", name="orders"),
        oid=1,
        server_major=18,
        changes=changes,
        columns=tuple(
            ChangingColumn(name=change.column, attnum=number, not_null=change.column != "note")
            for number, change in enumerate(changes, start=1)
        ),
        key=("id",),
        **known,  # type: ignore[arg-type]  # the test names fields of ChangedTable
    )
    return replace(facts, type_changes=(table,))


def a_partition(*, default: str | None = None, **known: object) -> ChangedTable:
    return ChangedTable(
        table=QualifiedName(schema="public", name="part"),
        oid=2,
        parent=1,
        server_major=18,
        changes=(),
        columns=(ChangingColumn(name="id", attnum=1, not_null=True, default=default),),
        **known,  # type: ignore[arg-type]  # the test names fields of ChangedTable
    )


PART = QualifiedName(schema="public", name="part")
FREE = Conversion(column="note", new_type="text")
TO_BIGINT = Conversion(column="id", new_type="bigint", rewrites=True, is_steady=True)


def test_a_check_is_taken_off_and_put_on_again(with_check: Facts, check_steps: Check) -> None:
    """With its comment, in the same transaction; its rows are read afterwards."""
    check_steps(
        "alter table orders alter note type text",
        "transaction: ALTER TABLE public.orders DROP CONSTRAINT k, ALTER COLUMN note TYPE text",
        "and: ALTER TABLE public.orders ADD CONSTRAINT k CHECK (note::text <> ''::text) NOT VALID",
        "and: COMMENT ON CONSTRAINT k ON public.orders IS 'Said.'",
        "validate: k of public.orders",
        facts=tried(with_check, FREE),
    )


def test_two_columns_of_one_check(with_check: Facts, check_steps: Check) -> None:
    """Too tangled: refused."""
    wider = Conversion(column="total", new_type="numeric(12,2)")
    with pytest.raises(LongStatement):
        check_steps(
            "alter table orders alter note type text, alter total type numeric(12, 2)",
            facts=tried(with_check, FREE, wider),
        )


def test_another_type(facts: Facts, check_steps: Check) -> None:
    """Every row would be rewritten: the column is copied, and the copy put in its place."""
    function = """holdfast."copy of public.orders"()"""
    triggers = """'~~holdfast i', '~~holdfast u'"""
    check_steps(
        "alter table orders alter id type bigint",
        "look: rows that have no value of type bigint for id in public.orders",
        "batch: ALTER TABLE public.orders ADD COLUMN id_holdfast bigint",
        f"and: CREATE OR REPLACE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql AS 'BEGIN BEGIN"
        " new.id_holdfast := new.id; EXCEPTION WHEN others THEN new.id_holdfast := NULL; END; RETURN new; END'",
        'and: CREATE TRIGGER "~~holdfast i" BEFORE INSERT ON public.orders FOR EACH ROW'
        f" EXECUTE FUNCTION {function}",
        'and: CREATE TRIGGER "~~holdfast u" BEFORE UPDATE ON public.orders FOR EACH ROW WHEN'
        " (new.id_holdfast IS NULL OR NOT pg_catalog.record_image_eq(row(old.id), row(new.id)))"
        f" EXECUTE FUNCTION {function}",
        'and: ALTER TABLE public.orders ENABLE ALWAYS TRIGGER "~~holdfast i",'
        ' ENABLE ALWAYS TRIGGER "~~holdfast u"',
        f"and: EXECUTE format('COMMENT ON FUNCTION {function} IS %L', pg_current_xact_id()::xid)",
        "copy rows: UPDATE ONLY public.orders SET id_holdfast = id"
        " WHERE id_holdfast IS NULL AND id IS NOT NULL",
        f"batch: CREATE OR REPLACE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN new.id_holdfast := new.id; RETURN new; END'",
        "and: ALTER TABLE public.orders ADD CONSTRAINT id_holdfast1 NOT NULL id_holdfast NOT VALID",
        "validate: id_holdfast1 of public.orders",
        "look: rows that have no value of type bigint for id in public.orders",
        "autocommit: ANALYZE public.orders (id_holdfast)",
        "batch: IF (SELECT count(*) FROM pg_catalog.pg_trigger WHERE tgrelid ="
        f" 'public.orders'::regclass AND tgname IN ({triggers}) AND tgenabled = 'A' AND xmin::text ="
        f" obj_description('{function}'::regprocedure, 'pg_proc')) <> 2 OR EXISTS (SELECT FROM"
        " pg_catalog.pg_trigger WHERE tgrelid = 'public.orders'::regclass AND NOT tgisinternal AND"
        """ tgtype & 2 <> 0 AND tgname::text COLLATE "C" > '~~holdfast u') THEN RAISE EXCEPTION"""
        " 'the triggers that keep the copy equal have been changed' USING ERRCODE = 'HF001'; END IF",
        'and: DROP TRIGGER "~~holdfast i" ON public.orders',
        'and: DROP TRIGGER "~~holdfast u" ON public.orders',
        f"and: DROP FUNCTION {function}",
        "and: ALTER TABLE public.orders DROP COLUMN id",
        "and: ALTER TABLE public.orders RENAME COLUMN id_holdfast TO id",
        facts=tried(facts, TO_BIGINT),
    )


def test_foreign_keys_share_a_moment(facts: Facts) -> None:
    """However many lead to the column: up to four tables are locked at once, the last of them in the swap itself."""
    orders = QualifiedName(schema="public", name="orders")
    keys = tuple(
        DependentKey(
            name=f"k{number}",
            table=QualifiedName(schema="public", name=f"t{number}"),
            references=orders,
            definition="FOREIGN KEY (o) REFERENCES public.orders(id)",
            is_own=False,
            points_here=True,
            referenced=("id",),
        )
        for number in range(5)
    )
    (statement,) = parse("alter table orders alter id type bigint")
    known = tried(facts, TO_BIGINT, foreign_keys=keys)
    steps = rewrite(statement, facts=known, today=date(2026, 1, 1))
    moments = [step.locks for step in steps if isinstance(step, BatchStep)]
    assert [" ".join(lock.relation.name for lock in locks) for locks in moments] == [
        "orders",
        "orders",
        "t0 orders t1 t2",
        "t3 orders t4",
        "t0 orders t1 t2",
        "orders t3 t4",
    ]


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"published_by": "p"}, "The publication p sends all columns of the table"),
        ({"inherits": True}, "The table is a partition or inherits"),
        (
            {"is_table": False, "partitions": (a_partition(is_table=False, is_foreign=True),)},
            "The partition public.part is a foreign table",
        ),
        (
            {"is_table": False, "partitions": (a_partition(is_owned=False),)},
            "The partition public.part belongs to another role",
        ),
        (
            {"is_table": False, "partitions": (a_partition(default="7"),)},
            "id has another default in the partition public.part",
        ),
        (
            {"is_table": False, "partitions": (a_partition(),) * 301},
            "For its 301 partitions, with their indexes and keys on the column, users would wait 30.1 ms",
        ),
        ({"is_typed": True}, "The table was created OF a type."),
        ({"hides_rows": True}, "Row level security hides rows"),
        ({"row_type_used_by": "log"}, "log has a column of the row type of the table."),
        (
            {"triggers": (UserTrigger(name="a", enabled="A", fires_on_update=True),)},
            "The trigger a would fire for every row that is copied.",
        ),
        ({"has_update_rule": True, "may_set_replica_role": False}, "Its triggers on UPDATE"),
        (
            {"indexes": (DependentIndex(name="x", definition="", is_valid=False),)},
            "The index x is not valid",
        ),
    ],
)
def test_refused_with_the_reason(
    known: dict[str, object], reason: str, facts: Facts, check_steps: Check
) -> None:
    """Whatever keeps a column from being copied is found before anything has run, and named."""
    with pytest.raises(LongStatement) as raised:
        check_steps(
            "alter table orders alter id type bigint", facts=tried(facts, TO_BIGINT, **known)
        )
    assert reason in raised.value.instead


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (
            {"functions": (UsedFunction(name="f()", volatility="v", is_built_in=True),)},
            "f() in USING gives another value each time.",
        ),
        (
            {"functions": (UsedFunction(name="now()", volatility="s", is_built_in=True),)},
            "now() in USING gives another value each time.",
        ),
        (
            {"functions": (UsedFunction(name="g()", volatility="s", is_built_in=False),)},
            "g() in USING is STABLE only",
        ),
        ({"reads_clock": True}, "USING reads the clock or the session"),
        ({"reads_whole_row": True}, "USING reads a whole row."),
        ({"is_constrained_domain": True}, "bigint is a domain with a constraint"),
        ({"error": "canceling statement"}, "It could not be tried on an empty copy of the table"),
    ],
)
def test_refused_for_the_expression(
    more: dict[str, object], reason: str, facts: Facts, check_steps: Check
) -> None:
    """A new value that is not the same whenever it is computed is refused, and what could not be tried."""
    change = replace(TO_BIGINT, has_using=True, probe="CHECK ((id IS NULL))", **more)
    with pytest.raises(LongStatement) as raised:
        check_steps("alter table orders alter id type bigint", facts=tried(facts, change))
    assert reason in raised.value.instead


def test_beside_what_changes_the_column_otherwise(facts: Facts, check_steps: Check) -> None:
    """The copy is made from what was there: refused, with the way to write it."""
    with pytest.raises(LongStatement) as raised:
        check_steps(
            "alter table orders alter id type bigint, add check (id > 0)",
            facts=tried(facts, TO_BIGINT),
        )
    assert "Write the change of the type as a statement of its own" in raised.value.instead


def test_what_postgresql_refuses_stays_its_own_error(facts: Facts, check_steps: Check) -> None:
    """The statement runs by itself, and fails before it has done anything; or does not fail any more by then."""
    view = Dependent(what="rule _RETURN on view v", identity='"_RETURN" on public.v')
    check_steps(
        "alter table orders alter id type bigint",
        "transaction: ALTER TABLE public.orders ALTER COLUMN id TYPE bigint",
        facts=tried(facts, TO_BIGINT, dependents=(view,)),
    )


def test_allowed_by_its_author(facts: Facts) -> None:
    """Whoever needs the order of the columns may have the statement as it is written."""
    (statement,) = parse(
        "alter table orders alter id type bigint -- holdfast: allow small until 2026-01-02"
    )
    (step,) = rewrite(statement, facts=tried(facts, TO_BIGINT), today=date(2026, 1, 1))
    assert isinstance(step, TransactionStep)


def test_a_wider_type(facts: Facts, check_as_written: Check) -> None:
    """It is over in a moment."""
    wider = Conversion(column="note", new_type="character varying(60)")
    check_as_written("alter table orders alter note type varchar(60)", facts=tried(facts, wider))


@pytest.mark.parametrize(
    ("sql", "known"),
    [
        ("ALTER TABLE ONLY orders ALTER COLUMN id TYPE bigint", {"descendants": (PART,)}),
        ("ALTER TABLE orders ALTER COLUMN id TYPE bigint", {"partition_of": PART}),
    ],
)
def test_a_part_of_the_tables(
    sql: str, known: dict[str, object], facts: Facts, check_as_written: Check
) -> None:
    """Whatever is left out, what is below or what is above: PostgreSQL refuses it at once, in its words."""
    orders = replace(facts.relations["", "orders"], **known)
    part = replace(facts, relations={("", "orders"): orders})
    check_as_written(sql, facts=tried(part, TO_BIGINT, inherits=True))
