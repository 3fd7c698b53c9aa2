"""A pooler in between is found by its process id."""

import psycopg
import pytest
from alembic_project import ASYNC_ENV, SYNC_ENV, Project
from pooler import pooler, socket_of
from psycopg.conninfo import conninfo_to_dict

from holdfast.errors.leadership import BehindPooler
from holdfast.migrate.run import upgrade


@pytest.mark.parametrize(
    ("env", "driver"),
    [(SYNC_ENV, "psycopg"), (SYNC_ENV, "psycopg2"), (ASYNC_ENV, "asyncpg")],
    ids=["psycopg", "psycopg2", "asyncpg"],
)
def test_refused_with_a_way_out(project: Project, env: str, driver: str) -> None:
    """Nothing is migrated, nothing is created."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    direct = project.database
    name = conninfo_to_dict(direct)["dbname"]
    with pooler(socket_of(direct)) as port:
        project.database = f"postgresql://postgres@127.0.0.1:{port}/{name}"
        project.env(env, driver=driver)
        with pytest.raises(BehindPooler, match="HOLDFAST_MIGRATION_URL=postgresql://"):
            upgrade(project.config, "head")
    with psycopg.connect(direct) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchall() == [(0,)]
