"""`run --expand`, `finish`, and `revert` before it: two releases on one schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic_project import SYNC_ENV, Project
from project_at_work import ProjectWith
from sqlalchemy.exc import DBAPIError
from two_releases import executes, plain_dump, waits
from type_changes import in_any_order

from holdfast.errors.finish import CannotTellUse, NotTakenBack, StillInUse
from holdfast.errors.statement import CannotWaitHere, NeedsFinish, NotForTwoReleases
from holdfast.migrate.finish import finish, prospects
from holdfast.migrate.leave import leave
from holdfast.migrate.run import downgrade, upgrade
from holdfast.migrate.status import status
from holdfast.preview.drift import drift
from holdfast.preview.forecast import forecast
from holdfast.rewrite.side_by_side.breaks import breaks
from holdfast.rewrite.steps import waits_of
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

TABLES = """
    CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL);
    INSERT INTO customers SELECT n, 'c' || n FROM generate_series(1, 3) AS n;
    CREATE TABLE orders (
        id integer PRIMARY KEY,
        customer integer NOT NULL CONSTRAINT orders_customer REFERENCES customers (id),
        code text NOT NULL CONSTRAINT orders_code UNIQUE CONSTRAINT orders_code_check CHECK (code <> ''),
        note text DEFAULT 'none',
        total integer NOT NULL CONSTRAINT orders_total CHECK (total IS NOT NULL AND total > 0)
    );
    CREATE INDEX orders_by_total ON orders (total);
    INSERT INTO orders SELECT n, 1 + n % 3, 'o' || n, 'n' || n, n FROM generate_series(1, 50) AS n;
    CREATE VIEW paid AS SELECT id FROM orders;
    CREATE FUNCTION twice(n integer) RETURNS integer LANGUAGE sql AS 'SELECT 2 * n';
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE moods (id integer, how mood);
"""


@pytest.fixture
def shop(project_with: ProjectWith) -> Project:
    """Tables in use, at the first revision."""
    return project_with(f"op.execute({TABLES!r})")


DROPS = (
    "ALTER TABLE orders DROP COLUMN customer",
    "ALTER TABLE orders DROP COLUMN total",
    "ALTER TABLE orders DROP CONSTRAINT orders_code",
    "ALTER TABLE orders ALTER COLUMN note DROP DEFAULT",
    "DROP VIEW paid",
    "DROP FUNCTION twice(integer)",
    "DROP TABLE customers",
    "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",
)


def test_drops_wait_and_end_as_plain(shop: Project, postgres: Postgres, tmp_path: Path) -> None:
    """Whatever is dropped: both releases write and read until `finish`; then the schema is plain Alembic's."""
    shop.revision(executes(*DROPS))
    upgrade(shop.config, "head", expand=True)
    assert shop.query("SELECT version_num FROM alembic_version") == [("r2",)]
    assert waits(shop) == [
        ("column", "customer"),
        ("column", "total"),
        ("unique key", "orders_code"),
        ("default", "note"),
        ("object", "paid"),
        ("object", "twice(integer)"),
        ("table", "customers"),
        ("value", "ok"),
    ]
    # The old release:
    shop.query(
        "INSERT INTO orders VALUES (100, 1, 'old', DEFAULT, 7) ON CONFLICT (code) DO NOTHING"
    )
    shop.query("SELECT id, twice(id) FROM paid")
    # The new one:
    shop.query("INSERT INTO orders (id, code) VALUES (101, 'new')")
    shop.query("DELETE FROM customers")
    finish(shop.config, yes=True)
    assert waits(shop) == []
    assert shop.query("SELECT count(*) FROM orders") == [(52,)]
    assert schema_dump(shop.database) == plain_dump(shop, postgres, tmp_path)


INVERSE = (
    "ALTER TYPE mood RENAME VALUE 'fine' TO 'ok'",
    "CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL)",
    "CREATE FUNCTION twice(n integer) RETURNS integer LANGUAGE sql AS 'SELECT 2 * n'",
    "CREATE VIEW paid AS SELECT id FROM orders",
    "ALTER TABLE orders ALTER COLUMN note SET DEFAULT 'none'",
    "ALTER TABLE orders ADD CONSTRAINT orders_code UNIQUE (code)",
    "ALTER TABLE orders ADD COLUMN total integer NOT NULL DEFAULT 1",
    "CREATE INDEX orders_by_total ON orders (total)",
    "ALTER TABLE orders ADD COLUMN customer integer NOT NULL DEFAULT 1",
    "ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer) REFERENCES customers (id)",
)


def test_a_revert_before_finish_loses_nothing(shop: Project) -> None:
    """Whatever waits: the inverse statements of downgrade() keep it, with what both releases have written."""
    before = schema_dump(shop.database)
    shop.revision(executes(*DROPS), executes(*INVERSE))
    upgrade(shop.config, "head", expand=True)
    shop.query("INSERT INTO orders VALUES (100, 2, 'old', 'x', 7)")
    shop.query("INSERT INTO orders (id, code) VALUES (101, 'new')")
    downgrade(shop.config, "-1")
    assert waits(shop) == []
    assert schema_dump(shop.database) == before
    assert shop.query("SELECT id, customer, total FROM orders WHERE id > 49 ORDER BY id") == [
        (50, 3, 50),
        (100, 2, 7),
        (101, 1, 1),
    ]
    assert shop.query("SELECT count(*) FROM customers") == [(3,)]


def test_signs_of_use(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever still uses what waits is named and refused; absence of signs is no proof without the release."""
    shop.revision(executes("ALTER TABLE orders RENAME code TO sign", "DROP VIEW paid"))
    upgrade(shop.config, "head", expand=True)
    with pytest.raises(CannotTellUse, match="HOLDFAST_RELEASE names no release"):
        finish(shop.config)
    monkeypatch.setenv("HOLDFAST_RELEASE", "2")
    monkeypatch.setenv("HOLDFAST_PROFILE", "test")  # other variables of the prefix are no matter
    with pytest.raises(CannotTellUse, match="no session of release 2"):
        finish(shop.config)
    with called(shop, "shop release=2"):
        shop.query("UPDATE orders SET code = 'by the old name' WHERE id = 1")
        with pytest.raises(StillInUse, match="1 writes to the old name code"):
            finish(shop.config, yes=True)
        with called(shop, "shop release=1"), pytest.raises(StillInUse, match="shop release=1"):
            finish(shop.config, yes=True)
        with called(shop, "psql"), pytest.raises(CannotTellUse, match="psql"):
            finish(shop.config)
        [prospect] = prospects(shop.config)
        assert (prospect.in_use, prospect.unproven) == ((), ())
        assert [line.what for line in prospect.waiting] == [
            "the old name code of column sign of public.orders",
            "view paid",
        ]
        finish(shop.config)  # every session says the new release
    assert waits(shop) == []


@contextmanager
def called(shop: Project, name: str) -> Iterator[None]:
    """A session of this name, as the engine of an application names it."""
    with psycopg.connect(shop.database, application_name=name):
        yield


@pytest.mark.everywhere
def test_whatever_looks_knows_what_waits(shop: Project) -> None:
    """Status, drift, doctor and leave: what waits is no error and no difference, and leave lets it go."""
    shop.revision(executes("ALTER TABLE moods RENAME how TO feeling", *DROPS[:2], "DROP VIEW paid"))
    upgrade(shop.config, "head", expand=True)
    found = status(shop.config)
    assert (found.state.name, found.exit_status, len(found.waits)) == ("UP_TO_DATE", 0, 4)
    assert drift(shop.config).differences == ()
    left = leave(shop.config)
    assert len(left.gone) == 4
    assert shop.query("SELECT to_regnamespace('holdfast')") == [(None,)]
    assert shop.query("SELECT to_regclass('paid'), (SELECT count(feeling) FROM moods)") == [
        (None, 0)
    ]


def test_plain_alembic_meanwhile(shop: Project) -> None:
    """Plain `upgrade`, `stamp` and `downgrade` while something waits: PostgreSQL says no, and nothing is lost."""
    shop.revision(
        executes("ALTER TABLE moods RENAME how TO feeling"),
        executes("ALTER TABLE moods RENAME feeling TO how"),
    )
    upgrade(shop.config, "head", expand=True)
    shop.revision(executes("CREATE TABLE other (id int)"), executes("DROP TABLE other"))
    command.upgrade(shop.config, "head")
    with pytest.raises(DBAPIError, match="already exists"):
        command.downgrade(shop.config, "r1")
    command.downgrade(shop.config, "r2")
    command.stamp(shop.config, "r1")
    assert waits(shop) == [("column name", "how")]
    command.stamp(shop.config, "r2")
    finish(shop.config, yes=True)
    assert shop.query("SELECT count(feeling) FROM moods") == [(0,)]


def test_other_tables_do_not_wait(shop: Project, postgres: Postgres, tmp_path: Path) -> None:
    """Whatever waits of one table: what a revision does to another has nothing to do with it."""
    shop.revision(
        executes(
            "ALTER TABLE moods RENAME TO feelings",
            "ALTER TABLE feelings RENAME how TO kind",
            "ALTER TABLE orders DROP COLUMN note",
            "ALTER TABLE customers ADD COLUMN points integer NOT NULL DEFAULT 0",
            "ALTER TABLE customers ALTER COLUMN id TYPE bigint",
            "CREATE INDEX ON customers (name)",
        )
    )
    upgrade(shop.config, "head", expand=True)
    assert len(waits(shop)) == 3
    finish(shop.config, yes=True)
    plain = plain_dump(shop, postgres, tmp_path)
    assert in_any_order(schema_dump(shop.database)) == in_any_order(plain)


def test_a_drop_that_cannot_wait_is_refused(shop: Project) -> None:
    """In a savepoint nothing can be put off; what is dropped and made again in one revision never waits."""
    name = shop.revision("with op.get_bind().begin_nested(): op.execute('DROP TABLE moods')")
    with pytest.raises(CannotWaitHere):
        upgrade(shop.config, "head", expand=True)
    shop.file(name).unlink()
    shop.revisions.pop()
    shop.revision(executes("DROP VIEW paid", "CREATE VIEW paid AS SELECT id, code FROM orders"))
    upgrade(shop.config, "head", expand=True)
    assert waits(shop) == []
    shop.revision(executes("DROP VIEW paid"), executes("SELECT 1"))
    upgrade(shop.config, "head", expand=True)
    with pytest.raises(NotTakenBack, match="view paid"):
        downgrade(shop.config, "-1")
    assert shop.query("SELECT count(*) FROM holdfast.unfinished") == [(0,)]
    upgrade(shop.config, "head", expand=True)  # once more: nothing is pending, and it waits once
    assert waits(shop) == [("object", "paid")]


PLACE_TAKEN = (
    ("ALTER TABLE orders DROP COLUMN note", "ALTER TABLE orders ADD COLUMN note integer"),
    ("ALTER TABLE orders DROP COLUMN note", "ALTER TABLE orders RENAME COLUMN code TO note"),
    ("ALTER TABLE moods RENAME how TO kind", "ALTER TABLE moods ADD COLUMN how integer"),
    ("ALTER TABLE moods RENAME how TO x", "ALTER TABLE moods RENAME COLUMN id TO how"),
    ("DROP TABLE moods", "CREATE TABLE moods (id integer)"),
    ("DROP TABLE moods", "CREATE VIEW moods AS SELECT 1 AS id"),
    ("DROP TABLE moods", "ALTER TABLE customers RENAME TO moods"),
    ("ALTER TABLE moods RENAME TO feelings", "CREATE TABLE moods (id integer)"),
)
ONE_NAME = (
    "ALTER FUNCTION twice(integer) RENAME TO double",
    "ALTER VIEW paid RENAME COLUMN id TO key",
    "ALTER SCHEMA public RENAME TO shop",
    "ALTER TABLE moods SET SCHEMA holdfast",
    "ALTER TABLE moods DROP COLUMN how, ADD COLUMN how text",
)


def test_what_both_cannot_live_with_is_refused(shop: Project) -> None:
    """Rows that wait are never replaced in one moment, and what can have one name only is not renamed."""
    before = schema_dump(shop.database)
    for change in (*PLACE_TAKEN, *((each,) for each in ONE_NAME)):
        name = shop.revision(executes("CREATE TABLE other (id int)", *change))
        with pytest.raises(NeedsFinish if len(change) > 1 else NotForTwoReleases):
            upgrade(shop.config, "head", expand=True)
        shop.file(name).unlink()
        shop.revisions.pop()
    assert schema_dump(shop.database) == before


def test_a_drop_that_postgresql_refuses_never_waits(shop: Project) -> None:
    """Whatever depends on a column, a policy or a publication: the run says it, not `finish`; not a view that goes."""
    shop.query(
        "CREATE POLICY own ON orders USING (note <> ''); CREATE PUBLICATION p FOR TABLE customers (id)"
    )
    for drop in (
        "ALTER TABLE orders DROP COLUMN note",
        "ALTER TABLE customers DROP COLUMN id CASCADE, DROP COLUMN name",
    ):
        name = shop.revision(executes(drop))
        with pytest.raises((DBAPIError, NotForTwoReleases)):
            upgrade(shop.config, "head", expand=True)
        shop.file(name).unlink()
        shop.revisions.pop()
    # A view that has the old name of its table, or waits itself, is not in the way; nor what is not there.
    shop.revision(
        executes(
            "DROP VIEW IF EXISTS nothing",
            "ALTER TABLE moods RENAME TO feelings",
            "ALTER TABLE feelings DROP COLUMN how",
            "DROP VIEW paid",
        ),
        executes(
            "CREATE VIEW paid AS SELECT id FROM orders",
            "ALTER TABLE feelings ADD COLUMN how mood",
            "ALTER TABLE feelings RENAME TO moods",
        ),
    )
    before = schema_dump(shop.database)
    upgrade(shop.config, "head", expand=True)
    assert len(waits(shop)) == 3
    downgrade(shop.config, "-1")
    assert schema_dump(shop.database) == before


def test_what_waits_in_another_version_table(shop: Project, tmp_path: Path) -> None:
    """Whichever history of a database needs a name that waits in another: refused; each finishes its own."""
    other = Project(folder=tmp_path / "other", database=shop.database)
    table = "context.configure(connection=connection, version_table='other_version')"
    other.env(SYNC_ENV.replace("context.configure(connection=connection)", table))
    other.revision("pass", name="o1")
    command.stamp(other.config, "o1")
    shop.revision(executes("ALTER TABLE moods RENAME how TO feeling"))
    upgrade(shop.config, "head", expand=True)
    name = other.revision(executes("CREATE INDEX i ON moods (feeling)"), name="o2")
    with pytest.raises(NeedsFinish, match="revision r2"):
        upgrade(other.config, "head")
    other.file(name).unlink()
    other.revisions.pop()
    other.revision(executes("ALTER TABLE orders DROP COLUMN note"), name="o2")
    upgrade(other.config, "head", expand=True)
    finish(other.config, yes=True)
    assert waits(shop) == [("column name", "how")]
    finish(shop.config, yes=True)
    assert waits(shop) == []


PARTITIONED = """
    CREATE TABLE parts (id integer, a integer NOT NULL) PARTITION BY RANGE (id);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
    INSERT INTO parts VALUES (1, 1);
    CREATE VIEW of_code AS SELECT code FROM orders;
    CREATE INDEX of_moods ON moods (id);
    ALTER TABLE moods ADD CONSTRAINT known CHECK (id > 0);
    CREATE FUNCTION quiet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
    CREATE TRIGGER quiet BEFORE INSERT ON moods FOR EACH ROW EXECUTE FUNCTION quiet();
"""


def test_back_in_every_shape(shop: Project) -> None:
    """What a CASCADE would have taken, rows of partitions, what hangs on a table that stays: all come back."""
    shop.query(PARTITIONED)
    before = schema_dump(shop.database)
    shop.revision(
        executes(
            "ALTER TABLE parts DROP COLUMN a",
            "ALTER TABLE orders DROP COLUMN code CASCADE",
            "ALTER TABLE moods RENAME how TO kind",
        ),
        executes(
            "ALTER TABLE moods RENAME kind TO how",
            "ALTER TABLE orders ADD COLUMN code text NOT NULL DEFAULT 'x'",
            "ALTER TABLE orders ALTER COLUMN code DROP DEFAULT",
            "ALTER TABLE orders ADD CONSTRAINT orders_code UNIQUE (code)",
            "ALTER TABLE orders ADD CONSTRAINT orders_code_check CHECK (code <> '')",
            "CREATE VIEW of_code AS SELECT code FROM orders",
            "ALTER TABLE parts ADD COLUMN a integer NOT NULL DEFAULT 9",
            "ALTER TABLE parts ALTER COLUMN a DROP DEFAULT",
        ),
    )
    shop.revision(
        executes("DROP TABLE moods"),
        executes(
            "CREATE TABLE moods (id integer, kind mood)",
            "CREATE INDEX of_moods ON moods (id)",
            "ALTER TABLE moods ADD CONSTRAINT known CHECK (id > 0)",
            "CREATE TRIGGER quiet BEFORE INSERT ON moods FOR EACH ROW EXECUTE FUNCTION quiet()",
        ),
    )
    upgrade(shop.config, "head", expand=True)
    shop.query("INSERT INTO parts (id) VALUES (2)")
    downgrade(shop.config, "r1")
    assert schema_dump(shop.database) == before
    assert shop.query("SELECT * FROM parts ORDER BY id") == [(1, 1), (2, 9)]


def test_plan_says_what_waits_and_what_needs_it(
    shop: Project, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beforehand: what a run with --expand leaves, what a run without breaks, and what needs `finish` first."""
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))
    shop.revision(executes("ALTER TABLE moods RENAME how TO feeling"))
    [revision] = forecast(shop.config, expand=True).revisions
    assert revision.refusal is None
    waiting = [str(each) for step in revision.steps for each in waits_of(step.step)]
    assert waiting == ["the old name how of column feeling of public.moods"]
    upgrade(shop.config, "head", expand=True)
    shop.revision(executes("DROP VIEW paid", "CREATE INDEX i ON moods (feeling)"))
    [revision] = forecast(shop.config).revisions
    assert "holdfast finish" in (revision.refusal or "")
    finish(shop.config, yes=True)
    [revision] = forecast(shop.config).revisions
    assert revision.refusal is None
    assert [each for step in revision.steps for each in breaks(step.step)] == [
        "it may use the view paid; with --expand the drop waits until that release is gone"
    ]
