"""An index or key on a partitioned table: names and reuse are those of plain execution."""

from collections.abc import Callable

import psycopg
import pytest

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
