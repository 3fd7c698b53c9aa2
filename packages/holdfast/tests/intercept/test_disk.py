"""What is larger than the disk is refused before anything of its revision has run."""

import pytest
from alembic_project import Project
from everywhere import named
from project_at_work import ProjectWith
from sqlalchemy import NullPool, create_engine

from holdfast.errors.statement import NotEnoughDisk
from holdfast.errors.steps import DataInTheWay
from holdfast.migrate.run import upgrade
from holdfast.observe.free_disk import free_disk
from holdfast.preview.check import check

LARGE = {
    "index": "op.create_index('t_a', 't', ['a'])",
    "constraint": "op.create_unique_constraint('one', 't', ['a'])",
    "all rows": "op.execute('UPDATE t SET a = a + 1')",
    "type": "op.alter_column('t', 'a', type_=sa.BigInteger)",
}


@pytest.fixture
def in_use(project_with: ProjectWith) -> Project:
    """A table of about 200 kB."""
    return project_with(
        "op.execute('CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL)')",
        then="INSERT INTO t SELECT n, n FROM generate_series(1, 5000) AS n; ANALYZE t",
    )


@pytest.mark.parametrize("what", named(LARGE, here=("index", "type")))
def test_what_does_not_fit_is_refused(
    in_use: Project, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Whether it is a build, an UPDATE of all rows or a copy of a column; with room, or allowed, it runs."""
    in_use.revision(f"op.add_column('t', sa.Column('b', sa.Integer))\n{LARGE[what]}")
    monkeypatch.setenv("HOLDFAST_FREE_DISK", "100kB")
    with pytest.raises(NotEnoughDisk) as raised:
        upgrade(in_use.config, "head")
    assert (raised.value.free, raised.value.is_half_way) == ("100 kB", False)
    assert in_use.query("SELECT attname FROM pg_attribute WHERE attname = 'b'") == []
    monkeypatch.setenv("HOLDFAST_FREE_DISK", "1GB")
    upgrade(in_use.config, "head")


def test_what_the_author_allows_runs(in_use: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be room that nobody sees."""
    in_use.revision(f"{LARGE['index']}  # holdfast: allow there is room until 2999-12-31")
    monkeypatch.setenv("HOLDFAST_FREE_DISK", "1kB")
    upgrade(in_use.config, "head")


def test_the_disk_of_this_machine_is_seen(in_use: Project) -> None:
    """Through a socket, where the server's data are here too; otherwise only what somebody says is known."""
    url = in_use.database.replace("://", "+psycopg://", 1)
    with create_engine(url, poolclass=NullPool).connect() as connection:
        seen = free_disk(connection, told=None)
        assert seen is not None
        assert seen > 0
        assert free_disk(connection, told=7) == 7


BESIDE = {
    "by itself": """
with op.get_bind().engine.connect().execution_options(isolation_level='AUTOCOMMIT') as other:
    other.execute(sa.text('CREATE INDEX t_a ON t (a)'))
""",
    "in a transaction": """
with op.get_bind().engine.begin() as other:
    other.execute(sa.text('CREATE INDEX t_a ON t (a)'))
""",
    "in an autocommit_block": """
with op.get_context().autocommit_block():
    op.execute('CREATE INDEX CONCURRENTLY t_a ON t (a)')
""",
}


@pytest.mark.parametrize("how", BESIDE)
def test_what_does_not_fit_is_refused_wherever_it_is_sent(
    in_use: Project, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Over another connection of the same engine, or where each statement commits itself."""
    in_use.revision(BESIDE[how])
    monkeypatch.setenv("HOLDFAST_FREE_DISK", "100kB")
    with pytest.raises(NotEnoughDisk):
        upgrade(in_use.config, "head")
    assert in_use.query("SELECT relname FROM pg_class WHERE relname = 't_a'") == []
    monkeypatch.setenv("HOLDFAST_FREE_DISK", "1GB")
    upgrade(in_use.config, "head")


def test_what_is_left_is_measured_before_it_goes_on(
    in_use: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its steps are planned already or not: the disk may have become full since the revision began."""
    in_use.revision(
        "op.create_unique_constraint('one', 't', ['a'])\nop.create_index('t_a', 't', ['a', 'id'])"
    )
    in_use.query("INSERT INTO t VALUES (0, 1)")
    with pytest.raises(DataInTheWay):
        upgrade(in_use.config, "head")
    monkeypatch.setenv("HOLDFAST_FREE_DISK", "100kB")
    in_use.query("DELETE FROM t WHERE id = 0")
    with pytest.raises(NotEnoughDisk) as raised:
        upgrade(in_use.config, "head")
    assert raised.value.is_half_way
    monkeypatch.setenv("HOLDFAST_FREE_DISK", "1GB")
    upgrade(in_use.config, "head")


@pytest.mark.everywhere
def test_plan_and_check_refuse_what_does_not_fit(
    in_use: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the sizes and the disk of the database itself, not by those of the server that a plan is tried on."""
    revision = in_use.revision(LARGE["index"])
    monkeypatch.setenv("HOLDFAST_FREE_DISK", "100kB")
    [found] = [each for each in check(in_use.config, with_database=True) if each.rule == "disk"]
    assert found.revision == revision
    assert "The disk would be full" in found.message
