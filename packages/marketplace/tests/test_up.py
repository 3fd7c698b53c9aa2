"""`marketplace up`, as a user runs it: a process, a data folder, a port."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Timer
from urllib.parse import quote

import httpx
import psutil
import psycopg
import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from sqlalchemy import Engine

from holdfast import HoldfastError
from holdfast.scratch.dump import schema_dump
from holdfast.scratch.processes import has_ended
from holdfast.scratch.server import running_server_url
from marketplace.cli import main
from marketplace.cli.up import up as up_command
from marketplace.errors import TwoDatabases, UnsupportedServer
from marketplace.server import DATABASE
from marketplace.settings import Settings
from marketplace.up import serve

COMMAND = Path(sys.executable).parent / "marketplace"
LIMIT = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Up:
    """A process that serves."""

    process: subprocess.Popen[str]
    port: int
    output: list[str]

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=LIMIT)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(LIMIT)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def environment(**variables: str) -> dict[str, str]:
    return {
        name: value
        for name, value in (os.environ | variables).items()
        if name in variables or not name.startswith(("DATABASE_URL", "MARKETPLACE_"))
    }


def refused(*arguments: str, **variables: str) -> tuple[int, str]:
    """The exit status and the error of a start that has to fail."""
    ended = subprocess.run(
        [COMMAND, "up", *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


def error_of(*arguments: str, **variables: str) -> HoldfastError:
    """The error of a start that has to fail, without a process of its own."""
    left = dict.fromkeys(os.environ.keys() - environment().keys())
    ended = CliRunner().invoke(up_command, arguments, env=left | variables)
    assert ended.stdout == ""
    assert isinstance(ended.exception, HoldfastError)
    return ended.exception


@contextmanager
def up(*arguments: str, **variables: str) -> Iterator[Up]:
    """Serves in a process group of its own; killed at the end if it still runs."""
    port = free_port()
    process = subprocess.Popen(
        [COMMAND, "up", "--port", str(port), *arguments],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever runs the tests in the background has Ctrl-C ignored, and a child inherits that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield Up(process=process, port=port, output=output_until_up(process))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(LIMIT)
        assert process.stdout is not None
        process.stdout.close()


def output_until_up(process: subprocess.Popen[str]) -> list[str]:
    """What it printed up to the end of the demo logins."""
    assert process.stdout is not None
    output: list[str] = []
    guard = Timer(LIMIT, process.kill)
    guard.start()
    try:
        for line in process.stdout:
            output.append(line.rstrip())
            if " vendor@example.com" in line:
                return output
    finally:
        guard.cancel()
    return pytest.fail(f"it ended, or was not up after {LIMIT} s; it said {output}")


def postmaster(data_dir: Path) -> psutil.Process:
    [pid, *_] = (data_dir / "pgdata" / "postmaster.pid").read_text().splitlines()
    return psutil.Process(int(pid))


def rename(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE products SET name = 'AAA' WHERE name = 'Alder Blanket'")


@pytest.mark.everywhere
def test_up_killed_and_up_again(data_dir: Path) -> None:
    """The first start loads the demo shop; after a kill -9 the next one finds what was there.

    While it runs, another one on its folder is told who has it.
    """
    socket_folder = quote(str(data_dir / "socket"), safe="")
    with up("--data-dir", str(data_dir)) as first:
        assert first.output == [
            "",
            "The marketplace is up. Ctrl-C stops it.",
            "",
            f"  API documentation  http://127.0.0.1:{first.port}/docs",
            f"  products           http://127.0.0.1:{first.port}/products",
            f"  health             http://127.0.0.1:{first.port}/healthz",
            f"                     http://127.0.0.1:{first.port}/readyz",
            f"  database           postgresql://postgres@/marketplace?host={socket_folder}&port=5432",
            "",
            "Demo logins, each with the password marketplace-demo:",
            "",
            "  admin      admin@example.com",
            "  customer   customer2@example.com",
            "  customer   customer@example.com",
            "  vendor     vendor2@example.com",
            "  vendor     vendor3@example.com",
            "  vendor     vendor@example.com",
        ]
        assert first.get("/readyz").status_code == 200
        page = first.get("/products?limit=3").json()
        assert [item["name"] for item in page["items"]] == [
            "Alder Blanket",
            "Alder Chair",
            "Alder Knife",
        ]
        url = running_server_url(data_dir, DATABASE)
        assert url is not None
        rename(url)
        os.killpg(first.process.pid, signal.SIGKILL)
        first.process.wait(LIMIT)

    with up("--data-dir", str(data_dir)) as second:
        page = second.get("/products?limit=3").json()
        assert [item["name"] for item in page["items"]] == ["AAA", "Alder Chair", "Alder Knife"]
        status, error = refused("--port", str(free_port()), "--data-dir", str(data_dir))
        assert status == 3
        assert error.splitlines() == [
            f"error: The server in {data_dir} is in use by process {second.process.pid}.",
            "One process at a time owns a server: it starts it and it stops it.",
            (
                f"Stop that process (kill {second.process.pid}), or choose another folder: ./dev up --data-dir DIR, or"
                " data_dir= in the program that starts the server"
            ),
        ]
        assert second.get("/readyz").status_code == 200
        server = postmaster(data_dir)
        assert second.end(signal.SIGINT) == 130
        assert has_ended(server)


def test_first_screen(data_dir: Path) -> None:
    """On a terminal a first start ends with the addresses, on one screen; each migration is a dim line before."""
    terminal, inside = os.openpty()
    process = subprocess.Popen(
        [COMMAND, "up", "--port", str(free_port()), "--data-dir", str(data_dir)],
        env=environment(HOLDFAST_PROFILE="development"),
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    guard = Timer(LIMIT, process.kill)
    guard.start()
    shown: list[str] = []
    try:
        with open(terminal, encoding="utf-8", errors="replace") as screen:  # noqa: PTH123  # a descriptor
            for line in screen:
                shown.append(line.rstrip())
                if " vendor@example.com" in line:
                    break
        process.terminate()
        process.wait(LIMIT)
    finally:
        guard.cancel()
        process.kill()
        process.wait(LIMIT)
    begins = shown.index("The marketplace is up. Ctrl-C stops it.")
    assert len(shown) - begins < 24, shown
    assert [line for line in shown if "SELECT" in line or "sqlalchemy" in line] == []
    assert all(line.startswith("\x1b[2m") for line in shown[:begins] if line), shown[:begins]


def test_a_taken_port(data_dir: Path) -> None:
    """Said before anything is made."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        error = error_of("--port", str(port), "--data-dir", str(data_dir))
    assert error.exit_status == 3
    assert str(error).startswith(f"Cannot listen on 127.0.0.1 port {port}: Address already in")
    assert not data_dir.exists()


@pytest.mark.everywhere
def test_on_a_database_of_ones_own(engine: Engine, database: str) -> None:
    """DATABASE_URL: no server of ours; what is there stays up."""
    with up(DATABASE_URL=database) as shop:
        assert shop.get("/readyz").status_code == 200
        assert len(shop.get("/products?limit=3").json()["items"]) == 3
        assert shop.end(signal.SIGTERM) == 0
    with engine.connect() as connection:
        assert connection.closed is False


def test_a_database_out_of_reach() -> None:
    """Named without the password."""
    error = error_of(
        "--port",
        str(free_port()),
        DATABASE_URL=f"postgresql://me:secret@127.0.0.1:{free_port()}/shop",
    )
    assert error.exit_status == 3
    assert str(error).startswith("No connection to postgresql://me:***@127.0.0.1:")
    assert len(str(error).splitlines()) == 3


def test_a_server_that_is_not_supported(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found before anything is written to it."""
    monkeypatch.setattr("marketplace.up.SUPPORTED", range(1, 2))
    settings = Settings(database_url=SecretStr(database), port=free_port())
    with pytest.raises(UnsupportedServer):
        serve(settings, announce=lambda _: None)
    assert schema_dump(database) == ""


def test_two_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong usage, said before anything is touched."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://db/shop")
    with pytest.raises(TwoDatabases) as caught:
        CliRunner().invoke(up_command, ["--data-dir", "here"], catch_exceptions=False)
    assert (caught.value.data_dir, caught.value.exit_status) == ("here", 2)


def test_wrong_usage(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, before anything is touched."""
    monkeypatch.setenv("DATABASE_URL", "mysql://db/shop")
    monkeypatch.setattr("sys.argv", ["marketplace", "up"])
    monkeypatch.setattr("marketplace.cli._stop_in_order", lambda: None)  # signals of the test run
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (2, "")
    assert said.err.startswith("error: DATABASE_URL cannot be used: its scheme is mysql.")
    assert len(said.err.splitlines()) == 3
