"""Users' commits do not wait for ours, and success is reported when it is as durable as the server is told to be."""

from contextlib import closing

from alembic_project import Project
from sqlalchemy import NullPool, create_engine, make_url, text

from holdfast.execute.guard import OWN_WAIT, Guard
from holdfast.execute.session import MigrationSession
from holdfast.migrate.run import upgrade
from holdfast.scratch.server import temporary_server

# What each transaction of the migration is committed with, written down in it.
SEEN = """
    CREATE TABLE seen (id int GENERATED ALWAYS AS IDENTITY, what text, setting text, workers text, timeout text);
    CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO seen (what, setting, workers, timeout) VALUES (tg_table_name,
        current_setting('synchronous_commit'), current_setting('max_parallel_maintenance_workers'),
        current_setting('statement_timeout'));
      RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER see AFTER UPDATE ON {} DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION see();
"""
# The server of the tests waits for no disk.
AS_IN_PRODUCTION = """
    DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = on', current_database()); END$$
"""


def test_batches_do_not_wait_for_the_disk_and_their_end_does(in_use: Project) -> None:
    """A crash loses a batch with its key, or neither; what is reported as done stays. No statement_timeout ends one."""
    in_use.query(SEEN.format("holdfast.queue") + "; SELECT 1")
    in_use.query(AS_IN_PRODUCTION)
    in_use.query(AS_IN_PRODUCTION.replace("synchronous_commit = on", "statement_timeout = 60000"))
    in_use.revision('op.execute("UPDATE t SET a = a + 1")')
    upgrade(in_use.config, "head")
    settings = [setting for (setting,) in in_use.query("SELECT setting FROM seen ORDER BY id")]
    assert settings[0] == "on"  # its plan
    assert set(settings[1:-1]) == {"off"}  # its batches
    assert settings[-1] == "on"
    assert {("off", "0")} == set(
        in_use.query("SELECT setting, timeout FROM seen WHERE setting = 'off'")
    )


ON_EMPTY = """
op.execute("CREATE TABLE seen (setting text, lsn pg_lsn)")
op.execute('''CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO seen VALUES (current_setting('synchronous_commit'), pg_current_wal_insert_lsn());
  RETURN NULL; END $$''')
op.execute('''CREATE CONSTRAINT TRIGGER see AFTER UPDATE ON alembic_version DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION see()''')
"""


def test_a_history_on_an_empty_database_waits_for_the_disk_once(project: Project) -> None:
    """However many revisions it has: at the end of the run all of them are as durable as the server is told to be."""
    project.query(AS_IN_PRODUCTION)
    project.revision(ON_EMPTY)
    for number in range(3):
        project.revision(f"op.execute('CREATE TABLE t{number} (id int)')")
    upgrade(project.config, "head")
    assert project.query("SELECT DISTINCT setting FROM seen") == [("off",)]
    assert project.query("SELECT max(lsn) <= pg_current_wal_flush_lsn() FROM seen") == [(True,)]


def test_a_lock_is_not_held_until_a_standby_answers() -> None:
    """What the guard watches is committed locally where there are synchronous standbys, and owes one commit more."""
    with temporary_server(settings={"synchronous_standby_names": "nobody"}) as server:
        url = make_url(server.url()).set(drivername="postgresql+psycopg")
        options = {"options": "-c synchronous_commit=on"}
        engine = create_engine(url, poolclass=NullPool, connect_args=options)
        with engine.connect() as connection, closing(MigrationSession(connection)) as session:
            session.guard = Guard(session)
            session.watch(own_wait=OWN_WAIT)
            assert session.execute(text("SHOW synchronous_commit")).scalar() == "on"
            session.guard.disarm()
            assert session.execute(text("SHOW synchronous_commit")).scalar() == "local"
            assert session.owes_durability
            session.rollback()
            session.watch(own_wait=OWN_WAIT)
            session.guard.before_commit()
            assert session.execute(text("SHOW synchronous_commit")).scalar() == "local"
            session.rollback()
            session.guard.close()
