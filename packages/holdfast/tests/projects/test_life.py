"""The whole life of a project, whichever generator wrote its env.py; the words of docs/projects are tried here."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import psycopg.conninfo
import pytest
from everywhere import each
from newcomers import KINDS, Newcomer

from holdfast.scratch.databases import Postgres

WAITS = "SELECT 1 FROM holdfast.history WHERE outcome = 'running'"


@pytest.fixture(params=each([*KINDS], here=1))
def newcomer(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    postgres: Postgres,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Newcomer]:
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))
    make, count = KINDS[request.param]
    with ExitStack() as lifetime:
        urls = tuple(lifetime.enter_context(postgres.database()) for _ in range(count))
        yield make(tmp_path, urls)


def lines(newcomer: Newcomer, status: int, *arguments: str) -> list[str]:
    """What a verb prints, if it ends with this status."""
    ended = newcomer.holdfast(*arguments)
    assert ended.returncode == status, f"{arguments}: {ended.stdout}{ended.stderr}"
    assert "Traceback" not in ended.stderr
    return ended.stdout.splitlines()


@pytest.mark.timeout(600)
@pytest.mark.everywhere
def test_the_whole_life(newcomer: Newcomer, postgres: Postgres) -> None:
    """From the first models to a run that was killed, back and forth, and a database that plain Alembic made."""
    count = len(newcomer.databases)
    lines(newcomer, 0, "generate", "first models")
    assert "pending" in lines(newcomer, 1, "status")[0 if count == 1 else 1]
    assert "first models" in "\n".join(lines(newcomer, 0, "plan"))
    assert lines(newcomer, 0, "run")[-1].startswith("applied ")
    assert "up to date" in "\n".join(lines(newcomer, 0, "status"))
    assert lines(newcomer, 0, "plan") == nothing_pending(newcomer)

    newcomer.grow()
    left = lines(newcomer, 1, "generate", "--check")
    assert "op.add_column" in "\n".join(left)
    lines(newcomer, 0, "generate", "more of them")
    assert lines(newcomer, 0, "generate", "--check") == [
        "nothing to write: models and migrations agree"
    ]
    assert lines(newcomer, 0, "check") == ["nothing found"]
    planned = json.loads("".join(lines(newcomer, 0, "plan", "--format", "json")))
    assert [each["description"] for each in planned["revisions"]] == ["more of them"]

    kill_in_the_middle(newcomer)
    assert lines(newcomer, 0, "run")[-1].startswith("applied ")
    lines(newcomer, 0, "revert")
    lines(newcomer, 1, "status")
    assert lines(newcomer, 0, "run")[-1].startswith("applied ")
    assert all("no differences" in line for line in lines(newcomer, 0, "drift")[-1:])

    with ExitStack() as lifetime:
        newcomer.use(tuple(lifetime.enter_context(postgres.database()) for _ in range(count)))
        plainly = newcomer.run(*newcomer.plainly)
        assert plainly.returncode == 0, plainly.stderr
        lines(newcomer, 0, "baseline", "head")
        assert "up to date" in "\n".join(lines(newcomer, 0, "status"))
        assert lines(newcomer, 0, "run") == ["up to date: nothing is pending"]
        assert "no differences" in "\n".join(lines(newcomer, 0, "drift"))


def nothing_pending(newcomer: Newcomer) -> list[str]:
    words = "up to date: nothing is pending"
    if len(newcomer.databases) == 1:
        return [words]
    names = [psycopg.conninfo.conninfo_to_dict(url)["dbname"] for url in newcomer.databases]
    return [line for name in names for line in (f"database {name}:", words)]


def kill_in_the_middle(newcomer: Newcomer) -> None:
    """While somebody reads the table, a run tries for its lock again and again: so long it is there to be killed."""
    with psycopg.connect(newcomer.databases[0]) as reader:
        reader.execute(f"LOCK TABLE {newcomer.table} IN ACCESS SHARE MODE".encode())
        run = newcomer.begin("run")
        try:
            wait_until(newcomer, WAITS)
        finally:
            run.kill()
            run.communicate(timeout=30)


def wait_until(newcomer: Newcomer, sql: str) -> None:
    limit = time.monotonic() + 60
    while not newcomer.query(sql):
        assert time.monotonic() < limit, f"waited for: {sql}"
        time.sleep(0.05)
