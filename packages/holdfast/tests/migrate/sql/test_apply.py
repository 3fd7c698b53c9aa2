"""SQL files are executed as revisions are, and the version table of their tool says so as the tool would."""

import hashlib
import json
from pathlib import Path

import psycopg
import pytest
from alembic.util import CommandError
from contract import OBSERVER, Process, kill_at, scripts_of, template_of, without_version_tables
from everywhere import each
from script_project import ScriptProject, settings_of

from holdfast.errors.migration import DatabaseAhead, EditedRevision, UnknownDatabase
from holdfast.errors.sql import NoWayBack, OutOfOrder, TransactionInScript, WrongMigrationFile
from holdfast.errors.steps import DataInTheWay
from holdfast.errors.unfinished import UnfinishedRevision
from holdfast.execute.progress import Event, StatementPlanned
from holdfast.migrate.baseline import baseline
from holdfast.migrate.plain_alembic import upgrade_plainly
from holdfast.migrate.run import downgrade, upgrade
from holdfast.migrate.sql.flyway import checksum_of
from holdfast.migrate.sql.project import sql_config
from holdfast.migrate.status import status
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

TABLE = "CREATE TABLE users (id bigint PRIMARY KEY, email text);\nINSERT INTO users VALUES (1, 'a'), (2, 'b');\n"
INDEX = "CREATE INDEX users_email ON users (email);\n"
NAME = (
    "ALTER TABLE users ADD name text;\nUPDATE users SET name = email;\n"
    "ALTER TABLE users ALTER name SET NOT NULL;\n"
)
SHAPE = """
    SELECT attname::text, attnotnull FROM pg_attribute
    WHERE attrelid = 'users'::regclass AND attnum > 0 ORDER BY attnum
"""
SHAPED = [("id", True), ("email", False), ("name", True)]


@pytest.fixture
def scripts(tmp_path: Path, database: str) -> ScriptProject:
    """A folder without files, and an empty database."""
    return ScriptProject(folder=tmp_path / "scripts", database=database)


def sha256(text: str) -> str:
    """Of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _in_dbmate(scripts: ScriptProject) -> tuple[str, str, list[object]]:
    """The files, what dbmate leaves when it has applied the first one, and what has to be there at the end."""
    for version, sql in (("1", TABLE), ("2", INDEX), ("3", NAME)):
        scripts.file(f"{version}_x.sql", f"-- migrate:up\n{sql}\n-- migrate:down\n")
    left = (
        "CREATE TABLE schema_migrations (version varchar PRIMARY KEY);"
        "INSERT INTO schema_migrations VALUES ('1');"
    )
    return left, "SELECT version FROM schema_migrations", [("1",), ("2",), ("3",)]


def _in_flyway(scripts: ScriptProject) -> tuple[str, str, list[object]]:
    scripts.file("V1__make_users.sql", TABLE)
    scripts.file("V1.1__index.sql", INDEX)
    scripts.file("V2__name.sql", NAME)
    left = f"""
        CREATE TABLE flyway_schema_history (
            installed_rank INT NOT NULL CONSTRAINT flyway_schema_history_pk PRIMARY KEY,
            version VARCHAR(50), description VARCHAR(200) NOT NULL, type VARCHAR(20) NOT NULL,
            script VARCHAR(1000) NOT NULL, checksum INTEGER, installed_by VARCHAR(100) NOT NULL,
            installed_on TIMESTAMP NOT NULL DEFAULT now(), execution_time INTEGER NOT NULL, success BOOLEAN NOT NULL);
        INSERT INTO flyway_schema_history
            VALUES
            (1, '1', 'make users', 'SQL', 'V1__make_users.sql', {checksum_of(TABLE)}, 'postgres', now(), 3, true);
    """
    rows = "SELECT installed_rank, version, description, script, success FROM flyway_schema_history"
    return (
        left,
        rows,
        [
            (1, "1", "make users", "V1__make_users.sql", True),
            (2, "1.1", "index", "V1.1__index.sql", True),
            (3, "2", "name", "V2__name.sql", True),
        ],
    )


def _in_prisma(scripts: ScriptProject) -> tuple[str, str, list[object]]:
    files = {"1_users": TABLE, "2_index": INDEX, "3_name": NAME}
    for name, sql in files.items():
        scripts.file(f"{name}/migration.sql", sql)
    left = f"""
        CREATE TABLE _prisma_migrations (id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL,
            finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL, logs TEXT, rolled_back_at TIMESTAMPTZ,
            started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0);
        INSERT INTO _prisma_migrations
            VALUES (gen_random_uuid(), 'x', NULL, '1_users', 'it failed', now(), now(), 0),
                   (gen_random_uuid(), '{sha256(TABLE)}', now(), '1_users', NULL, NULL, now(), 1);
    """
    rows = """
        SELECT migration_name, checksum, applied_steps_count, logs FROM _prisma_migrations
        WHERE finished_at >= started_at AND rolled_back_at IS NULL ORDER BY finished_at
    """
    return left, rows, [(name, sha256(sql), 1, None) for name, sql in files.items()]


def _in_drizzle(scripts: ScriptProject) -> tuple[str, str, list[object]]:
    files = {"0000_users": TABLE, "0001_index": INDEX, "0002_name": NAME}
    for tag, sql in files.items():
        scripts.file(f"{tag}.sql", sql)
    entries = [
        {"idx": n, "version": "7", "when": 1700000000000 + n, "tag": tag, "breakpoints": True}
        for n, tag in enumerate(files)
    ]
    scripts.file("meta/_journal.json", json.dumps({"version": "7", "entries": entries}))
    left = f"""
        CREATE SCHEMA drizzle;
        CREATE TABLE drizzle.__drizzle_migrations (id SERIAL PRIMARY KEY, hash text NOT NULL, created_at bigint);
        INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES ('{sha256(TABLE)}', 1700000000000);
    """
    return (
        left,
        "SELECT id, hash, created_at FROM drizzle.__drizzle_migrations ORDER BY id",
        [(n + 1, sha256(sql), 1700000000000 + n) for n, sql in enumerate(files.values())],
    )


def _in_numbers(scripts: ScriptProject) -> tuple[str, str, list[object]]:
    files = {"1_users": TABLE, "2_index": INDEX, "10_name": NAME}
    for name, sql in files.items():
        scripts.file(f"{name}.sql", sql)
    left = f"""
        CREATE TABLE holdfast_migrations (version text PRIMARY KEY, checksum text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now(), execution_time_ms bigint NOT NULL);
        INSERT INTO holdfast_migrations VALUES ('1_users', '{sha256(TABLE)}', now(), 3);
    """
    rows = "SELECT version, checksum FROM holdfast_migrations ORDER BY applied_at"
    return left, rows, [(name, sha256(sql)) for name, sql in files.items()]


@pytest.mark.parametrize(
    "layout", each([_in_dbmate, _in_numbers, _in_flyway, _in_prisma, _in_drizzle], here=1)
)
def test_a_tool_s_history_goes_on(layout, scripts: ScriptProject) -> None:  # type: ignore[no-untyped-def]  # five alike
    """Half by the tool, half by holdfast, killed inside: once each, and recorded as the tool does it."""
    left, rows, expected = layout(scripts)
    with psycopg.connect(scripts.database) as connection:
        connection.execute(TABLE + left)
    first = status(scripts.config)
    assert (len(first.applied), len(first.pending)) == (1, 2)
    upgrade(scripts.config, first.pending[0].revision)
    with psycopg.connect(scripts.database) as connection:
        connection.execute(OBSERVER)
    assert kill_at(scripts, 3)  # type: ignore[arg-type]  # it has no revisions of its own
    assert status(scripts.config).state.name == "HALF_WAY"
    Process(scripts).end()  # type: ignore[arg-type]
    upgrade(scripts.config, "head")
    assert status(scripts.config).state.name == "UP_TO_DATE"
    assert scripts.query(rows) == expected
    assert scripts.query(SHAPE) == SHAPED
    assert scripts.query("SELECT name FROM users ORDER BY 1") == [("a",), ("b",)]


@pytest.mark.parametrize("example", each(["several_moments", "replace_view"], here=1))
def test_the_contract_by_scripts(example: str, postgres: Postgres, tmp_path: Path) -> None:
    """The same steps as for a revision of Alembic: the schema of a plain run, also after a kill, and back again."""
    folder = Path(__file__).parents[5] / "examples" / "rewrites" / example
    template = template_of(folder, folder=tmp_path / "t", postgres=postgres, make=scripts_of)
    with postgres.database(template=template) as url:
        project = scripts_of(folder, folder=tmp_path / "p", url=url)
        assert kill_at(project, 2)
        Process(project).end()
        online = without_version_tables(schema_dump(url))
        downgrade(project.config, "1")
    with postgres.database(template=template) as url:
        upgrade_plainly(scripts_of(folder, folder=tmp_path / "q", url=url).config, "head")
        plain = without_version_tables(schema_dump(url))
    assert sorted(online.split()) == sorted(plain.split())


def test_a_single_script(scripts: ScriptProject) -> None:
    """On whatever database; known by its text, not by its name; planned as a whole."""
    with psycopg.connect(scripts.database) as connection:
        connection.execute(TABLE)
    file = scripts.file("fix.sql", NAME + INDEX)
    config = sql_config(file, settings=settings_of(scripts.database))
    events: list[Event] = []
    upgrade(config, "head", report=events.append)
    steps = [step.describe() for e in events if isinstance(e, StatementPlanned) for step in e.steps]
    assert "UPDATE public.users SET name = email WHERE name IS NULL" in steps  # the gap of NOT NULL
    assert scripts.query(SHAPE) == SHAPED
    again = scripts.file("renamed.sql", NAME + INDEX)
    upgrade(sql_config(again, settings=settings_of(scripts.database)), "head")
    file.write_text("CREATE INDEX users_name ON users (name);")
    upgrade(config, "head")
    assert scripts.query("SELECT name FROM holdfast.applied_scripts ORDER BY applied_at") == [
        ("fix.sql",),
        ("fix.sql",),
    ]
    assert status(config).state.name == "UP_TO_DATE"


def test_a_script_that_is_half_way_comes_first(scripts: ScriptProject) -> None:
    """Another script waits; the same one, edited where nothing has begun, goes on."""
    with psycopg.connect(scripts.database) as connection:
        connection.execute(TABLE + "INSERT INTO users VALUES (3, 'b');")
    unique = "CREATE UNIQUE INDEX users_email ON users (email);"
    file = scripts.file("fix.sql", NAME + unique)
    config = sql_config(file, settings=settings_of(scripts.database))
    with pytest.raises(DataInTheWay):
        upgrade(config, "head")
    other = sql_config(scripts.file("other.sql", INDEX), settings=settings_of(scripts.database))
    with pytest.raises(UnfinishedRevision, match=r"fix\.sql"):
        upgrade(other, "head")
    file.write_text(NAME + "CREATE INDEX users_name ON users (name);")
    upgrade(config, "head")
    upgrade(other, "head")
    assert scripts.query(SHAPE) == SHAPED


def test_settings_end_with_their_script(scripts: ScriptProject) -> None:
    """SET, RESET and set_config, of whatever setting: the next script finds what it would find alone."""
    scripts.script(
        "CREATE SCHEMA other; CREATE TABLE t (a int);"
        "SET search_path = other; SELECT set_config('shop.mode', 'x', false); SET ROLE pg_monitor; RESET ROLE;"
        "CREATE TABLE other.u (a int);"
    )
    scripts.script("CREATE TABLE here (a text DEFAULT current_setting('shop.mode', true) || 'y');")
    upgrade(scripts.config, "head")
    assert scripts.query("SELECT to_regclass('public.here') IS NOT NULL") == [(True,)]


def test_what_has_to_be_committed_in_between_is(scripts: ScriptProject) -> None:
    """Outside of one transaction a new value of an enum can be used by the next statement, on a database in use."""
    scripts.script("CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE t (m mood);")
    upgrade(scripts.config, "head")
    text = "ALTER TYPE mood ADD VALUE 'sad';\nALTER TABLE t ALTER m SET DEFAULT 'sad';"
    scripts.file("2_b.sql", f"-- migrate:up transaction:false\n{text}\n-- migrate:down\n")
    scripts.file(
        "3_c.sql",
        "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY t_m ON t (m);\n-- migrate:down\n",
    )
    upgrade(scripts.config, "head")
    assert scripts.query("INSERT INTO t DEFAULT VALUES RETURNING m::text") == [("sad",)]


def test_percent_and_colon_are_text(scripts: ScriptProject) -> None:
    """What a driver or SQLAlchemy would take for a parameter is sent as it is written."""
    scripts.script(
        "CREATE TABLE t (a text DEFAULT '100% :x %(y)s %%'); INSERT INTO t VALUES (DEFAULT);"
    )
    upgrade(scripts.config, "head")
    scripts.script("UPDATE t SET a = a || ' :z %s' WHERE a LIKE '%:x%'; CREATE INDEX ON t (a);")
    upgrade(scripts.config, "head")
    assert scripts.query("SELECT a FROM t") == [("100% :x %(y)s %% :z %s",)]


def test_a_type_change_of_a_column_with_any_name(scripts: ScriptProject) -> None:
    """A column may have the name of a variable that a look at the rows uses, whichever."""
    scripts.script(
        'CREATE TABLE t (id bigint PRIMARY KEY, x text, r text, v text, "NEW" text, t text);'
    )
    changes = ", ".join(
        f'ALTER "{column}" TYPE varchar(5)' for column in ("x", "r", "v", "NEW", "t")
    )
    scripts.script(f"ALTER TABLE t {changes};")
    upgrade(scripts.config, "1")
    with psycopg.connect(scripts.database) as connection:
        connection.execute("INSERT INTO t VALUES (1, 'a', 'b', 'c', 'd', 'e')")
    upgrade(scripts.config, "head")
    assert scripts.query('SELECT x, r, v, "NEW", t.t FROM t') == [("a", "b", "c", "d", "e")]


# What is refused, before anything has run.


def test_a_script_of_the_folder_that_cannot_run_stops_the_first(scripts: ScriptProject) -> None:
    """Every pending file is read before one of them runs; what its tool has applied may be what it likes."""
    scripts.script(TABLE)
    scripts.script("COMMIT;")
    with pytest.raises(TransactionInScript, match=r"2_script\.sql:2: COMMIT"):
        upgrade(scripts.config, "head")
    assert scripts.query("SELECT to_regclass('users')") == [(None,)]
    assert status(scripts.config).state.name == "REFUSED"
    upgrade(scripts.config, "1")
    baseline(scripts.config, "2")
    scripts.script(INDEX)
    upgrade(scripts.config, "head")
    scripts.file("3_again.sql", "-- migrate:up\n-- migrate:down\n")
    with pytest.raises(WrongMigrationFile, match="is recorded as 3 too"):
        upgrade(scripts.config, "head")


def test_order(scripts: ScriptProject) -> None:
    """A file that came late is applied where its tool does so, and refused where it does not."""
    scripts.file("1_a.sql", "SELECT 1;")
    scripts.file("3_c.sql", "SELECT 3;")
    upgrade(scripts.config, "head")
    late = scripts.file("2_b.sql", "SELECT 2;")
    with pytest.raises(OutOfOrder, match="2_b"):
        upgrade(scripts.config, "head")
    late.unlink()
    for number in (1, 3):
        (scripts.folder / f"{number}_{'abc'[number - 1]}.sql").unlink()
        scripts.file(f"{number}_a.sql", "-- migrate:up\nSELECT 1;\n-- migrate:down\n")
    baseline(scripts.config, "head")
    scripts.file("2_b.sql", "-- migrate:up\nSELECT 2;\n-- migrate:down\n")
    upgrade(scripts.config, "head")
    assert scripts.query("SELECT version FROM schema_migrations ORDER BY 1") == [
        ("1",),
        ("2",),
        ("3",),
    ]


def test_what_the_records_forbid(scripts: ScriptProject) -> None:
    """An edited file, a database that is ahead, one without records, a way back that is not there."""
    file = scripts.file("1_a.sql", TABLE)
    upgrade(scripts.config, "head")
    with pytest.raises(NoWayBack):
        downgrade(scripts.config, "-1")
    file.write_text(TABLE + "\n")
    with psycopg.connect(scripts.database) as connection:
        connection.execute("DELETE FROM holdfast.history")  # as if a tool had applied it
    assert status(scripts.config).state.name == "EDITED"
    scripts.file("2_b.sql", "SELECT 1;")
    with pytest.raises(EditedRevision):
        upgrade(scripts.config, "head")
    upgrade(scripts.config, "head", accept_edited=True)
    (scripts.folder / "2_b.sql").unlink()
    with pytest.raises(DatabaseAhead, match="2_b"):
        upgrade(scripts.config, "head")
    with psycopg.connect(scripts.database) as connection:
        connection.execute("DROP TABLE holdfast_migrations; DROP SCHEMA holdfast CASCADE")
    with pytest.raises(UnknownDatabase):
        upgrade(scripts.config, "head")
    with pytest.raises(CommandError, match="no migration"):
        upgrade(scripts.config, "9_x")
