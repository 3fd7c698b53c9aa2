"""What env.py does on a scratch database stays there, in what is logged and in what is said of its errors, too."""

import copy
import logging

import pytest
from alembic import command
from alembic_project import SYNC_ENV, Project
from sqlalchemy import create_engine, make_url, text

from holdfast.errors.scratch import ScratchRefused
from holdfast.scratch.databases import Postgres
from holdfast.scratch.redirection import redirected_to
from holdfast.scratch.template import scratch_database, scratch_server


def test_no_progress_of_a_try_is_logged(
    project: Project, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever env.py sets up, Alembic's lines look as if the project's own database had been migrated."""
    project.revision("op.execute('CREATE TABLE a ()')")
    configured = (
        "import logging\nlogging.getLogger('alembic').setLevel(logging.INFO)\n"
        "logging.getLogger('alembic.env').info('Migrating database')\n"
    )
    project.env(configured + SYNC_ENV)
    with postgres.database() as url, redirected_to(url, project.config) as redirected:
        command.upgrade(redirected, "head")
    assert caplog.messages == []
    command.upgrade(project.config, "head")
    assert "Running upgrade  -> r1, about r1" in caplog.messages
    logging.getLogger("alembic").setLevel(logging.NOTSET)


def test_an_error_is_one_of_the_scratch_server(project: Project, postgres: Postgres) -> None:
    """Whatever statement fails there, nobody takes it for an error of the project's own database."""
    with postgres.database() as url, pytest.raises(ScratchRefused) as refused:
        _ask_for_nothing(url, project)
    assert str(refused.value).startswith(
        'The scratch server refused a statement: relation "nothing" does not exist\n'
        "LINE 1: SELECT * FROM nothing\n                      ^ (42P01)\n"
        "Models and revisions are tried there; no database of the project was changed."
        " It was: SELECT * FROM nothing\n"
    )


def _ask_for_nothing(url: str, project: Project) -> None:
    with redirected_to(url, project.config) as redirected:
        engine = create_engine(str(redirected.get_main_option("sqlalchemy.url")))
        with engine.connect() as connection:
            connection.execute(text("SELECT * FROM nothing"))


def test_no_url_is_said_that_the_project_does_not_say(project: Project) -> None:
    """An env.py that finds none takes its own, with the kind of engine that it needs (arize-phoenix: an async one)."""
    config = copy.copy(project.config)
    config.file_config = copy.deepcopy(config.file_config)
    config.remove_main_option("sqlalchemy.url")
    with redirected_to("postgresql:///scratch", config) as redirected:
        assert redirected.get_main_option("sqlalchemy.url") is None


def test_each_of_several_databases_leads_to_its_own(project: Project, postgres: Postgres) -> None:
    """In the order in which env.py connects to them; one connection after another."""
    with (
        postgres.database() as first,
        postgres.database() as second,
        redirected_to(first, project.config, second),
    ):
        names = [_connected("a"), _connected("b"), _connected("a"), _connected("b")]
    wanted = [make_url(url).database for url in (first, second)]
    assert names == [*wanted, *wanted]


def _connected(name: str) -> str:
    engine = create_engine(f"postgresql+psycopg://nobody@nowhere.invalid/{name}")
    with engine.connect() as connection:
        return str(connection.execute(text("SELECT current_database()")).scalar_one())


def test_roles_of_the_project_are_there(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever names them, env.py or a revision: an embedded server has each role that a statement needs."""
    monkeypatch.delenv("HOLDFAST_SCRATCH_URL", raising=False)
    as_role = "    connection.exec_driver_sql('SET ROLE \"the deployer\"')\n    context.configure("
    project.env(SYNC_ENV.replace("    context.configure(", as_role))
    project.revision(
        "op.execute('CREATE TABLE a ()')\nop.execute('GRANT SELECT ON a TO app')\n"
        "op.execute('ALTER TABLE a OWNER TO shop')"
    )
    with scratch_server() as server, scratch_database(project.config, server=server) as url:
        engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
        with engine.connect() as connection:
            owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'a'"
            assert connection.execute(text(owner)).scalar_one() == "shop"
        engine.dispose()
