"""Steps for partitions meet what others do to them meanwhile, rows in the way, and kills."""

import psycopg
import pytest
from alembic_project import Project
from backends import terminate, wait_until
from contract import Process
from everywhere import each
from old_snapshot import old_snapshot
from project_at_work import ProjectWith

from holdfast.errors.steps import DataInTheWay, PartitionsNotCopied
from holdfast.execute.progress import Event, StepStarted
from holdfast.migrate.abandon import abandon
from holdfast.migrate.run import upgrade

TABLES = """
    CREATE TABLE m (a integer NOT NULL, b integer) PARTITION BY RANGE (a);
    CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);
    CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20);
    CREATE TABLE m3 PARTITION OF m FOR VALUES FROM (20) TO (30);
    INSERT INTO m SELECT n % 30, n FROM generate_series(1, 300) AS n;
    CREATE TABLE t (id integer PRIMARY KEY, a integer);
    CREATE INDEX t_a ON t (a);
    INSERT INTO t SELECT n, n FROM generate_series(1, 300) AS n;
"""
INDEXES = """
    SELECT c.relname, indisvalid, (SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = c.oid)
    FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relname ~ '^m' ORDER BY 1
"""
FOREIGN_KEYS = """
    SELECT conname, convalidated FROM pg_constraint
    WHERE conrelid = 't'::regclass AND contype = 'f' AND conparentid = 0
"""
DETACHING = "SELECT 1 FROM pg_inherits WHERE inhdetachpending"


@pytest.fixture
def partitioned(project_with: ProjectWith) -> Project:
    """Its first revision made and filled the tables."""
    return project_with(f"op.execute({TABLES!r})")


def upgrade_beside(project: Project, sql: str, *, before: str) -> None:
    """Another connection executes this right before the step of this description, the first time."""
    left = [before]

    def report(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step in left:
            left.remove(event.step)
            with psycopg.connect(project.database) as connection:
                connection.execute(sql.encode())

    upgrade(project.config, "head", report=report)


def test_a_partition_goes_meanwhile(partitioned: Project) -> None:
    """Whatever step was to be its own, and whether it is dropped or detached: it is left out, the others get theirs."""
    partitioned.revision("op.create_index('m_b', 'm', ['b'])")
    upgrade_beside(
        partitioned,
        "DROP TABLE m2; ALTER TABLE m DETACH PARTITION m1",
        before="ALTER INDEX public.m_b ATTACH PARTITION public.m1_b_idx",
    )
    rest = [("m1_b_idx", True, None), ("m3_b_idx", True, "m_b"), ("m_b", True, None)]
    assert partitioned.query(INDEXES) == rest


def test_a_foreign_key_to_a_partitioned_table(partitioned: Project) -> None:
    """Whatever PostgreSQL makes of it on each partition that it refers to: the one on the table itself is validated."""
    partitioned.query("ALTER TABLE m ADD PRIMARY KEY (a, b)")
    partitioned.query("ALTER TABLE t ADD b integer")
    partitioned.revision("op.execute('ALTER TABLE t ADD FOREIGN KEY (a, b) REFERENCES m')")
    upgrade(partitioned.config, "head")
    assert partitioned.query(FOREIGN_KEYS) == [("t_a_b_fkey", True)]


def test_rows_in_the_way_of_one_partition(partitioned: Project) -> None:
    """They are named with their keys; mended, the run goes on. Given up, the way back leaves nothing."""
    partitioned.query("INSERT INTO m VALUES (25, 25), (25, 25)")
    partitioned.revision("op.create_unique_constraint('m_u', 'm', ['a', 'b'])")
    with pytest.raises(DataInTheWay, match="25"):
        upgrade(partitioned.config, "head")
    before = partitioned.query(INDEXES)
    assert [(name, is_valid) for name, is_valid, _ in before if not is_valid] == [("m_u", False)]
    [given_up] = abandon(partitioned.config)
    for sql in given_up.undo:
        with psycopg.connect(partitioned.database, autocommit=True) as connection:
            connection.execute(sql.encode())
    assert partitioned.query(INDEXES) == []

    with pytest.raises(DataInTheWay):
        upgrade(partitioned.config, "head")
    partitioned.query("DELETE FROM m WHERE a = 25")
    upgrade(partitioned.config, "head")
    assert all(is_valid for _, is_valid, _ in partitioned.query(INDEXES))


def test_a_killed_detach_is_finalized(partitioned: Project) -> None:
    """It waits for an old transaction when it is killed: the next run ends it, which nobody else may begin again."""
    partitioned.revision(
        "with op.get_context().autocommit_block():\n"
        "    op.execute('ALTER TABLE m DETACH PARTITION m2 CONCURRENTLY')"
    )
    with old_snapshot(partitioned.database) as reader:
        reader.execute("SELECT FROM m")
        process = Process(partitioned)
        wait_until(lambda: bool(partitioned.query(DETACHING)), what="a detach that waits")
        process.kill()
        for (pid,) in partitioned.query(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE 'ALTER TABLE m DETACH%'"
            " AND datname = current_database()"
        ):
            terminate(partitioned.database, int(str(pid)))
    upgrade(partitioned.config, "head")
    assert partitioned.query(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'm'::regclass"
    ) == [
        ("m1",),
        ("m3",),
    ]


def test_a_killed_reindex_leaves_nothing(partitioned: Project) -> None:
    """Its invalid index goes before it is tried again."""
    partitioned.revision("op.execute('REINDEX INDEX t_a')")
    invalid = "SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid WHERE NOT indisvalid"
    with old_snapshot(partitioned.database):
        process = Process(partitioned)
        wait_until(lambda: bool(partitioned.query(invalid)), what="an index that is being built")
        process.kill()
        [(pid,)] = partitioned.query(
            "SELECT pid FROM pg_stat_progress_create_index WHERE datname = current_database()"
        )
        terminate(partitioned.database, int(str(pid)))
    assert partitioned.query(invalid) == [("t_a_ccnew",)]
    upgrade(partitioned.config, "head")
    assert partitioned.query("SELECT relname FROM pg_class WHERE relname ~ '^t_a'") == [("t_a",)]


WIDER = "op.execute('ALTER TABLE m ALTER b TYPE bigint')"
TYPES = """
    SELECT attrelid::regclass::text, attname, format_type(atttypid, NULL) FROM pg_attribute
    JOIN pg_class c ON c.oid = attrelid
    WHERE relkind IN ('r', 'p') AND attrelid::regclass::text ~ '^(m|joined)' AND attnum > 1 AND NOT attisdropped
    ORDER BY 1
"""


@pytest.mark.parametrize(
    "before",
    each(
        [
            "add b_holdfast to public.m, kept equal by triggers",
            "refuse values that b_holdfast cannot take",
            "put the new b of public.m in place",
        ],
        here=2,
    ),
)
def test_partitions_come_and_go_during_a_type_change(partitioned: Project, before: str) -> None:
    """Whatever others do, right before each step that knows all of them: the column of each ends as it should."""
    partitioned.revision(WIDER)
    others = """
        CREATE TABLE joined (LIKE m);
        INSERT INTO joined (a, b) VALUES (45, 45);
        ALTER TABLE m ATTACH PARTITION joined FOR VALUES FROM (40) TO (50);
        CREATE TABLE m4 PARTITION OF m FOR VALUES FROM (30) TO (40);
        INSERT INTO m VALUES (35, 35);
        ALTER TABLE m DETACH PARTITION m1;
        DROP TABLE m2
    """
    upgrade_beside(partitioned, others, before=before)
    assert partitioned.query(TYPES) == [
        ("joined", "b", "bigint"),
        ("m", "b", "bigint"),
        ("m1", "b", "integer"),
        ("m3", "b", "bigint"),
        ("m4", "b", "bigint"),
    ]
    assert partitioned.query("SELECT count(*), count(b), sum(b) FROM m WHERE a > 30") == [
        (2, 2, 80)
    ]


def test_a_type_change_of_partitions_is_given_up(partitioned: Project) -> None:
    """Whatever partitions were there meanwhile: none of them, and no former one, keeps a copy."""
    partitioned.revision(WIDER)

    def report(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step.startswith("put the new b"):
            partitioned.query("ALTER TABLE m DETACH PARTITION m1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upgrade(partitioned.config, "head", report=report)
    abandon(partitioned.config)
    assert {kind for _, _, kind in partitioned.query(TYPES)} == {"integer"}
    assert partitioned.query("SELECT tgname FROM pg_trigger WHERE tgname ~ 'holdfast'") == []


def test_a_partition_that_cannot_be_copied_comes_meanwhile(partitioned: Project) -> None:
    """Whatever makes it so: the run stops before the swap, names it, and goes on once it is mended."""
    partitioned.revision(WIDER)
    with pytest.raises(PartitionsNotCopied, match=r"another default in the partition public\.m4"):
        upgrade_beside(
            partitioned,
            "CREATE TABLE m4 PARTITION OF m (b DEFAULT 7) FOR VALUES FROM (30) TO (40)",
            before="put the new b of public.m in place",
        )
    partitioned.query("ALTER TABLE m4 ALTER b DROP DEFAULT")
    upgrade(partitioned.config, "head")
    assert {kind for _, _, kind in partitioned.query(TYPES)} == {"bigint"}
