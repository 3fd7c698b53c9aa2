"""The pytest plugin: a PostgreSQL server for a test run, a database for a test.

`HOLDFAST_TEST_URL` names a server to use instead of the embedded one. Every pytest run of a project
that has holdfast installed loads this file: what is heavy is imported by the first test that asks.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from holdfast.scratch.databases import Postgres

OTHER = "HOLDFAST_TEST_URL"
RUN = "holdfast_run"  # what the controller of pytest-xdist tells its workers: the folder of the run


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> "Iterator[Postgres]":
    """The server of the test run: `url(database)`, `major`, `create`, `drop`."""
    from holdfast.scratch.databases import postgres_at

    run = _from_controller(request.config)
    shared = Path(run, "url")
    with ExitStack() as lifetime:
        is_shared = run and shared.is_file()
        server = postgres_at(shared.read_text() if is_shared else _open_server(lifetime))
        yield lifetime.enter_context(server.for_many_databases())


@pytest.fixture
def database(postgres: "Postgres") -> Iterator[str]:
    """The URL of a fresh, empty database."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def database_from(postgres: "Postgres") -> Iterator[Callable[[str, Callable[[str], None]], str]]:
    """Copies a database that a function has built: `database_from(name, build)` gives a URL.

    `build` gets the URL of an empty database to fill; it runs once per name, its own module, and worker.
    """
    with ExitStack() as lifetime:
        yield lambda name, build: lifetime.enter_context(
            postgres.database(template=postgres.template(name, build))
        )


def _open_server(lifetime: ExitStack) -> str:
    """Give the URL of the server to test on; without one the run ends here, with the reason."""
    from psycopg import OperationalError

    from holdfast.errors import HoldfastError
    from holdfast.scratch.databases import postgres_at
    from holdfast.scratch.server import temporary_server

    try:
        url = os.environ.get(OTHER) or lifetime.enter_context(temporary_server()).url()
        postgres_at(url)
    except (HoldfastError, OperationalError) as error:
        pytest.exit(f"no PostgreSQL to test on: {error}", returncode=3)
    return url


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Start the shared run in the controller of pytest-xdist, before there are workers."""
    config.pluginmanager.register(Run())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Report, in a worker, whether a collected test needs the server."""
    run = _from_controller(session.config)
    if run and any("postgres" in getattr(item, "fixturenames", ()) for item in session.items):
        Path(run, "wanted").touch()


def _from_controller(config: pytest.Config) -> str:
    workerinput: dict[str, str] = getattr(config, "workerinput", {})
    return workerinput.get(RUN, "")


class Worker(Protocol):
    """What the controller of pytest-xdist sends to a worker, where it is `config.workerinput`."""

    workerinput: dict[str, object]


class Run:
    """One server for all workers of pytest-xdist, started when a test that needs it is collected.

    Worker and controller meet in a folder: the worker leaves `wanted` there, the controller `url`.
    The controller schedules no test before every worker has reported its collection.
    """

    def __init__(self) -> None:
        self.lifetime = ExitStack()
        folder = tempfile.TemporaryDirectory(prefix="holdfast-run-")
        self.folder = Path(self.lifetime.enter_context(folder))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Worker) -> None:
        """Prepare a worker; called in the controller for each of them."""
        node.workerinput[RUN] = str(self.folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Start the server if a worker needs it; called in the controller for each of them."""
        url = self.folder / "url"
        if (self.folder / "wanted").exists() and not url.exists():
            url.write_text(_open_server(self.lifetime))

    def pytest_unconfigure(self) -> None:
        """Stop the server; called in the controller at the end."""
        self.lifetime.close()
