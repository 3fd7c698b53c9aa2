"""No statement needs more rights than its author's own does, whatever it locks."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic_project import Project
from everywhere import each, named
from sqlalchemy import make_url

from holdfast.errors.locks import GuardMayNotCancel, NoGuard
from holdfast.migrate.baseline import baseline
from holdfast.migrate.run import upgrade
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

SETUP = """
CREATE SCHEMA auth;
CREATE TABLE auth.users (id bigint PRIMARY KEY);
INSERT INTO auth.users SELECT generate_series(1, 50);
GRANT USAGE ON SCHEMA auth TO {role};
GRANT {privileges} ON auth.users TO {role};
GRANT CREATE ON SCHEMA public TO {role};
SET ROLE {role};
CREATE TABLE public.orders (id bigint PRIMARY KEY, user_id bigint, other bigint REFERENCES auth.users);
INSERT INTO public.orders SELECT n, n, n FROM generate_series(1, 50) AS n;
"""
KEY = "op.create_foreign_key('orders_user', 'orders', 'users', ['user_id'], ['id'], referent_schema='auth')"
CHANGES = {
    "add foreign key": KEY,
    "replace foreign key": (
        "op.drop_constraint('orders_other_fkey', 'orders', type_='foreignkey')\n"
        "op.create_foreign_key('orders_other_fkey', 'orders', 'users', ['other'], ['id'],"
        " referent_schema='auth', ondelete='CASCADE')"
    ),
    "drop table": "op.drop_table('orders')",
    "drop column": "op.drop_column('orders', 'other')",
    "create table": (
        "op.create_table('lines', sa.Column('u', sa.BigInteger, sa.ForeignKey('auth.users.id')))"
    ),
    "behind a queue": f"op.create_index('i', 'orders', ['user_id'])\n{KEY}",
}
HERE = ("replace foreign key", "drop table", "create table", "behind a queue")


@pytest.fixture
def role(postgres: Postgres) -> Iterator[str]:
    """A role that owns its own tables only."""
    name = f"owner_{postgres.create()}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'x'".encode())
        yield name
        connection.execute(f"DROP ROLE {name}".encode())


@pytest.mark.parametrize("privileges", each(["REFERENCES", "SELECT, REFERENCES"], here=1))
@pytest.mark.parametrize("change", named(CHANGES, here=HERE))
def test_a_table_of_somebody_else(
    postgres: Postgres, tmp_path: Path, role: str, change: str, privileges: str
) -> None:
    """Referenced, no longer referenced, dropped with: as under plain Alembic."""

    dumps = []
    for name, migrate in (("plain", command.upgrade), ("online", upgrade)):
        with postgres.database() as url:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(
                    f"GRANT CREATE ON DATABASE {connection.info.dbname} TO {role}".encode()
                )
                for statement in SETUP.format(role=role, privileges=privileges).split(";"):
                    connection.execute(statement.encode())
            owned = (
                make_url(url).set(username=role, password="x").render_as_string(hide_password=False)
            )  # of a test
            project = Project(folder=tmp_path / name, database=owned)
            project.revision("pass")
            command.stamp(project.config, "r1")
            project.revision(CHANGES[change])
            migrate(project.config, "head")
            dumps.append(schema_dump(url))
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"DROP OWNED BY {role}".encode())
    assert dumps[0] == dumps[1]


def test_a_guard_that_may_cancel_nothing(postgres: Postgres, tmp_path: Path, role: str) -> None:
    """Whatever its role lacks for it: it is told before anything is locked, with the statement that gives it."""
    with postgres.database() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in (
                f"GRANT CREATE ON SCHEMA public TO {role}",
                f"CREATE SCHEMA holdfast AUTHORIZATION {role}",
                "REVOKE EXECUTE ON FUNCTION pg_cancel_backend(integer) FROM PUBLIC",
            ):
                connection.execute(statement.encode())
        project = Project(
            folder=tmp_path / "project",
            database=make_url(url).set(username=role).render_as_string(),
        )
        project.revision("op.create_table('t', sa.Column('id', sa.Integer))")
        upgrade(project.config, "head")
        project.revision("op.add_column('t', sa.Column('b', sa.Integer))")
        with pytest.raises(GuardMayNotCancel) as raised:
            upgrade(project.config, "head")
        with psycopg.connect(url, autocommit=True) as connection:
            way_out = str(raised.value).partition("both functions: ")[2].partition(";")[0]
            connection.execute(way_out.encode())
        upgrade(project.config, "head")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {role} CASCADE".encode())


@pytest.mark.parametrize(("limit", "is_enough"), [(3, True), (2, False)])
def test_the_connections_that_a_run_needs(
    postgres: Postgres, tmp_path: Path, role: str, limit: int, is_enough: bool
) -> None:
    """Three, for a revision that builds, writes rows and holds a lock; with two it says so."""
    with postgres.database() as url:
        setup = SETUP.format(role=role, privileges="SELECT, REFERENCES")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(setup.encode())
            connection.execute(f"RESET ROLE; ALTER ROLE {role} CONNECTION LIMIT {limit}".encode())
            connection.execute(f"CREATE SCHEMA holdfast AUTHORIZATION {role}".encode())
        as_role = make_url(url).set(username=role).render_as_string()
        project = Project(folder=tmp_path / "project", database=as_role)
        project.revision("pass")
        baseline(project.config, "r1")
        project.revision(
            """
            op.create_index("i", "orders", ["user_id"])
            op.execute("UPDATE orders SET other = 1")
            op.execute("DO $$ BEGIN LOCK TABLE orders; END $$")
            op.add_column("orders", sa.Column("b", sa.Integer))
            """
        )
        if is_enough:
            upgrade(project.config, "head")
            return
        with pytest.raises(NoGuard, match="A run needs three"):
            upgrade(project.config, "head")
        # A build blocks nobody: it had no guard.
        assert project.query(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass"
        ) == [(True,)]
