"""`upgrade` and `downgrade` run an ordinary project, whatever its env.py does."""

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from alembic_project import ASYNC_ENV, SYNC_ENV, Project
from contract import Process
from everywhere import each, everywhere
from sqlalchemy import create_engine, text

from holdfast.errors.leadership import AnotherMigratorIsStillAtWork
from holdfast.errors.migration import DatabaseAhead
from holdfast.execute.progress import Event, RevisionDone, RevisionStarted, WaitingForLeader
from holdfast.migrate.run import downgrade, upgrade
from holdfast.migrate.run_options import IN_USE
from holdfast.observe.schema_constants import KEY
from holdfast.scratch.server import temporary_server
from holdfast.testing.blockers import holding

ONE_TRANSACTION_BY_HAND = SYNC_ENV.replace("engine.connect()", "engine.begin()")
PER_MIGRATION = SYNC_ENV.replace(
    "(connection=connection)", "(connection=connection, transaction_per_migration=True)"
)

LAYOUTS = [
    pytest.param(SYNC_ENV, "psycopg", id="psycopg"),
    pytest.param(SYNC_ENV, "psycopg2", id="psycopg2"),
    pytest.param(ASYNC_ENV, "psycopg", id="async psycopg"),
    pytest.param(ASYNC_ENV, "asyncpg", id="asyncpg"),
    pytest.param(ONE_TRANSACTION_BY_HAND, "psycopg", id="one transaction by hand"),
    pytest.param(PER_MIGRATION, "psycopg", id="transaction per migration"),
]


@pytest.mark.parametrize(("env", "driver"), LAYOUTS)
def test_each_revision_commits_separately(project: Project, env: str, driver: str) -> None:
    """The second revision fails: the first one stays, and its version row."""
    project.env(env, driver=driver)
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))", "op.drop_table('a')")
    project.revision("op.create_table('b', sa.Column('id', sa.Integer)); op.execute('SELECT 1/0')")
    with pytest.raises(Exception, match="division by zero"):
        upgrade(project.config, "head")
    assert project.query("SELECT version_num FROM alembic_version") == [("r1",)]
    assert project.query("SELECT to_regclass('a') IS NOT NULL, to_regclass('b')") == [(True, None)]
    assert project.query(
        "SELECT revision, outcome, error IS NULL FROM holdfast.history ORDER BY id"
    ) == [
        ("r1", "done", True),
        ("r2", "failed", False),
    ]
    assert project.query(
        "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
        " WHERE locktype = 'advisory' AND datname = current_database()"
    ) == [(0,)]


@pytest.mark.parametrize(("env", "driver"), LAYOUTS)
def test_up_and_down(project: Project, env: str, driver: str) -> None:
    """Up to head and down to base, with events; the version table ends empty."""
    project.env(env, driver=driver)
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))", "op.drop_table('a')")
    project.revision("op.create_index('i', 'a', ['id'])", "op.drop_index('i')")
    events: list[Event] = []
    upgrade(project.config, "head", report=events.append)
    downgrade(project.config, "base", report=events.append)
    assert [
        (type(e).__name__, e.revision, e.direction)
        for e in events
        if isinstance(e, RevisionStarted | RevisionDone)
    ] == [
        ("RevisionStarted", "r1", "up"),
        ("RevisionDone", "r1", "up"),
        ("RevisionStarted", "r2", "up"),
        ("RevisionDone", "r2", "up"),
        ("RevisionStarted", "r2", "down"),
        ("RevisionDone", "r2", "down"),
        ("RevisionStarted", "r1", "down"),
        ("RevisionDone", "r1", "down"),
    ]
    assert project.query("SELECT count(*) FROM alembic_version") == [(0,)]


def test_nothing_pending_takes_no_lock(project: Project) -> None:
    """At head, the upgrade ends at once although another process holds the migration lock."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    upgrade(project.config, "head")
    with holding(project.database, f"SELECT pg_advisory_lock({KEY})"):
        upgrade(project.config, "head", patience=timedelta(0))


def test_waits_for_the_other_migrator_and_names_it(project: Project) -> None:
    """Patience over: the error names the session that holds the lock; nothing was created."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    with (
        holding(project.database, f"SELECT pg_advisory_lock({KEY})"),
        pytest.raises(AnotherMigratorIsStillAtWork, match=r"pid \d+ \(postgres, ") as raised,
    ):
        upgrade(project.config, "head", patience=timedelta(milliseconds=200))
    assert raised.value.exit_status == 3
    assert project.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_set_local_of_env_survives_the_commits(project: Project) -> None:
    """A search_path and a role that env.py sets with SET LOCAL hold for every revision."""
    project.query("CREATE SCHEMA shop")
    project.query("CREATE ROLE shop_owner_of_test NOLOGIN")  # of the whole server: dropped below
    project.query("GRANT ALL ON SCHEMA shop, public TO shop_owner_of_test")
    project.query(
        "DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO shop_owner_of_test', current_database()); END$$"
    )
    project.env(
        SYNC_ENV.replace(
            "    context.configure(",
            "    connection.exec_driver_sql('SET LOCAL search_path = shop, public')\n"
            "    connection.exec_driver_sql('SET LOCAL ROLE shop_owner_of_test')\n"
            "    context.configure(",
        )
    )
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    project.revision("op.create_table('b', sa.Column('id', sa.Integer))")
    upgrade(project.config, "head")
    assert project.query(
        "SELECT schemaname, tablename, tableowner FROM pg_tables WHERE tablename IN ('a', 'b')"
        " ORDER BY tablename"
    ) == [("shop", "a", "shop_owner_of_test"), ("shop", "b", "shop_owner_of_test")]
    project.query("DROP OWNED BY shop_owner_of_test CASCADE")
    project.query("DROP ROLE shop_owner_of_test")


ROW_SECURITY = """
    CREATE TABLE devices (id bigint PRIMARY KEY, platform text);
    INSERT INTO devices SELECT n, 'old' FROM generate_series(1, 500) n;
    ALTER TABLE devices ENABLE ROW LEVEL SECURITY;
    ALTER TABLE devices FORCE ROW LEVEL SECURITY;
    CREATE POLICY p ON devices USING (current_setting('app.scope', true) = 'system');
    CREATE FUNCTION scope() RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN PERFORM set_config('app.scope', 'system', true); END $$;
"""
WAYS_TO_SET = {
    "set_config": "execute(sa.text(\"SELECT set_config('app.scope', 'system', true)\"))",
    "SET LOCAL": "exec_driver_sql(\"SET LOCAL app.scope = 'system'\")",
    "behind a comment": "exec_driver_sql(\"/* who */ SET LOCAL app.scope = 'system'\")",
    "parameters": "exec_driver_sql('SELECT set_config(%s, %s, true)', ('app.scope', 'system'))",
    "a function": "exec_driver_sql('SELECT scope()')",
    "the driver": (
        "connection.dbapi_connection.cursor().execute(\"SET LOCAL app.scope = 'system'\")"
    ),
}


@pytest.mark.parametrize("way", each(list(WAYS_TO_SET), here=3))
def test_settings_of_env_that_the_server_does_not_list_hold_too(project: Project, way: str) -> None:
    """However env.py sets one of its own (app.scope): each transaction of the run sees the rows of its policy."""
    role = "r" + str(project.query("SELECT current_database()")[0][0])
    project.query(f"CREATE ROLE {role}")
    project.query(f"GRANT CREATE ON SCHEMA public TO {role}")
    project.query(
        f"DO $$BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {role}', current_database()); END$$"
    )
    as_role = SYNC_ENV.replace(
        "        context.run",
        f"        connection.exec_driver_sql('SET LOCAL ROLE {role}')\n        context.run",
    )
    project.env(as_role)
    project.revision(f"op.execute({ROW_SECURITY!r})")
    upgrade(project.config, "head")
    project.env(
        as_role.replace(
            "        context.run",
            f"        import sqlalchemy as sa\n        connection.{WAYS_TO_SET[way]}\n        context.run",
        )
    )
    project.revision(
        "op.execute(\"UPDATE devices SET platform = 'mobile' WHERE platform = 'old'\")"
    )
    upgrade(project.config, "head")
    assert project.query("SELECT platform, count(*) FROM devices GROUP BY platform") == [
        ("mobile", 500)
    ]
    project.query(f"DROP OWNED BY {role} CASCADE")
    project.query(f"DROP ROLE {role}")


def test_connection_handed_in_through_attributes(project: Project) -> None:
    """A program's own connection, in a transaction of its own, is used and left open."""
    project.env(
        "from alembic import context\n"
        "context.configure(connection=context.config.attributes['connection'])\n"
        "context.run_migrations()\n"
    )
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    engine = create_engine(project.url)
    with engine.connect() as connection:
        config = project.config
        config.attributes["connection"] = connection
        upgrade(config, "head")
        assert connection.execute(text("SELECT count(*) FROM a")).scalar() == 0
    engine.dispose()
    assert project.query("SELECT version_num FROM alembic_version") == [("r1",)]


def test_unknown_revision_in_the_database(project: Project) -> None:
    """A database ahead of the project is refused, with its own exit status."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    upgrade(project.config, "head")
    project.query("UPDATE alembic_version SET version_num = 'from_the_future'")
    with pytest.raises(DatabaseAhead) as raised:
        upgrade(project.config, "head")
    assert raised.value.revisions == ("from_the_future",)


def test_every_statement_passes_the_door(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    """op.*, raw SQL, bulk inserts and get_bind() are all seen; Alembic's own statements are not."""
    project.revision(
        """
        t = op.create_table('a', sa.Column('id', sa.Integer))
        op.execute("INSERT INTO a VALUES (1)")
        op.bulk_insert(t, [{"id": 2}, {"id": 3}])
        op.get_bind().execute(sa.text("SELECT 'from the bind'"))
        op.get_bind().exec_driver_sql("SELECT 'from the driver'")
        """
    )
    caplog.set_level("DEBUG", logger="holdfast.intercept.interceptor")
    config = project.config
    config.attributes[IN_USE] = True  # on an empty database nobody looks at statements
    upgrade(config, "head")
    assert [" ".join(record.message.split()) for record in caplog.records] == [
        "statement: CREATE TABLE a ( id INTEGER )",
        "statement: INSERT INTO a VALUES (1)",
        "statement: INSERT INTO a (id) VALUES (%(id)s::INTEGER)",
        "statement: SELECT 'from the bind'",
        "statement: SELECT 'from the driver'",
    ]


def test_a_pooled_engine_of_an_async_env_survives_the_wait(project: Project) -> None:
    """Another process has migrated meanwhile: env.py ends as it does, then runs again in a new loop."""
    own_engine = "create_async_engine(\n"
    pooled = f"context.config.attributes.get('engine') or {own_engine}"
    project.env(
        ASYNC_ENV.replace(own_engine, pooled)
        .replace(", poolclass=pool.NullPool", "")
        .replace(
            "    async with", "    context.config.attributes['engine'] = engine\n    async with"
        ),
        driver="asyncpg",
    )
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    project.revision("op.create_table('b', sa.Column('id', sa.Integer))")
    with ExitStack() as lock:
        lock.enter_context(holding(project.database, f"SELECT pg_advisory_lock({KEY})"))

        def migrate_meanwhile(event: Event) -> None:
            if isinstance(event, WaitingForLeader):
                project.query("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
                project.query("INSERT INTO alembic_version VALUES ('r1')")
                lock.close()

        upgrade(project.config, "head", report=migrate_meanwhile)
    assert project.query("SELECT version_num FROM alembic_version") == [("r2",)]
    assert project.query("SELECT to_regclass('a'), to_regclass('b') IS NOT NULL") == [(None, True)]


def test_many_processes_at_once_on_an_empty_database(project: Project) -> None:
    """One migrates, the others wait, all succeed: twenty in the proof, four here."""
    project.revision(
        "op.create_table('a', sa.Column('id', sa.Integer)); op.execute('SELECT pg_sleep(0.3)')"
    )
    project.revision("op.create_table('b', sa.Column('id', sa.Integer))")
    processes = [Process(project) for _ in range(20 if everywhere() else 4)]
    for process in processes:
        process.end()
    assert project.query("SELECT revision, outcome FROM holdfast.history ORDER BY id") == [
        ("r1", "done"),
        ("r2", "done"),
    ]


def test_many_processes_at_once_on_a_database_that_is_behind(tmp_path: Path) -> None:
    """One migrates, in steps; the others wait, find nothing to do, and none dies: forty in the proof, six here."""
    with temporary_server(settings={"max_connections": "200"}) as server:
        project = Project(folder=tmp_path / "project", database=server.url())
        project.revision("op.execute('CREATE TABLE a AS SELECT generate_series(1, 5000) AS id')")
        upgrade(project.config, "head")
        project.revision("op.create_index('a_id', 'a', ['id'], unique=True)")
        project.revision("op.alter_column('a', 'id', nullable=False)")
        processes = [Process(project) for _ in range(40 if everywhere() else 4)]
        for process in processes:
            process.end()
        assert project.query("SELECT revision, outcome FROM holdfast.history ORDER BY id") == [
            ("r1", "done"),
            ("r2", "done"),
            ("r3", "done"),
        ]
