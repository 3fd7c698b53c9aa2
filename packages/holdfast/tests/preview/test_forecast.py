"""What a run would do: seen on a scratch database, joined with what the database itself is like."""

from datetime import timedelta

import forked
import psycopg
import pytest
from alembic_project import Project
from everywhere import each
from project_at_work import ProjectWith

from holdfast.cli.plan import as_markdown, as_text
from holdfast.migrate.baseline import baseline
from holdfast.migrate.run import upgrade
from holdfast.preview.forecast import Forecast, forecast
from holdfast.preview.trial import rows_held
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

T = QualifiedName(schema="public", name="t")
TENANTS = """
from alembic import context
from sqlalchemy import create_engine, pool, text

engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
with engine.connect() as connection:
    for tenant in ("t1", "t2"):
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {tenant}"))
        connection.execute(text(f"SET search_path TO {tenant}"))
        connection.commit()
        connection.dialect.default_schema_name = tenant
        context.configure(connection=connection, version_table_schema=tenant)
        with context.begin_transaction():
            context.run_migrations()
"""


@pytest.fixture(autouse=True)
def scratch(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of the test run as the scratch server."""
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))


@pytest.fixture
def pending(project_with: ProjectWith) -> Project:
    """A table with rows, and what is to become of it."""
    return project_with(
        "op.create_table('t', sa.Column('id', sa.Integer, primary_key=True), sa.Column('a', sa.Integer))",
        then="INSERT INTO t SELECT n, n FROM generate_series(1, 1000) n; VACUUM ANALYZE t",
    )


def text_of(project: Project) -> list[str]:
    return list(as_text(forecast(project.config)))


def test_steps_as_they_were_seen(pending: Project) -> None:
    """Each step with its locks, what it reads, rows, bytes, time; the database is only read."""
    pending.revision("op.alter_column('t', 'a', nullable=False)\nop.create_index('i', 't', ['a'])")
    before = schema_dump(pending.database)
    assert text_of(pending) == [
        "r2 about r2",
        "  1. ALTER TABLE public.t ADD NOT NULL a NOT VALID",
        "     locks: ACCESS EXCLUSIVE on public.t (blocks reads and writes)",
        "  2. validate the new constraint of public.t",
        "     locks: SHARE UPDATE EXCLUSIVE on public.t (blocks VACUUM and other schema changes)",
        "     reads: public.t in full",
        "     about 1,000 rows, 41 kB, under a second",
        "  3. build index i on public.t",
        "     locks: SHARE UPDATE EXCLUSIVE on public.t (blocks VACUUM and other schema changes)",
        "     reads: public.t in full",
        "     about 1,000 rows, 41 kB, under a second",
    ]
    assert schema_dump(pending.database) == before


def test_in_the_revisions_own_transaction(pending: Project) -> None:
    """What is instant is seen, too."""
    pending.revision("op.add_column('t', sa.Column('b', sa.Integer))")
    [revision] = forecast(pending.config).revisions
    [step] = revision.steps
    lock = Lock(mode=LockMode.ACCESS_EXCLUSIVE, relation=T)
    assert (step.is_seen, step.locks, step.scans, step.rewrites) == (True, (lock,), (), ())


def test_a_rewrite_is_seen(pending: Project) -> None:
    """What its author has allowed is shown for what it is."""
    pending.revision(
        "op.execute('ALTER TABLE t ALTER a TYPE bigint')  # holdfast: allow it is small until 2999-01-01"
    )
    [revision] = forecast(pending.config).revisions
    assert [(step.rewrites, step.size.rows) for step in revision.steps] == [((T,), 1000)]


def test_who_is_in_the_way_right_now(pending: Project) -> None:
    """The session that would make the run wait."""
    pending.revision("op.add_column('t', sa.Column('b', sa.Integer))")
    with psycopg.connect(pending.database, application_name="report") as connection:
        connection.execute("SELECT FROM t LIMIT 1")
        [line] = [line for line in text_of(pending) if "in the way" in line]
    assert "in the way right now: session idle in transaction pid" in line
    assert "(postgres, report) holds AccessShareLock on t" in line


def test_refused(pending: Project) -> None:
    """The reason and the way out, where the run would stop."""
    pending.revision("op.add_column('t', sa.Column('b', sa.Integer))")
    pending.revision("op.execute('ALTER TABLE t SET UNLOGGED')")
    found = forecast(pending.config)
    assert [bool(revision.refusal) for revision in found.revisions] == [False, True]
    assert found.is_refused


def test_reads_data(pending: Project) -> None:
    """The plan says that it may differ."""
    pending.revision(
        "if op.get_bind().scalar(sa.text('SELECT count(*) FROM t')):\n"
        "    op.add_column('t', sa.Column('b', sa.Integer))"
    )
    assert text_of(pending) == [
        "r2 about r2",
        "  no change of the schema",
        "  reads data, and may act differently on the real database's: SELECT count(*) FROM t",
    ]


def test_new_and_up_to_date(project: Project) -> None:
    """An empty database; one at the head."""
    assert text_of(project) == ["up to date: nothing is pending"]
    project.revision("op.create_table('t', sa.Column('a', sa.Integer))")
    assert text_of(project) == [
        "r1 about r1",
        "  the database is new: runs as it is written",
    ]


def test_markdown(pending: Project) -> None:
    """For a pull request."""
    pending.revision("op.create_index('i', 't', ['a'])")
    assert list(as_markdown(forecast(pending.config))) == [
        "### Plan of the pending migrations",
        "",
        "**r2** about r2",
        "",
        "| | step | locks | reads or rewrites | about |",
        "|---|---|---|---|---|",
        (
            "| 1 | `build index i on public.t` | SHARE UPDATE EXCLUSIVE on public.t (blocks VACUUM and other "
            "schema changes) | public.t | 1,000 rows, 41 kB, under a second |"
        ),
    ]


def in_the_way(found: Forecast) -> list[str]:
    return [
        str(rows)
        for revision in found.revisions
        for step in revision.steps
        for rows in step.rows_in_the_way
    ]


@pytest.fixture
def dirty(pending: Project) -> Project:
    """Rows that are against all that one could want."""
    pending.query("INSERT INTO t VALUES (-1, NULL), (-2, 7), (-3, 7) RETURNING 1")
    return pending


ROWS_IN_THE_WAY = {
    "op.alter_column('t', 'a', nullable=False)": (
        "rows against NOT NULL a (1): "
        'SELECT "t"."id", "t"."a" FROM "public"."t" AS t WHERE NOT ("t"."a" IS NOT NULL)'
    ),
    "op.create_index('i', 't', ['a'], unique=True)": (
        'duplicate keys (1): SELECT a, count(*) FROM "public"."t" WHERE (a) IS NOT NULL'
        " GROUP BY a HAVING count(*) > 1"
    ),
    "op.create_check_constraint('c', 't', 'id > 0')": (
        'rows against CHECK ((id > 0)) (3): SELECT "t"."id" FROM "public"."t" AS t WHERE NOT ((id > 0))'
    ),
    "op.create_foreign_key('f', 't', 't', ['a'], ['id'])": None,
    "op.add_column('t', sa.Column('b', sa.Integer, nullable=False))": (
        'rows that would have no value in b (more than 1,000): SELECT FROM "public"."t"'
    ),
}


@pytest.mark.parametrize("up", each(list(ROWS_IN_THE_WAY), here=2))
def test_rows_in_the_way(dirty: Project, up: str) -> None:
    """What a run would stop at is counted before; the plan says no value of a row."""
    dirty.revision(up)
    expected, found = ROWS_IN_THE_WAY[up], forecast(dirty.config)
    assert in_the_way(found) == ([] if expected is None else [expected])
    assert found.is_refused == (expected is not None)
    if expected is not None:
        assert f"     would fail right now: {expected}" in list(as_text(found))
        assert any("would fail right now" in line for line in as_markdown(found))


def test_behind_a_lock_of_the_same_revision(dirty: Project) -> None:
    """The revision on the scratch database holds a lock on the table meanwhile: nobody waits for it."""
    dirty.revision(
        "op.add_column('t', sa.Column('b', sa.Integer))\n"
        "op.add_column('t', sa.Column('c', sa.Integer, nullable=False))"
    )
    [found] = in_the_way(forecast(dirty.config))
    assert found.startswith("rows that would have no value in c (more than 1,000): ")


def test_orphans_in_the_way(dirty: Project) -> None:
    """Of a foreign key."""
    dirty.query("DELETE FROM t WHERE id = 7 RETURNING 1")
    dirty.revision("op.create_foreign_key('f', 't', 't', ['a'], ['id'])")
    [found] = in_the_way(forecast(dirty.config))
    assert found.startswith("rows without their row in t (2): SELECT")


MENDS = {
    "an UPDATE": "op.execute('UPDATE t SET a = 0 WHERE a IS NULL')\n",
    "an UPDATE with a comment in it": "op.execute('UPDATE /* all */ t SET a = 0 WHERE a IS NULL')\n",
    "a write in a WITH": (
        "op.execute('WITH x AS (UPDATE ONLY t SET a = 0 WHERE a IS NULL RETURNING 1) SELECT 1 FROM x')\n"
    ),
    "a parameter": (
        "op.get_bind().execute(sa.text('UPDATE t SET a = :a WHERE a IS NULL').bindparams(a=0))\n"
    ),
    "a DO block": "op.execute('DO $$ BEGIN UPDATE t SET a = 0 WHERE a IS NULL; END $$')\n",
}


@pytest.mark.parametrize("mends", each(list(MENDS), here=2))
def test_rows_that_the_revision_mends(dirty: Project, mends: str) -> None:
    """Nothing is foretold of a table to which the revisions write before, however the write is
    written, nor of what the database has not yet.
    """
    dirty.revision(
        MENDS[mends] + "op.alter_column('t', 'a', nullable=False)\n"
        "op.create_table('new', sa.Column('a', sa.Integer))\n"
        "op.create_index('i', 'new', ['a'], unique=True)"
    )
    assert in_the_way(forecast(dirty.config)) == []


def test_a_write_that_is_only_named(dirty: Project) -> None:
    """A text that looks like a write, in a string or a comment, hides no rows in the way."""
    dirty.revision(
        "op.execute(\"COMMENT ON TABLE t IS 'UPDATE t SET a = 0'\")\n"
        "op.alter_column('t', 'a', nullable=False)"
    )
    assert len(in_the_way(forecast(dirty.config))) == 1


def test_nobody_looks_for_rows(dirty: Project) -> None:
    """Where a team does not want it."""
    dirty.revision("op.alter_column('t', 'a', nullable=False)")
    assert not forecast(dirty.config, patience_with_rows=timedelta()).is_refused


def test_a_look_for_rows_ends(dirty: Project) -> None:
    """What takes too long is not known, and no reason to stop."""
    dirty.revision("op.create_check_constraint('c', 't', 'pg_sleep(1) IS NOT NULL')")
    found = forecast(dirty.config, patience_with_rows=timedelta(milliseconds=50))
    [rows] = [r for s in found.revisions[0].steps for r in s.rows_in_the_way]
    assert (rows.count, found.is_refused) == (None, False)
    assert str(rows).startswith("it is not known whether there are rows against CHECK")


BODY = """
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'c') THEN
      ALTER TABLE t ADD CONSTRAINT c CHECK (a >= 0);
    END IF;
    CREATE INDEX IF NOT EXISTS i ON t (a);
"""
FUNCTION = f"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {BODY} END $$"


@pytest.mark.parametrize(
    ("before", "statement"),
    [("SELECT 1", f"DO $$ BEGIN {BODY} END $$"), (FUNCTION, "SELECT f()")],
    ids=["DO", "function"],
)
def test_what_a_body_was_seen_to_do(pending: Project, before: str, statement: str) -> None:
    """Whatever calls it: its locks and scans are shown, and long work under a lock on a table in use is refused."""
    pending.query(f"{before}; SELECT 1")
    pending.file("r1").write_text(
        pending.file("r1")
        .read_text()
        .replace("def downgrade", f"    op.execute({before!r})\n\n\ndef downgrade")
    )
    pending.query("UPDATE holdfast.history SET checksum = '(baseline)'")
    pending.revision(f"op.execute({statement!r})")
    [revision] = forecast(pending.config).revisions
    [step] = revision.steps
    lock = Lock(mode=LockMode.ACCESS_EXCLUSIVE, relation=T)
    assert (step.is_seen, step.locks, step.scans, revision.refusal) == (True, (lock,), (T,), None)
    with psycopg.connect(pending.database, autocommit=True) as connection:
        connection.execute("UPDATE pg_class SET reltuples = 60000 WHERE oid = 't'::regclass")
    found = forecast(pending.config)
    assert found.is_refused
    assert (
        "It reads or writes every row (about 60,000 rows) while it holds ACCESS EXCLUSIVE"
        in str(found.revisions[0].refusal)
    )


def test_rows_that_a_body_holds(pending: Project) -> None:
    """Of a body that writes rows of a large table `plan` says that users wait for it; of a small one nothing."""
    pending.revision("op.execute('DO $$ BEGIN UPDATE t SET a = 0 WHERE a IS NULL; END $$')")
    [[step]] = [revision.steps for revision in forecast(pending.config).revisions]
    assert (step.row_writes, rows_held(step)) == ((T,), None)
    with psycopg.connect(pending.database, autocommit=True) as connection:
        connection.execute("INSERT INTO t SELECT n, n FROM generate_series(1001, 60000) n")
        connection.execute("VACUUM ANALYZE t")
    found = forecast(pending.config)
    assert not found.is_refused
    assert "a user who writes one of these rows meanwhile waits" in "\n".join(as_text(found))


def test_what_is_committed_together(pending: Project) -> None:
    """Of what runs in the revision's transaction every statement; of what is queued what is one unit."""
    pending.revision("op.execute('CREATE VIEW v AS SELECT a FROM t')")
    upgrade(pending.config, "head")
    pending.revision(
        "op.add_column('t', sa.Column('b', sa.Integer))\n"
        "op.add_column('t', sa.Column('c', sa.Integer))\n"
        "op.execute('DROP VIEW v')\n"
        "op.create_index('i', 't', ['a'])\n"
        "op.execute('CREATE VIEW v AS SELECT a AS b FROM t')"
    )
    [revision] = forecast(pending.config).revisions
    assert [(step.step.describe(), step.is_together) for step in revision.steps] == [
        ("ALTER TABLE t ADD COLUMN b INTEGER", False),
        ("ALTER TABLE t ADD COLUMN c INTEGER", True),
        ("build index i on public.t", False),
        ("DROP VIEW v; CREATE VIEW v AS SELECT a AS b FROM t", False),
    ]
    assert (
        list(as_text(forecast(pending.config))).count(
            "     committed together with the step before it"
        )
        == 1
    )


def test_what_cannot_be_one_is_refused_by_the_size_of_the_table(pending: Project) -> None:
    """Of the database's own, although it is tried where there are no rows."""
    pending.revision(
        "op.execute('ALTER TABLE t DISABLE TRIGGER ALL')\n"
        "op.execute('UPDATE t SET a = a + 1')\n"
        "op.execute('ALTER TABLE t ENABLE TRIGGER ALL')"
    )
    assert not forecast(pending.config).is_refused
    pending.query("UPDATE pg_class SET reltuples = 90000 WHERE oid = 't'::regclass")
    [revision] = forecast(pending.config).revisions
    assert revision.refusal is not None
    assert (
        "ALTER TABLE t DISABLE TRIGGER ALL .. ALTER TABLE t ENABLE TRIGGER ALL" in revision.refusal
    )


@pytest.mark.parametrize("behind", each(["t1", "t2"], here=1))
def test_version_tables_at_different_revisions(project: Project, behind: str) -> None:
    """Whatever each of several version tables is at: the plan has what is pending there, and nothing twice."""
    project.env(TENANTS)
    project.revision("op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))")
    project.revision("op.add_column('t', sa.Column('a', sa.Integer))")
    upgrade(project.config, "head")
    project.query(f"ALTER TABLE {behind}.t DROP COLUMN a")
    project.query(f"UPDATE {behind}.alembic_version SET version_num = 'r1'")
    project.query(
        f"DELETE FROM holdfast.history WHERE revision = 'r2' AND version_table ~ '{behind}'"
    )
    project.revision("op.create_index('i', 't', ['id'])")
    found = forecast(project.config)
    planned = [
        (each.revision, [step.step.describe() for step in each.steps]) for each in found.revisions
    ]
    pending = {
        tenant: [
            *([("r2", ["ALTER TABLE t ADD COLUMN a INTEGER"])] if tenant == behind else []),
            ("r3", [f"build index i on {tenant}.t"]),
        ]
        for tenant in ("t1", "t2")
    }
    assert planned == [*pending["t1"], *pending["t2"]]
    assert not found.is_refused


def test_a_database_of_which_nothing_is_recorded(project: Project) -> None:
    """What `run` would refuse has no plan, whatever the revisions do: the same words, none of the scratch server's."""
    project.revision("op.add_column('by_hand', sa.Column('b', sa.Integer))")
    project.query("CREATE TABLE by_hand (a int); SELECT 1")
    told = {verb: forked.holdfast(verb, cwd=project.folder) for verb in ("plan", "run")}
    assert told["plan"].stderr == told["run"].stderr
    assert {ended.returncode for ended in told.values()} == {2}
    project.query("DROP TABLE by_hand; SELECT 1")
    ended = forked.holdfast("plan", cwd=project.folder)
    assert ended.returncode == 1
    assert 'fails on the scratch database: relation "by_hand" does not exist' in ended.stdout


def test_what_no_revision_has_made_counts_as_used(project: Project) -> None:
    """Where nothing is applied but tables are there, a revision is shown as it will run, not as on an empty one."""
    project.query("CREATE TABLE by_hand (a int); SELECT 1")
    project.revision("op.create_table('t', sa.Column('a', sa.Integer))")
    baseline(project.config, "base")
    assert "  1. CREATE TABLE t ( a INTEGER )" in list(as_text(forecast(project.config)))
