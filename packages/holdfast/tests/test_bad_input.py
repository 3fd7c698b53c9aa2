"""What cannot be migrated is refused in words, and nothing is changed."""

import forked
import psycopg
import pytest
from alembic_project import SYNC_ENV, Project
from sqlalchemy.exc import ProgrammingError

from holdfast.errors.migration import (
    DatabaseAhead,
    NoRightToCreateSchema,
    ReadOnlyServer,
    UnknownLayout,
)
from holdfast.errors.statement import LongStatement
from holdfast.migrate.run import upgrade
from holdfast.migrate.status import State, status

TABLE = "op.create_table('a', sa.Column('id', sa.Integer, primary_key=True), sa.Column('n', sa.Integer))"
RELATIONS = """
    SELECT count(*) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname IN ('public', 'holdfast')
"""


def test_a_journal_of_another_version(project: Project) -> None:
    """Its layout is named; the schema stays as it is."""
    project.revision(TABLE)
    project.query("CREATE SCHEMA holdfast")
    project.query("COMMENT ON SCHEMA holdfast IS 'holdfast layout 99'")
    with pytest.raises(UnknownLayout) as raised:
        upgrade(project.config, "head")
    assert raised.value.found == "holdfast layout 99"
    assert project.query(RELATIONS) == [(0,)]


def test_a_role_without_rights(project: Project) -> None:
    """It cannot create the schema holdfast: the error has two statements for an administrator, and they are enough."""
    project.revision(TABLE)
    role = "r" + project.query("SELECT current_database()")[0][0]
    project.query(f"CREATE ROLE {role}")
    project.env(
        SYNC_ENV.replace(
            "    context.configure(",
            f"    connection.exec_driver_sql('SET ROLE {role}')\n    context.configure(",
        )
    )
    with pytest.raises(NoRightToCreateSchema) as raised:
        upgrade(project.config, "head")
    first, second = (
        "CREATE SCHEMA IF NOT EXISTS holdfast;",
        f"GRANT USAGE, CREATE ON SCHEMA holdfast TO {role};",
    )
    assert f"{first} {second}" in str(raised.value)
    project.query(first)
    project.query(second)
    with pytest.raises(ProgrammingError, match="permission denied for schema public"):
        upgrade(project.config, "head")
    project.query(f"GRANT CREATE ON SCHEMA public TO {role}")
    upgrade(project.config, "head")
    assert status(project.config).state is State.UP_TO_DATE
    project.query(f"DROP OWNED BY {role} CASCADE")
    project.query(f"DROP ROLE {role}")


def test_a_read_only_server(project: Project) -> None:
    """Found before anything is tried."""
    project.revision(TABLE)
    name = project.query("SELECT current_database()")[0][0]
    project.query(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(ReadOnlyServer):
        upgrade(project.config, "head")
    with psycopg.connect(project.database) as connection:
        assert connection.execute(RELATIONS).fetchall() == [(0,)]


def test_a_statement_that_cannot_be_parsed(project: Project) -> None:
    """PostgreSQL says what is wrong with it, as it would under plain Alembic."""
    project.revision(TABLE)
    project.revision("op.add_column('a', sa.Column('m', sa.Integer)); op.execute('ALTER TABEL a')")
    upgrade(project.config, "r1")
    with pytest.raises(ProgrammingError, match='syntax error at or near "TABEL"'):
        upgrade(project.config, "head")
    assert project.query("SELECT count(*) FROM pg_attribute WHERE attname = 'm'") == [(0,)]


def test_a_file_that_is_missing(project: Project) -> None:
    """A revision in the middle of the chain has no file: refused, with the revision named."""
    project.revision(TABLE)
    project.revision("pass")
    project.revision("pass")
    project.file("r2").unlink()
    ended = forked.holdfast("run", cwd=project.folder)
    assert (ended.returncode, "r2" in ended.stderr, "Traceback" in ended.stderr) == (3, True, False)


def test_a_revision_of_another_project(project: Project) -> None:
    """The version row names a revision that this project does not have."""
    project.revision(TABLE)
    project.query("CREATE TABLE alembic_version (version_num text)")
    project.query("INSERT INTO alembic_version VALUES ('of_another_project')")
    with pytest.raises(DatabaseAhead):
        upgrade(project.config, "head")


LONG = "op.execute('ALTER TABLE a ADD COLUMN g bigint GENERATED ALWAYS AS (n) STORED')"


def in_use(project: Project) -> None:
    project.revision(TABLE)
    upgrade(project.config, "head")
    project.query("INSERT INTO a SELECT i, i FROM generate_series(1, 500) i")
    project.query("ANALYZE a")


def test_a_long_statement_is_refused_before_anything_is_committed(project: Project) -> None:
    """It says what would be blocked, for how many rows, and how a person allows it."""
    in_use(project)
    project.revision("op.add_column('a', sa.Column('m', sa.Integer))\n" + LONG)
    with pytest.raises(LongStatement) as raised:
        upgrade(project.config, "head")
    assert (raised.value.relation, raised.value.mode, raised.value.rows) == (
        "public.a",
        "ACCESS EXCLUSIVE",
        500,
    )
    assert project.query("SELECT count(*) FROM pg_attribute WHERE attname = 'm'") == [(0,)]


@pytest.mark.parametrize(
    "allowed",
    [
        LONG + "  # holdfast: allow small table until 2999-01-01",
        "# holdfast: allow small table until 2999-01-01\n" + LONG,
        LONG.replace("'ALTER", "'-- holdfast: allow small table until 2999-01-01\\nALTER"),
    ],
    ids=["on the line", "above the line", "in the SQL"],
)
def test_a_person_can_allow_it(project: Project, allowed: str) -> None:
    """With a reason and a date that has not passed."""
    in_use(project)
    project.revision(allowed)
    upgrade(project.config, "head")
    assert project.query(
        "SELECT data_type FROM information_schema.columns WHERE column_name = 'g'"
    ) == [("bigint",)]


def test_an_excuse_ends_with_its_date(project: Project) -> None:
    """The day after, it is refused again."""
    in_use(project)
    project.revision(LONG + "  # holdfast: allow small table until 2001-01-01")
    with pytest.raises(LongStatement):
        upgrade(project.config, "head")
