"""A pooler whose admin console is named hears of each change of shape, and cannot stop a run."""

import pytest
from alembic_project import Project
from psycopg.conninfo import conninfo_to_dict

from holdfast.execute.pooler_console import PoolerConsole
from holdfast.execute.progress import Event, PoolerNotTold
from holdfast.migrate.run import upgrade
from holdfast.preview.forecast import forecast


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The databases whose connections were to be made anew."""
    found: list[str] = []
    monkeypatch.setattr(PoolerConsole, "reconnect", lambda _, database: found.append(database))
    monkeypatch.setenv("HOLDFAST_POOLER_ADMIN_URL", "postgresql://admin@pooler:6432/pgbouncer")
    return found


@pytest.mark.usefixtures("scratch")
def test_each_change_of_shape_is_told(project: Project, told: list[str]) -> None:
    """Behind its commit, with the name of the database; a plan changes nothing and tells nobody."""
    name = conninfo_to_dict(project.database)["dbname"]
    project.revision("op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))")
    upgrade(project.config, "head")
    told.clear()
    project.revision("op.add_column('t', sa.Column('a', sa.Integer))")
    forecast(project.config)
    assert told == []
    upgrade(project.config, "head")
    assert set(told) == {name}


def test_a_pooler_that_does_not_answer(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with it, the run goes on and says so once, without the password."""
    url = "postgresql://admin:secret@/pgbouncer?host=/nowhere"
    monkeypatch.setenv("HOLDFAST_POOLER_ADMIN_URL", url)
    project.revision("op.create_table('t', sa.Column('id', sa.Integer, primary_key=True))")
    upgrade(project.config, "head")
    project.revision("op.add_column('t', sa.Column('a', sa.Integer))")
    project.revision("op.add_column('t', sa.Column('b', sa.Integer))")
    events: list[Event] = []
    upgrade(project.config, "head", report=events.append)
    [said] = [event for event in events if isinstance(event, PoolerNotTold)]
    assert said.pooler == "/nowhere:5432"
    assert "secret" not in said.problem


def test_a_server_that_is_no_pooler(project: Project) -> None:
    """It does not know RECONNECT, by either name."""
    events: list[Event] = []
    console = PoolerConsole(url=project.database, report=events.append)
    for _ in range(2):
        console.reconnect("shop")
    assert [type(event) for event in events] == [PoolerNotTold]
