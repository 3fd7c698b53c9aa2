"""A second server for the tests of plans: what differs between major versions is run on both."""

from collections.abc import Iterator

import pytest

from holdfast.scratch.server import temporary_server
from holdfast.testing.databases import Postgres, postgres_at


@pytest.fixture(scope="session")
def postgres_16() -> Iterator[Postgres]:
    """PostgreSQL 16, the older of the two that come with the scratch server."""
    with temporary_server(major=16) as server:
        postgres = postgres_at(server.url())
        yield postgres
        postgres.drop_templates()


@pytest.fixture(params=[18, 16])
def each_postgres(request: pytest.FixtureRequest) -> Postgres:
    """Both majors, one after the other."""
    fixture = "postgres" if request.param == 18 else "postgres_16"
    server: Postgres = request.getfixturevalue(fixture)
    return server
