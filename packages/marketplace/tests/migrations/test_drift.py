"""The database that the migrations make is the one that they are compared with."""

import pytest
from alembic import command
from alembic.config import Config

from holdfast.migrate.run import upgrade
from holdfast.preview.drift import drift
from holdfast.scratch.databases import Postgres
from marketplace.schema import known_revisions


@pytest.fixture(autouse=True)
def scratch(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries are made on the server of the test run."""
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))


def test_no_phantom_difference_after_plain_alembic(config: Config) -> None:
    """Not one object is reported."""
    command.upgrade(config, "head")
    assert drift(config).differences == ()


@pytest.mark.everywhere
def test_no_phantom_difference_after_an_online_run(config: Config) -> None:
    """What ran step by step on tables in use ends as what runs at once."""
    upgrade(config, known_revisions()[-1])
    upgrade(config, "head")
    assert drift(config).differences == ()
