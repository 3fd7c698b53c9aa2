"""A foreign key on a partitioned table: what a partition has already is used as PostgreSQL itself would use it."""

from collections.abc import Callable

import psycopg

from holdfast.rewrite.steps import Step
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

RunOnline = Callable[[str, str], tuple[Step, ...]]
BEFORE = """
CREATE TABLE r (id int PRIMARY KEY);
INSERT INTO r SELECT generate_series(0, 99);
CREATE TABLE m (a int NOT NULL, id int) PARTITION BY RANGE (a);
CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);
CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20);
CREATE TABLE m3 PARTITION OF m FOR VALUES FROM (20) TO (30);
INSERT INTO m SELECT n % 30, n FROM generate_series(1, 90) AS n;
ALTER TABLE m1 ADD CONSTRAINT m_id_fkey FOREIGN KEY (id) REFERENCES r NOT VALID;
ALTER TABLE m2 ADD CONSTRAINT m_id_fkey CHECK (id > 0);
ALTER TABLE m3 ADD CONSTRAINT theirs FOREIGN KEY (id) REFERENCES r;
"""


def test_what_partitions_have(each_postgres: Postgres, run_online: RunOnline) -> None:
    """Whether theirs is valid or not, and whatever has its name: the schema of plain execution."""

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(BEFORE.encode())

    template = each_postgres.template("foreign keys of partitions", build)
    change = "ALTER TABLE m ADD FOREIGN KEY (id) REFERENCES r"
    with (
        each_postgres.database(template=template) as plain,
        each_postgres.database(template=template) as online,
    ):
        run_online(online, change)
        with psycopg.connect(plain) as connection:
            connection.execute(change.encode())
        assert schema_dump(online) == schema_dump(plain)
