"""Which database a migration command acts on when no program gives it a connection."""

from io import StringIO
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, NullPool, create_engine

from holdfast.migrate.run import upgrade
from holdfast.scratch.server import running_server_url
from marketplace.schema import applied_revision, known_revisions, migration_config
from marketplace.server import DATABASE, owned_database
from marketplace.settings import read_settings

HEAD = known_revisions()[0]


def revision_of(engine: Engine) -> str | None:
    with engine.connect() as connection:
        return applied_revision(connection)


def revision_in(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
    monkeypatch.setenv("MARKETPLACE_DATA_DIR", str(data_dir))
    with owned_database(read_settings()) as url:
        return revision_of(create_engine(url, poolclass=NullPool))


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)


def test_the_one_of_database_url(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any embedded server."""
    monkeypatch.setenv("DATABASE_URL", engine.url.render_as_string(hide_password=False))
    upgrade(migration_config(), "head")
    assert revision_of(engine) == HEAD


@pytest.mark.everywhere
def test_an_embedded_server_started_for_the_command(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It makes the database, stops afterwards, and leaves what was done."""
    monkeypatch.setenv("MARKETPLACE_DATA_DIR", str(data_dir))
    upgrade(migration_config(), "head")
    assert running_server_url(data_dir, DATABASE) is None
    assert revision_in(data_dir, monkeypatch) == HEAD


def test_the_embedded_server_that_runs(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to another process, which goes on with it."""
    monkeypatch.setenv("MARKETPLACE_DATA_DIR", str(data_dir))
    with owned_database(read_settings()) as url:
        upgrade(migration_config(), "head")
        assert revision_of(create_engine(url, poolclass=NullPool)) == HEAD


def test_offline_it_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    """`alembic upgrade --sql` needs no database."""
    written = StringIO()
    config = migration_config()
    config.output_buffer = written
    command.upgrade(config, "head", sql=True)
    assert "CREATE UNIQUE INDEX ix_users_email ON users (email);" in written.getvalue()
