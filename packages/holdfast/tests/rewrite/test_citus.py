"""What Citus would refuse is refused before anything has run, whatever the statement and the kind of table; and what it
takes only in another form gets that form. On a table that Citus does not know nothing changes."""

from dataclasses import replace
from datetime import date

import pytest

from holdfast.errors.statement import CitusRefuses, LongStatement, NotForTwoReleases
from holdfast.rewrite.facts import (
    Column,
    Constraint,
    ConstraintKind,
    Facts,
    Index,
    Placement,
    PlacementKind,
    Relation,
    RelationKind,
    Releases,
    SideBySide,
)
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.online import Duration, duration, rewrite
from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import TransactionStep

TODAY = date(2026, 1, 1)
SPREAD = Placement(kind=PlacementKind.DISTRIBUTED, column="k", colocation=1)
REFERENCE = Placement(kind=PlacementKind.REFERENCE, colocation=2)
LOCAL = Placement(kind=PlacementKind.LOCAL, is_automatic=True)
ELSEWHERE = replace(SPREAD, colocation=7)


def table(name: str, placement: Placement | None, *, is_numbered: bool = False) -> Relation:
    """With a primary key (k, id), a column of each kind, and a foreign key to the reference table."""
    own = QualifiedName(schema="public", name=name)
    columns = (
        Column(name="k", type="uuid", not_null=True),
        Column(name="id", type="bigint", not_null=True, is_identity=is_numbered),
        Column(name="a", type="integer"),
        Column(name="rf", type="integer"),
    )
    key = Index(
        name=QualifiedName(schema="public", name=f"{name}_pkey"),
        table=own,
        columns=("k", "id"),
        keys=("k", "id"),
        definition="",
        is_unique=True,
        constraint=f"{name}_pkey",
    )
    constraints = (
        Constraint(
            name=f"{name}_pkey",
            kind=ConstraintKind.PRIMARY_KEY,
            columns=("k", "id"),
            definition="PRIMARY KEY (k, id)",
        ),
        Constraint(
            name=f"{name}_rf",
            kind=ConstraintKind.FOREIGN_KEY,
            columns=("rf",),
            definition="FOREIGN KEY (rf) REFERENCES ref(id)",
            references=QualifiedName(schema="public", name="ref"),
        ),
    )
    return Relation(
        oid=1,
        name=own,
        kind=RelationKind.TABLE,
        rows=100_000,
        columns=columns,
        constraints=constraints if name != "ref" else constraints[:1],
        indexes=(key,),
        placement=placement,
    )


TABLES = (
    table("d", SPREAD),
    table("together", SPREAD),
    table("elsewhere", ELSEWHERE),
    table("ref", REFERENCE),
    table("l", LOCAL),
    table("numbered", LOCAL, is_numbered=True),
    table("kept", replace(LOCAL, is_automatic=False), is_numbered=True),
    table("plain", None),
)
FACTS = Facts(
    server_major=18,
    relations={("", each.name.name): each for each in TABLES},
    volatile_functions=frozenset(["gen_random_uuid", "random", "clock_timestamp"]),
)


def texts(sql: str) -> tuple[str, ...]:
    """What is sent for a statement; each transaction is one text."""
    (statement,) = parse(sql)
    steps = rewrite(statement, facts=FACTS, today=TODAY)
    return tuple(
        "; ".join(s.sql) if isinstance(s, TransactionStep) else s.describe() for s in steps
    )


@pytest.mark.parametrize(
    "sql",
    [
        # A key that each shard would hold for itself only.
        "ALTER TABLE d ADD UNIQUE (a)",
        "ALTER TABLE d ADD PRIMARY KEY (a)",
        "ALTER TABLE d ADD COLUMN x int UNIQUE",
        "ALTER TABLE d ADD COLUMN x int, ADD UNIQUE (a)",
        "ALTER TABLE d ADD EXCLUDE USING btree (a WITH =)",
        "CREATE UNIQUE INDEX i ON d (a)",
        "CREATE UNIQUE INDEX CONCURRENTLY i ON d (lower(k::text))",
        # The column of the shard.
        "ALTER TABLE d ALTER COLUMN k TYPE text",
        "ALTER TABLE d ALTER COLUMN k SET DEFAULT gen_random_uuid()",
        "ALTER TABLE d DROP COLUMN k",
        "UPDATE d SET k = gen_random_uuid()",
        "UPDATE d SET k = NULL",
        # Another value in each row, or on each node.
        "UPDATE d SET a = random()",
        "UPDATE ref SET a = random()",
        "UPDATE l SET a = random() WHERE a IS NULL",
        "ALTER TABLE ref ADD COLUMN x uuid DEFAULT gen_random_uuid()",
        "ALTER TABLE ref ADD COLUMN x uuid DEFAULT gen_random_uuid() -- holdfast: allow r until 2099-01-01",
        # Keys that would lead to other nodes.
        "ALTER TABLE d ADD FOREIGN KEY (a) REFERENCES l (id)",
        "ALTER TABLE d ADD FOREIGN KEY (a) REFERENCES plain (id)",
        "ALTER TABLE d ADD FOREIGN KEY (a) REFERENCES together (id)",
        "ALTER TABLE d ADD FOREIGN KEY (k, a) REFERENCES elsewhere (k, id)",
        "ALTER TABLE d ADD FOREIGN KEY (k, a) REFERENCES together ON DELETE SET NULL",
        "ALTER TABLE d ADD COLUMN x int REFERENCES l (id)",
        "ALTER TABLE ref ADD FOREIGN KEY (a) REFERENCES d (id)",
        "ALTER TABLE l ADD FOREIGN KEY (a) REFERENCES d (id)",
        "ALTER TABLE plain ADD FOREIGN KEY (a) REFERENCES d (id)",
        "CREATE TABLE fresh (a int REFERENCES d (id))",
        "CREATE TABLE fresh (a int, FOREIGN KEY (a) REFERENCES d (id))",
        # Actions and triggers.
        "ALTER TABLE d ALTER COLUMN a SET STATISTICS 100",
        "ALTER TABLE l ALTER COLUMN a SET STORAGE plain",
        "ALTER TABLE ref CLUSTER ON ref_pkey",
        "ALTER TABLE d INHERIT plain",
        "ALTER TABLE d DISABLE TRIGGER ALL",
        "CREATE TRIGGER t BEFORE INSERT ON d FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE TRIGGER t BEFORE INSERT ON ref FOR EACH ROW EXECUTE FUNCTION f()",
        # The last key of a table that Citus knows for its keys only.
        "ALTER TABLE numbered DROP CONSTRAINT numbered_rf",
        "ALTER TABLE numbered DROP COLUMN rf",
    ],
)
def test_refused(sql: str) -> None:
    """Before anything of the revision has run, as the statement arrives, and whatever its author allows."""
    (statement,) = parse(sql)
    with pytest.raises(CitusRefuses) as caught:
        duration(statement, facts=FACTS)
    with pytest.raises(CitusRefuses):
        rewrite(statement, facts=FACTS, today=TODAY)
    assert all(caught.value.parts())


@pytest.mark.parametrize("name", ["d", "ref", "l"])
@pytest.mark.parametrize(
    ("column", "instead"),
    [
        ("bigint GENERATED ALWAYS AS IDENTITY", "let the application number the rows"),
        ("serial", "let the application number the rows"),
    ],
)
def test_numbered(name: str, column: str, instead: str) -> None:
    """A column is not numbered afterwards: no sequence can belong to it, and no UPDATE fills it."""
    (statement,) = parse(f"ALTER TABLE {name} ADD COLUMN x {column}")
    with pytest.raises(LongStatement) as caught:
        rewrite(statement, facts=FACTS, today=TODAY)
    assert instead in caught.value.instead


@pytest.mark.parametrize("name", ["d", "l"])
def test_filled(name: str) -> None:
    """A volatile default is refused; allowed, it is one statement, which Citus executes on each shard."""
    sql = f"ALTER TABLE {name} ADD COLUMN x uuid DEFAULT gen_random_uuid()"
    (statement,) = parse(sql)
    with pytest.raises(LongStatement) as caught:
        rewrite(statement, facts=FACTS, today=TODAY)
    assert "let the application fill the rows" in caught.value.instead
    allowed = f"{sql} -- holdfast: allow small until 2099-01-01"
    assert texts(allowed) == (parse(allowed)[0].sql,)


@pytest.mark.parametrize("name", ["d", "ref", "l"])
@pytest.mark.parametrize("rename", ["RENAME COLUMN a TO b", "RENAME TO b"])
def test_two_names(name: str, rename: str) -> None:
    """Beside an old release nothing has two names on a cluster: neither triggers nor views are there for it."""
    facts = replace(FACTS, side_by_side=SideBySide(releases=Releases.TWO))
    (statement,) = parse(f"ALTER TABLE {name} {rename}")
    with pytest.raises(NotForTwoReleases):
        rewrite(statement, facts=facts, today=TODAY)


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE d ADD COLUMN x int",
        "ALTER TABLE d ADD COLUMN x int REFERENCES ref (id)",
        "ALTER TABLE d ADD UNIQUE (k, a)",
        "ALTER TABLE d ADD CONSTRAINT u UNIQUE USING INDEX i",
        "ALTER TABLE d ADD FOREIGN KEY (k, a) REFERENCES together (k, id)",
        "ALTER TABLE d ADD FOREIGN KEY (k, a) REFERENCES together",
        "ALTER TABLE d ADD FOREIGN KEY (rf) REFERENCES ref (id)",
        "ALTER TABLE ref ADD FOREIGN KEY (a) REFERENCES l (id)",
        "ALTER TABLE plain ADD FOREIGN KEY (a) REFERENCES ref (id)",
        "ALTER TABLE ref ALTER COLUMN k SET DEFAULT NULL",
        "ALTER TABLE ref ADD UNIQUE (a)",
        "CREATE UNIQUE INDEX i ON d (k, lower(a::text))",
        "CREATE UNIQUE INDEX i ON l (a)",
        "CREATE INDEX i ON d (a)",
        "CREATE TRIGGER t BEFORE INSERT ON l FOR EACH ROW EXECUTE FUNCTION f()",
        "ALTER TABLE kept DROP CONSTRAINT kept_rf",
        "ALTER TABLE l DROP CONSTRAINT l_rf",
        "UPDATE d SET a = 1",
        "UPDATE plain SET a = random()",
        "ALTER TABLE plain ALTER COLUMN a SET STATISTICS 100",
        "ALTER TABLE plain ADD UNIQUE (a)",
        "CREATE TRIGGER t BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION f()",
        "CREATE TABLE fresh (a int REFERENCES ref (id), b int REFERENCES l (id), c int REFERENCES plain)",
    ],
)
def test_executed(sql: str) -> None:
    """What Citus executes is not refused."""
    (statement,) = parse(sql)
    duration(statement, facts=FACTS)
    rewrite(statement, facts=FACTS, today=TODAY)


@pytest.mark.parametrize("name", ["d", "ref", "l"])
def test_names(name: str) -> None:
    """A constraint gets its name here, the one that PostgreSQL would choose: a shard calls it after itself."""
    assert texts(f"ALTER TABLE {name} ALTER COLUMN a SET NOT NULL") == (
        f"ALTER TABLE public.{name} ADD CONSTRAINT {name}_a_not_null NOT NULL a NOT VALID",
        f"validate constraint {name}_a_not_null of public.{name}",
    )
    assert texts(f"ALTER TABLE {name} ADD CHECK (a > 0)") == (
        f"ALTER TABLE public.{name} ADD CONSTRAINT {name}_a_check CHECK (a > 0) NOT VALID",
        f"validate constraint {name}_a_check of public.{name}",
    )
    assert texts(f"ALTER TABLE {name} ADD CHECK (a > id)")[0] == (
        f"ALTER TABLE public.{name} ADD CONSTRAINT {name}_check CHECK (a > id) NOT VALID"
    )


def test_plain_names() -> None:
    """On a table of PostgreSQL alone PostgreSQL chooses."""
    assert texts("ALTER TABLE plain ALTER COLUMN a SET NOT NULL")[0] == (
        "ALTER TABLE public.plain ADD NOT NULL a NOT VALID"
    )


def test_one_by_one() -> None:
    """ADD CONSTRAINT stands in a statement of its own, in the same transaction: at no moment is there none."""
    sql = "ALTER TABLE {} DROP CONSTRAINT c, ADD CONSTRAINT c CHECK (x > 0), ADD COLUMN x int"
    assert texts(sql.format("d"))[0] == (
        "ALTER TABLE public.d DROP CONSTRAINT c, ADD COLUMN x int; "
        "ALTER TABLE public.d ADD CONSTRAINT c CHECK (x > 0) NOT VALID"
    )
    assert ";" not in texts(sql.format("plain"))[0]
    (statement,) = parse(
        "ALTER TABLE d DROP CONSTRAINT c, ADD CONSTRAINT c CHECK (a > 0) NOT VALID"
    )
    assert duration(statement, facts=FACTS) is Duration.LONG


def test_drop_table() -> None:
    """Its foreign keys go with it where Citus could not do without them, and before it elsewhere."""
    assert texts("DROP TABLE numbered") == ("DROP TABLE numbered",)
    assert len(texts("DROP TABLE l")) == 2


def test_triggers_allowed() -> None:
    """Where the cluster allows triggers on such tables, they are no concern of ours."""
    allowed = replace(FACTS.relations["", "d"], placement=replace(SPREAD, has_triggers=True))
    facts = replace(FACTS, relations={**FACTS.relations, ("", "d"): allowed})
    sql = "CREATE TRIGGER t BEFORE INSERT ON d FOR EACH ROW EXECUTE FUNCTION f()"
    duration(parse(sql)[0], facts=facts)
