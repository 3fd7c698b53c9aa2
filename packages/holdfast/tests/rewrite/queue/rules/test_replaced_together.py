"""What is taken away and given back is one moment, whatever it is of; what has nothing to do with it comes before."""

from dataclasses import replace
from datetime import date

import pytest

from holdfast.errors.statement import TornApart
from holdfast.rewrite.facts import (
    Column,
    Constraint,
    ConstraintKind,
    Facts,
    Relation,
    RelationKind,
)
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.queue.expected_facts import expected
from holdfast.rewrite.queue.plan_queue import lasts_with_open, plan_queue
from holdfast.rewrite.queue.unit_steps import steps_of_unit
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import TransactionStep

TABLE = QualifiedName(schema="public", name="t")
FACTS = Facts(
    server_major=18,
    relations={
        ("", "t"): Relation(
            oid=1,
            name=TABLE,
            kind=RelationKind.TABLE,
            rows=3_000_000,
            columns=(Column(name="a", type="integer", not_null=True),),
            constraints=(
                Constraint(
                    name="one",
                    kind=ConstraintKind.CHECK,
                    columns=("a",),
                    definition="CHECK (a > 0)",
                ),
                Constraint(
                    name="two",
                    kind=ConstraintKind.CHECK,
                    columns=("a", "b"),
                    definition="CHECK (a > b)",
                ),
            ),
        )
    },
)
BETWEEN = "CREATE INDEX i ON t (a)"
PAIRS = {
    "a table": ("REVOKE ALL ON t FROM app", "GRANT SELECT ON t TO app"),
    "a schema": ("REVOKE ALL ON SCHEMA s FROM app", "GRANT USAGE ON SCHEMA s TO app"),
    "a function": (
        "REVOKE ALL ON FUNCTION s.f(int) FROM app",
        "GRANT EXECUTE ON FUNCTION s.f TO app",
    ),
    "a sequence": ("REVOKE ALL ON SEQUENCE q FROM app", "GRANT USAGE ON SEQUENCE q TO app"),
    "a type": ("REVOKE USAGE ON TYPE e FROM public", "GRANT USAGE ON TYPE e TO app"),
    "all tables": (
        "REVOKE ALL ON ALL TABLES IN SCHEMA s FROM app",
        "GRANT SELECT ON ALL TABLES IN SCHEMA s TO app",
    ),
}


def planned(*statements: str) -> list[list[str]]:
    entries = [
        QueueEntry(statement=parse(sql)[0], facts=FACTS, position=place)
        for place, sql in enumerate(statements)
    ]
    units = plan_queue(entries, today=date(2026, 1, 1))
    return [[entry.statement.sql for entry in unit.entries] for unit in units]


@pytest.mark.parametrize("of", PAIRS)
def test_privileges_of_anything_are_never_gone(of: str) -> None:
    """Between REVOKE and GRANT no user looks, whatever has the privileges."""
    revoke, grant = PAIRS[of]
    assert planned(revoke, BETWEEN, grant) == [[BETWEEN], [revoke, grant]]


def test_what_shares_columns_is_a_pair_by_its_name() -> None:
    """Whatever else is added on the same columns before it, a constraint is replaced by the one of its name."""
    drops, adds = "ALTER TABLE t DROP CONSTRAINT {}", "ALTER TABLE t ADD CONSTRAINT {} CHECK ({})"
    first, second = adds.format("one", "a > 1"), adds.format("two", "a > b")
    dropped = [drops.format("one"), drops.format("two")]
    assert planned(*dropped, first, BETWEEN, second) == [[*dropped, first, BETWEEN, second]]


def test_privileges_of_another_thing_are_no_pair() -> None:
    """What is granted on something else does not wait, and nothing waits for it."""
    revoke, grant = "REVOKE ALL ON SCHEMA s FROM app", "GRANT USAGE ON SCHEMA other TO app"
    assert planned(revoke, BETWEEN, grant) == [[revoke], [BETWEEN], [grant]]


def test_a_rule_that_is_dropped_again_is_never_seen() -> None:
    """Whatever it does to the statements of users, they send none while it is there."""
    creates = "CREATE RULE quiet AS ON INSERT TO t DO INSTEAD NOTHING"
    drops = "DROP RULE quiet ON t"
    assert planned(creates, BETWEEN, drops) == [[BETWEEN], [creates, drops]]


LENT = {
    "a table, to anybody": (
        "GRANT SELECT, INSERT ON t TO app, public",
        "REVOKE INSERT ON t FROM public",
    ),
    "all that a table has": ("GRANT ALL ON t TO app", "REVOKE UPDATE ON t FROM app"),
    "a schema": ("GRANT CREATE ON SCHEMA s TO app", "REVOKE ALL ON SCHEMA s FROM app"),
}


@pytest.mark.parametrize("of", LENT)
def test_privileges_that_are_revoked_again_are_never_seen(of: str) -> None:
    """Between GRANT and REVOKE no user looks, whatever the privilege is of, and whose it is."""
    grant, revoke = LENT[of]
    assert planned(grant, BETWEEN, revoke) == [[BETWEEN], [grant, revoke]]


NOT_LENT = {
    "another role": "REVOKE SELECT ON t FROM other",
    "another privilege": "REVOKE UPDATE ON t FROM app",
    "another table": "REVOKE SELECT ON u FROM app",
    "the right to grant it": "REVOKE GRANT OPTION FOR SELECT ON t FROM app",
}


@pytest.mark.parametrize("revoke", NOT_LENT.values(), ids=NOT_LENT)
def test_what_is_revoked_of_others_is_no_pair(revoke: str) -> None:
    """What stays granted does not wait."""
    grant = "GRANT SELECT ON t TO app"
    assert planned(grant, BETWEEN, revoke) == [[grant], [BETWEEN], [revoke]]


NULLABLE, REQUIRED = "ALTER TABLE t ALTER a DROP NOT NULL", "ALTER TABLE t ALTER a SET NOT NULL"


def test_a_column_is_never_nullable_for_a_while() -> None:
    """Whatever stands between DROP NOT NULL and SET NOT NULL; but a write between them is what its author wants."""
    assert planned(NULLABLE, BETWEEN, REQUIRED) == [[BETWEEN], [NULLABLE, REQUIRED]]
    write = "UPDATE t SET a = NULL WHERE b = 1"
    assert planned(NULLABLE, write, REQUIRED) == [[NULLABLE], [write], [REQUIRED]]


APART = {
    "a copy of a column, until 17": (17, "ALTER TABLE t ALTER a TYPE bigint", REQUIRED),
    "something else in the statement, until 17": (17, BETWEEN, f"{REQUIRED}, ADD COLUMN c int"),
}


@pytest.mark.parametrize("why", APART)
def test_not_null_is_apart_where_it_would_last(why: str) -> None:
    """Whatever makes a look at all rows necessary in the moment: then each is executed for itself, as always."""
    major, between, required = APART[why]
    facts = replace(FACTS, server_major=major)
    entries: list[QueueEntry] = []
    for place, sql in enumerate((NULLABLE, between, required)):
        entry = QueueEntry(statement=parse(sql)[0], facts=expected(facts, entries), position=place)
        entries.append(entry)
    units = plan_queue(entries, today=date(2026, 1, 1))
    assert [len(unit.entries) for unit in units] == [1, 1, 1]


def test_not_null_of_another_name_reads_no_row_under_a_lock() -> None:
    """Whatever the constraint is called that takes the place of the one that is dropped."""
    (found,) = FACTS.relations.values()
    named = Constraint(
        name="named", kind=ConstraintKind.NOT_NULL, columns=("a",), definition="NOT NULL a"
    )
    known = replace(found, constraints=(*found.constraints, named))
    statements = parse(
        "ALTER TABLE t DROP CONSTRAINT named; ALTER TABLE t ADD CONSTRAINT other NOT NULL a"
    )
    steps = steps_of_unit(
        statements, facts=replace(FACTS, relations={("", "t"): known}), today=date(2026, 1, 1)
    )
    assert [step.kind for step in steps] == ["transaction", "validate"]


AGAIN = {
    15: ["transaction", "validate", "transaction"],  # a CHECK proves it, before the moment
    18: ["transaction", "validate"],  # NOT VALID in the moment, which is enough for new rows
}


@pytest.mark.parametrize("major", AGAIN)
def test_not_null_again_reads_no_row_under_a_lock(major: int) -> None:
    """Of a large table on any server: what proves it is before the moment, or behind it."""
    facts = replace(FACTS, server_major=major)
    statements = parse(f"{NULLABLE}; {REQUIRED}")
    steps = steps_of_unit(statements, facts=facts, today=date(2026, 1, 1))
    assert [step.kind for step in steps] == AGAIN[major]
    together = [step for step in steps if isinstance(step, TransactionStep) and len(step.sql) > 1]
    assert [step.sql[0] for step in together] == [NULLABLE]


def test_nothing_lasts_in_the_transaction_that_is_open() -> None:
    """What takes the place of what is dropped there: of a large table it is refused before it runs as written."""
    drops, adds = (
        "ALTER TABLE t DROP CONSTRAINT one",
        "ALTER TABLE t ADD CONSTRAINT one CHECK (a > 7)",
    )
    done, entry = (
        QueueEntry(statement=parse(sql)[0], facts=FACTS, position=place)
        for place, sql in enumerate((drops, adds))
    )
    assert lasts_with_open([entry], done=[done])
    with pytest.raises(TornApart):
        plan_queue([entry], done=[done], today=date(2026, 1, 1))
    other = replace(entry, statement=parse("ALTER TABLE t DROP CONSTRAINT two")[0])
    assert not lasts_with_open([other], done=[done])
