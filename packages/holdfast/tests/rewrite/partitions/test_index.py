"""An index or key on a partitioned table: names and reuse are those of plain execution."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from holdfast.rewrite.steps import Step
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

RunOnline = Callable[[str, str], tuple[Step, ...]]

LONG = "a_partition_with_a_name_that_is_about_as_long_as_they_get"
BEFORE = f"""
CREATE SCHEMA "Other one";
CREATE TABLE "Of all" ("Key" int NOT NULL, "Ünïcode cölumn" text, plain text) PARTITION BY RANGE ("Key");
CREATE TABLE {LONG}_1 PARTITION OF "Of all" FOR VALUES FROM (0) TO (10);
CREATE TABLE {LONG}_2 PARTITION OF "Of all" FOR VALUES FROM (10) TO (20) PARTITION BY LIST ("Key");
CREATE TABLE {LONG}_2_1 PARTITION OF {LONG}_2 FOR VALUES IN (11);
CREATE TABLE {LONG}_2_2 PARTITION OF {LONG}_2 FOR VALUES IN (12);
CREATE TABLE "Other one"."It's" (plain text, gone int, "Ünïcode cölumn" text, "Key" int NOT NULL);
ALTER TABLE "Other one"."It's" DROP COLUMN gone;
ALTER TABLE "Of all" ATTACH PARTITION "Other one"."It's" FOR VALUES FROM (20) TO (30);
CREATE INDEX made_by_hand ON "Other one"."It's" (lower(plain) DESC, "Ünïcode cölumn") WHERE plain <> 'x';
CREATE INDEX not_the_same ON "Other one"."It's" (plain);
CREATE UNIQUE INDEX index_alone ON "Other one"."It's" ("Key", plain);
ALTER TABLE {LONG}_1 ADD CONSTRAINT theirs UNIQUE ("Key", plain);
CREATE TABLE {LONG}_key (Sequence int);
INSERT INTO "Of all" SELECT 10 * (n % 3) + 1, 'text ' || n, 'text ' || n FROM generate_series(1, 99) AS n;
"""
CHANGE = """
CREATE INDEX ON "Of all" (lower(plain), "Ünïcode cölumn") WHERE plain <> 'x';
CREATE INDEX ON "Of all" (lower(plain), "Ünïcode cölumn") WHERE plain <> 'x';
CREATE INDEX IF NOT EXISTS named ON "Of all" USING hash (plain);
CREATE INDEX IF NOT EXISTS named ON "Of all" USING hash (plain);
ALTER TABLE "Of all" ADD UNIQUE ("Key", plain), ADD COLUMN added int CHECK (added > 0);
DROP INDEX named;
"""


@pytest.mark.parametrize("each_postgres", [16], indirect=True)
def test_names_and_reuse(each_postgres: Postgres, run_online: RunOnline) -> None:
    """Whatever names are cut, quoted or taken, and whatever index a partition has: the schema of plain execution."""

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(BEFORE.encode())

    template = each_postgres.template("partitions with names", build)
    with (
        each_postgres.database(template=template) as plain,
        each_postgres.database(template=template) as online,
    ):
        run_online(online, CHANGE)
        with psycopg.connect(plain) as connection:
            connection.execute(CHANGE.encode())
        assert schema_dump(online) == schema_dump(plain)


FOREIGN = """
CREATE TABLE m (a int NOT NULL, b text) PARTITION BY RANGE (a);
CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);
CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20) PARTITION BY LIST (a);
CREATE TABLE m2_1 PARTITION OF m2 FOR VALUES IN (11);
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE far PARTITION OF m2 FOR VALUES IN (12) SERVER nowhere;
CREATE INDEX by_hand ON m1 (b);
INSERT INTO m SELECT 1 + 10 * (n % 2), 'text ' || n FROM generate_series(1, 99) AS n;
CREATE TABLE r (a int PRIMARY KEY);
"""
ON_FOREIGN = "CREATE INDEX ON m (b); CREATE INDEX named ON m (b DESC, a); CREATE INDEX ON m2 (b);"
REFUSED_ON_FOREIGN = [
    "CREATE UNIQUE INDEX ON m (a, b)",
    "ALTER TABLE m ADD UNIQUE (a, b)",
    "ALTER TABLE m ADD PRIMARY KEY (a)",
    "ALTER TABLE m ADD FOREIGN KEY (a) REFERENCES r",
]


@pytest.fixture
def beside_a_foreign_table(each_postgres: Postgres) -> Iterator[tuple[str, str]]:
    """Two databases with a table of which one partition is a foreign table."""

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(FOREIGN.encode())

    template = each_postgres.template("a foreign partition", build)
    with (
        each_postgres.database(template=template) as plain,
        each_postgres.database(template=template) as online,
    ):
        yield plain, online


@pytest.mark.parametrize("each_postgres", [18], indirect=True)
def test_a_foreign_partition(
    beside_a_foreign_table: tuple[str, str], run_online: RunOnline
) -> None:
    """Wherever below the table the foreign one is, which has no index: that of the table is valid in the end."""
    plain, online = beside_a_foreign_table
    run_online(online, ON_FOREIGN)
    with psycopg.connect(plain) as connection:
        connection.execute(ON_FOREIGN.encode())
    assert schema_dump(online) == schema_dump(plain)
    with psycopg.connect(online) as connection:
        invalid = connection.execute("SELECT FROM pg_index WHERE NOT indisvalid").fetchall()
    assert invalid == []


@pytest.mark.parametrize("each_postgres", [16], indirect=True)
def test_what_a_foreign_partition_cannot_have(
    beside_a_foreign_table: tuple[str, str], run_online: RunOnline
) -> None:
    """Whatever key it is that PostgreSQL refuses on a foreign table: in its words, and before anything is done."""
    _, online = beside_a_foreign_table
    before = schema_dump(online)
    for statement in REFUSED_ON_FOREIGN:
        with pytest.raises((DBAPIError, psycopg.Error), match=r"foreign table|unique index"):
            run_online(online, statement)
    assert schema_dump(online) == before
