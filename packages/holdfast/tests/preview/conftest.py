"""What every test of a preview may take."""

from collections.abc import Iterator

import pytest

from holdfast.scratch.databases import Postgres
from holdfast.scratch.template import scratch_server


@pytest.fixture
def server(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    """The server of the test run as the scratch server."""
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))
    with scratch_server() as server:
        yield server
