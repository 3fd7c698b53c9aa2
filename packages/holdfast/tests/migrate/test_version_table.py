"""Journal, history and the check for an unknown database go by version table: projects and tenants side by side."""

from pathlib import Path

import pytest
from alembic import command
from alembic_project import SYNC_ENV, Project
from click.testing import CliRunner

from holdfast.cli import holdfast
from holdfast.errors.migration import UnknownDatabase
from holdfast.errors.steps import DataInTheWay
from holdfast.errors.unfinished import NothingToAbandon
from holdfast.migrate.abandon import abandon
from holdfast.migrate.baseline import baseline
from holdfast.migrate.run import upgrade
from holdfast.migrate.status import State, status, statuses
from holdfast.scratch.databases import Postgres

OWN_TABLE = SYNC_ENV.replace(
    "(connection=connection)", "(connection=connection, version_table='alembic_version_b')"
)
TENANTS = """
from alembic import context
from sqlalchemy import create_engine, pool, text

engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
with engine.connect() as connection:
    for tenant in context.config.get_main_option("tenants").split(","):
        connection.execute(text(f"SET search_path TO {tenant}"))
        connection.commit()
        connection.dialect.default_schema_name = tenant
        context.configure(connection=connection, version_table_schema=tenant)
        with context.begin_transaction():
            context.run_migrations()
"""
FIRST_LAYOUT = """
    ALTER TABLE holdfast.unfinished DROP CONSTRAINT unfinished_pkey;
    ALTER TABLE holdfast.unfinished DROP COLUMN version_table, ADD PRIMARY KEY (revision);
    ALTER TABLE holdfast.history DROP COLUMN version_table;
    ALTER TABLE holdfast.queue DROP COLUMN version_table;
    ALTER TABLE holdfast.calls DROP COLUMN version_table;
    DROP TABLE holdfast.leader, holdfast.pause;
    COMMENT ON SCHEMA holdfast IS 'holdfast layout 1';
"""
UNIQUE = """
    op.create_index('o_x', 'orders', ['id'])
    op.create_unique_constraint('ux', 'orders', ['x'])
"""


@pytest.fixture
def half_way(project: Project) -> Project:
    """Its second revision has built an index, and stops at rows that a constraint does not allow."""
    project.revision("op.execute('CREATE TABLE orders (id bigint PRIMARY KEY, x int)')")
    upgrade(project.config, "head")
    project.query("INSERT INTO orders VALUES (1, 1), (2, 1)")
    project.revision(UNIQUE)
    with pytest.raises(DataInTheWay):
        upgrade(project.config, "head")
    return project


@pytest.fixture
def other(half_way: Project, tmp_path: Path) -> Project:
    """Another project of the same database, with a version table of its own."""
    other = Project(folder=tmp_path / "other", database=half_way.database)
    other.env(OWN_TABLE)
    other.revision("op.execute('CREATE TABLE f (id bigint PRIMARY KEY)')", name="f1")
    other.revision("op.create_index('f_id', 'f', ['id'])", name="f2")
    baseline(other.config, "base")
    return other


def test_a_half_way_revision_of_another_project_is_none_of_ours(
    half_way: Project, other: Project
) -> None:
    """Whatever two projects have in one database: each is run, looked at and abandoned by itself."""
    assert status(other.config).state is State.PENDING
    with pytest.raises(NothingToAbandon):
        abandon(other.config)
    upgrade(other.config, "head")
    assert status(other.config).state is State.UP_TO_DATE
    assert status(half_way.config).state is State.HALF_WAY
    half_way.query("DELETE FROM orders WHERE id = 2")
    upgrade(half_way.config, "head")
    assert status(half_way.config).state is State.UP_TO_DATE
    assert status(other.config).applied == ("f2",)


def test_what_the_first_layout_left_half_way_is_finished_by_its_own_project(
    half_way: Project, other: Project
) -> None:
    """It did not say whose it is: it is that of the project that has the revision."""
    half_way.query(FIRST_LAYOUT)
    assert status(half_way.config).state is State.HALF_WAY
    upgrade(other.config, "head")
    with pytest.raises(NothingToAbandon):
        abandon(other.config)
    half_way.query("DELETE FROM orders WHERE id = 2")
    upgrade(half_way.config, "head")
    assert status(half_way.config).state is State.UP_TO_DATE
    assert half_way.query("SELECT count(*) FROM holdfast.queue") == [(0,)]


@pytest.fixture
def tenants(project: Project) -> Project:
    """Three schemas, migrated one after the other by a loop in env.py."""
    project.env(TENANTS)
    for name in ("t1", "t2", "t3", "t4"):
        project.query(f"CREATE SCHEMA {name}")
    set_tenants(project, "t1,t2,t3")
    project.revision("op.execute('CREATE TABLE orders (id bigint PRIMARY KEY, x int)')")
    return project


def set_tenants(project: Project, names: str) -> None:
    """Those that env.py loops over."""
    ini = project.folder / "alembic.ini"
    lines = [line for line in ini.read_text().splitlines() if not line.startswith("tenants")]
    ini.write_text("\n".join([*lines, f"tenants = {names}", ""]))


def test_status_is_the_worst_of_all_tenants(
    tenants: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of them it is: one that is half-way is not hidden by one that is up to date."""
    upgrade(tenants.config, "head")
    tenants.query("INSERT INTO t2.orders VALUES (1, 1), (2, 1)")
    tenants.revision(UNIQUE)
    with pytest.raises(DataInTheWay):
        upgrade(tenants.config, "head")
    found = [(each.version_table, each.state) for each in statuses(tenants.config)]
    assert found == [
        ("t1.alembic_version", State.UP_TO_DATE),
        ("t2.alembic_version", State.HALF_WAY),
        ("t3.alembic_version", State.PENDING),
    ]
    monkeypatch.chdir(tenants.folder)
    shown = CliRunner().invoke(holdfast, ["status"])
    assert shown.exit_code == 5
    assert "t2.alembic_version:\nhalf-way" in shown.output
    tenants.query("DELETE FROM t2.orders WHERE id = 2")
    upgrade(tenants.config, "head")
    assert {each.state for each in statuses(tenants.config)} == {State.UP_TO_DATE}


@pytest.mark.everywhere
def test_drift_looks_at_every_tenant(
    tenants: Project, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is compared with its history at its own revision, also where their schemas are made by hand."""
    upgrade(tenants.config, "head")
    tenants.revision("op.add_column('orders', sa.Column('y', sa.Integer))")
    set_tenants(tenants, "t1")
    upgrade(tenants.config, "head")
    set_tenants(tenants, "t1,t2,t3")
    tenants.query("ALTER TABLE t3.orders ADD z int; DROP SCHEMA t4")
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))
    monkeypatch.chdir(tenants.folder)
    shown = CliRunner().invoke(holdfast, ["drift"])
    assert shown.output.splitlines() == [
        "extra      column t3.orders.z",
        "1 difference from the history at r2 (t1.alembic_version), r1 (t2.alembic_version), r1 (t3.alembic_version)",
    ]
    assert shown.exit_code == 1


def test_a_new_tenant_beside_others_is_no_unknown_database(tenants: Project) -> None:
    """Those were migrated by plain Alembic; its own schema is empty."""
    command.upgrade(tenants.config, "head")
    set_tenants(tenants, "t1,t2,t3,t4")
    upgrade(tenants.config, "head")
    assert tenants.query("SELECT version_num FROM t4.alembic_version") == [("r1",)]


def test_a_new_tenant_whose_schema_has_tables_is_refused(tenants: Project) -> None:
    """Of these nobody knows which revision they correspond to."""
    command.upgrade(tenants.config, "head")
    tenants.query("CREATE TABLE t4.orders (id bigint)")
    set_tenants(tenants, "t1,t2,t3,t4")
    with pytest.raises(UnknownDatabase, match="relations: 1"):
        upgrade(tenants.config, "head")


def test_a_translated_schema_is_that_of_the_version_table(tenants: Project) -> None:
    """A loop that translates schemas instead of setting search_path has one version table each, too."""
    source = (tenants.folder / "env.py").read_text()
    before, after = (
        source.index("        connection.execute(text("),
        source.index("        with context"),
    )
    (tenants.folder / "env.py").write_text(
        source[:before]
        + "        connection = connection.execution_options(schema_translate_map={None: tenant})\n"
        + "        context.configure(connection=connection)\n"
        + source[after:]
    )
    assert [each.version_table for each in statuses(tenants.config)] == [
        "t1.alembic_version",
        "t2.alembic_version",
        "t3.alembic_version",
    ]
