"""What is larger than the disk is refused before anything of its revision has run."""

import pytest
from alembic_project import Project
from sqlalchemy import NullPool, create_engine

from holdfast.errors.statement import NotEnoughDisk
from holdfast.migrate.run import upgrade
from holdfast.observe.free_disk import free_disk

LARGE = {
    "index": "op.create_index('t_a', 't', ['a'])",
    "constraint": "op.create_unique_constraint('one', 't', ['a'])",
    "all rows": "op.execute('UPDATE t SET a = a + 1')",
    "type": "op.alter_column('t', 'a', type_=sa.BigInteger)",
}


@pytest.fixture
def in_use(project: Project) -> Project:
    """A table of about 200 kB."""
    project.revision("op.execute('CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL)')")
    upgrade(project.config, "head")
    project.query("INSERT INTO t SELECT n, n FROM generate_series(1, 5000) AS n")
    project.query("ANALYZE t")
    return project


@pytest.mark.parametrize("what", LARGE)
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
