"""The pytest plugin: a PostgreSQL server for a test run, a database for a test.

`HOLDFAST_TEST_URL` names a server to use instead of the embedded one. Every pytest run of a project
that has holdfast installed loads this file: what is heavy is imported by the first test that asks.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from holdfast.testing.databases import Postgres

RUN = "holdfast_run"  # what the controller of pytest-xdist tells its workers: the folder of the run


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> "Iterator[Postgres]":
    """The server of the run: `url(database)`, `major`, `create`, `drop`."""
    from holdfast.testing.databases import postgres_at

    with ExitStack() as lifetime:
        server = postgres_at(_server_of_the_run(request.config) or _start(lifetime))
        lifetime.callback(server.drop_templates)
        yield server


@pytest.fixture
def database(postgres: "Postgres") -> Iterator[str]:
    """The URL of a fresh, empty database."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def database_from(postgres: "Postgres") -> Iterator[Callable[[str, Callable[[str], None]], str]]:
    """Makes a copy of a database that a function built: `database_from(name, build)` gives a URL.

    `build` gets the URL of an empty database to fill; it runs once per name and worker.
    """
    with ExitStack() as lifetime:
        yield lambda name, build: lifetime.enter_context(
            postgres.database(template=postgres.template(name, build))
        )


def _start(lifetime: ExitStack) -> str:
    from holdfast.errors import HoldfastError
    from holdfast.scratch.server import temporary_server

    try:
        return lifetime.enter_context(temporary_server()).url()
    except HoldfastError as error:
        pytest.exit(f"no PostgreSQL to test on\n{error}", returncode=3)


def _server_of_the_run(config: pytest.Config) -> str | None:
    """Another's server, or the one that the controller of pytest-xdist started."""
    if "HOLDFAST_TEST_URL" in os.environ:
        return os.environ["HOLDFAST_TEST_URL"]
    workerinput: dict[str, str] = getattr(config, "workerinput", {})
    shared = Path(workerinput.get(RUN, "")) / "url"
    return shared.read_text() if shared.is_file() else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """In the controller of pytest-xdist, before there are workers."""
    if "HOLDFAST_TEST_URL" not in os.environ:
        config.pluginmanager.register(Run())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """In a worker, before it reports what it collected."""
    workerinput: dict[str, str] = getattr(session.config, "workerinput", {})
    if RUN in workerinput and any("postgres" in names_of(item) for item in session.items):
        (Path(workerinput[RUN]) / "wanted").touch()


def names_of(item: pytest.Item) -> Sequence[str]:
    """The fixtures of a test, also those that its fixtures ask for."""
    return getattr(item, "fixturenames", ())


class Worker(Protocol):
    """What the controller of pytest-xdist sends to a worker: there it is `config.workerinput`."""

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
        """In the controller, for each worker."""
        node.workerinput[RUN] = str(self.folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """In the controller, for each worker."""
        url = self.folder / "url"
        if (self.folder / "wanted").exists() and not url.exists():
            url.write_text(_start(self.lifetime))

    def pytest_unconfigure(self) -> None:
        """In the controller, at the end."""
        self.lifetime.close()
