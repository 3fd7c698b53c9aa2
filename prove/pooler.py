"""Behind PgBouncer (transaction mode; `apt-get install pgbouncer`): the application through it, migrations past it.

One line a promise; exit status 1 where one does not hold. A migration through the pooler is refused with the variable
that names the server; nothing that we connect with is seen by a stranger; three migrators go past the pooler at once,
the leader is killed, while an application works through it: applied once, nothing stranded, no request failed. Then the
same with three that go through it, by a lease, which a stranger does not see either. At the end the marketplace's tour
goes through it, beside pages that are read and a migration.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import text

from holdfast import Database
from holdfast.engine.profiles import Profile
from holdfast.engine.settings import Settings
from holdfast.scratch.server import EmbeddedServer, temporary_server

ROWS = 200_000
MIGRATORS = 3
SCRIPTS = {
    "1_orders.sql": "CREATE TABLE orders (id int PRIMARY KEY, note text);",
    "2_note.sql": "UPDATE orders SET note = coalesce(note, '') || 'x';\nCREATE INDEX orders_note ON orders (note);",
    "3_mark.sql": "ALTER TABLE orders ADD COLUMN mark text;\n"
    "UPDATE orders SET mark = coalesce(mark, '') || 'x';\n"
    "ALTER TABLE orders ALTER COLUMN mark SET NOT NULL;\nCREATE INDEX orders_mark ON orders (mark);",
}
LAST = "3_mark.sql"
CHANGE = """
ALTER TABLE products ADD COLUMN note text;
UPDATE products SET note = 'x';
CREATE INDEX products_note ON products (note);
"""
WEBHOOK_KEY = "a key of the tour, which a provider signs with"
LIMITS = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def pgbouncer(direct: str, *, folder: Path) -> Iterator[str]:
    """In front of the server for the block; gives the URL."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        sys.exit("./dev prove pooler needs PgBouncer: apt-get install pgbouncer")
    place, port = conninfo_to_dict(direct), free_port()
    (folder / "users.txt").write_text(f'"{place["user"]}" ""\n')
    (folder / "p.ini").write_text(
        f"[databases]\n* = host={place['host']} port={place['port']}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = trust\n"
        f"auth_file = {folder}/users.txt\npool_mode = transaction\ndefault_pool_size = 4\n"
        f"logfile = {folder}/p.log\nadmin_users = {place['user']}\n"
    )
    as_nobody = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
    for each in (folder, *folder.iterdir()):
        each.chmod(0o777)
    process = subprocess.Popen([program, folder / "p.ini"], **as_nobody, stderr=subprocess.DEVNULL)  # type: ignore[call-overload]  # who runs it
    url = f"postgresql://{place['user']}@127.0.0.1:{port}/{place['dbname']}"
    try:
        wait_for(lambda: answers(url))
        yield url
    finally:
        process.terminate()
        process.wait(10)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def wait_for(is_so: Callable[[], bool]) -> None:
    limit = time.monotonic() + 180
    while not is_so():
        assert time.monotonic() < limit, "waited three minutes in vain"
        time.sleep(0.1)


def holdfast(*arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "holdfast", *arguments],
        env={
            **os.environ,
            "HOLDFAST_PROFILE": "development",
            "HOLDFAST_LOG_SQL": "off",
            **variables,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def promise(words: str, *, holds: bool, said: str = "") -> bool:
    print(f"{'holds ' if holds else 'BROKEN'}  {words}", flush=True)
    if not holds:
        print(said)
    return holds


def refused(pooled: str, scripts: Path) -> Iterator[bool]:
    run = holdfast("apply", str(scripts), DATABASE_URL=pooled)
    said = run.communicate()[0]
    yield promise(
        "a migration through it is refused, with the variable that names the server",
        holds=run.returncode == 3 and "HOLDFAST_MIGRATION_URL=" in said,
        said=said,
    )
    database = Database(Settings(profile=Profile.TEST, url=pooled))
    try:
        database.start()
        said = "it has started"
    except Exception as error:  # noqa: BLE001  # its words are what is looked at
        said = str(error)
    finally:
        database.stop()
    yield promise(
        "who does not say that it is one is told how", holds="HOLDFAST_POOLER" in said, said=said
    )


def alone(pooled: str, application: Database) -> Iterator[bool]:
    with application.sessions() as session:
        session.execute(text("SELECT 1"))
    with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as stranger:
        seen = {stranger.execute(LIMITS).fetchone() for _ in range(20)}
        held = stranger.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
        ).fetchone()
    yield promise(
        "a stranger sees none of our settings, and no lock is left",
        holds=seen == {("0", "0")} and held == (0,),
        said=f"{seen} {held}",
    )


@contextmanager
def served(application: Database) -> Iterator[list[BaseException | None]]:
    """Four threads of an application; gives an entry per request, an error where it failed."""
    requests: list[BaseException | None] = []
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            try:
                with application.sessions.begin() as session:
                    session.execute(text("SELECT count(*) FROM orders WHERE id < 10"))
                requests.append(None)
                time.sleep(0.005)
            except Exception as error:  # noqa: BLE001  # told below
                requests.append(error)

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield requests
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def migrated(
    direct: str, application: Database, *, to: str, column: str, way: str, variables: dict[str, str]
) -> Iterator[bool]:
    """Three at once, the leader killed in the middle of its backfill; an application works meanwhile."""
    with served(application) as requests:
        migrators = [holdfast("apply", to, **variables) for _ in range(MIGRATORS)]
        with psycopg.connect(direct, autocommit=True) as watch:

            def is_at_work() -> bool:
                exists = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = %s"
                if watch.execute(exists, [column]).fetchone() == (0,):
                    return False
                busy = f"SELECT EXISTS (SELECT FROM orders WHERE {column} IS NOT NULL)"
                return watch.execute(busy).fetchone() == (True,)  # type: ignore[arg-type]  # our own name

            try:
                wait_for(is_at_work)
            except AssertionError:
                for each in migrators:
                    each.kill()
                    print(each.communicate()[0])
                raise
            leader = watch.execute("SELECT client FROM holdfast.leader").fetchone()
            epoch = watch.execute("SELECT epoch FROM holdfast.leader").fetchone()
        (killed,) = [
            each for each in migrators if leader and f"{each.pid}" in leader[0].split()[-1]
        ]
        killed.send_signal(signal.SIGKILL)
        others = [each for each in migrators if each is not killed]
        said = "\n".join(each.communicate()[0] for each in others)
    with psycopg.connect(direct) as connection:
        left = connection.execute("SELECT count(*) FROM holdfast.queue").fetchone()
        twice = connection.execute(
            f"SELECT count(*) FROM orders WHERE {column} IS DISTINCT FROM 'x'"  # type: ignore[arg-type]  # our own name
        ).fetchone()
        invalid = connection.execute(
            "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
        ).fetchone()
        leaders = connection.execute("SELECT epoch FROM holdfast.leader").fetchone()
    is_done = all(each.returncode == 0 for each in others)
    yield promise(
        f"{MIGRATORS} migrators {way}, the leader killed: applied once, nothing stranded",
        holds=is_done and (left, twice, invalid) == ((0,), (0,), (0,)) and leaders != epoch,
        said=f"{left} {twice} {invalid} {epoch} {leaders}\n{said}",
    )
    failed = [error for error in requests if error is not None]
    words = f"meanwhile {len(requests)} transactions through it, none failed"
    yield promise(words, holds=not failed and bool(requests), said=str(failed[:1]))


@contextmanager
def shop(variables: dict[str, str], *, folder: Path) -> Iterator[str]:
    """The marketplace behind the pooler, for the block; gives its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    log = folder / "shop.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [Path(sys.executable).parent / "marketplace", "up", "--port", str(port)],
            env={**os.environ, "HOLDFAST_PROFILE": "development", **variables},
            cwd=folder,
            stdout=said,
            stderr=said,
        )
    try:
        wait_for(lambda: process.poll() is not None or is_up(address))
        assert process.poll() is None, log.read_text()
        yield address
    finally:
        process.terminate()
        process.wait(60)


def is_up(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def toured(pooled: str, server: EmbeddedServer, *, folder: Path, console: str) -> Iterator[bool]:
    """docs/tour.md as one script through the pooler, beside clients who browse and a migration past it."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE shop")
    pooled = pooled.rpartition("/")[0] + "/shop"
    direct = server.url("shop")
    variables = {
        "DATABASE_URL": pooled,
        "HOLDFAST_POOLER": "transaction",
        "HOLDFAST_MIGRATION_URL": direct,
        "HOLDFAST_POOLER_ADMIN_URL": console,
        "MARKETPLACE_PAYMENT_WEBHOOK_KEY": WEBHOOK_KEY,
    }
    tour = Path(__file__).parents[1] / "docs" / "tour.md"
    script = "".join(re.findall(r"^```sh\n(.*?)^```", tour.read_text(), re.MULTILINE | re.DOTALL))
    changes = folder / "changes"
    changes.mkdir()
    (changes / "1_note.sql").write_text(CHANGE)
    failed: list[str] = []
    answered, ended = [0], threading.Event()

    def browse() -> None:
        with httpx.Client(base_url=address) as client:
            while not ended.wait(0.05):
                status = client.get("/products").status_code
                answered[0] += 1
                if status != 200:
                    failed.append(str(status))

    with shop(variables, folder=folder) as address:
        threads = [threading.Thread(target=browse) for _ in range(2)]
        for thread in threads:
            thread.start()
        known = holdfast("--sql", str(changes), "baseline", "base", **variables)
        assert known.wait() == 0, known.communicate()[0]
        migrator = holdfast("apply", str(changes), **variables)
        walked = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env={**os.environ, "SHOP": address, "WEBHOOK_KEY": WEBHOOK_KEY},
            capture_output=True,
            text=True,
            check=False,
        )
        said = migrator.communicate()[0]
        for _ in range(
            4
        ):  # on a busy machine the guard gives way to users, and a run may be given up
            if migrator.returncode == 0:
                break
            migrator = holdfast("apply", str(changes), **variables)
            said = migrator.communicate()[0]
        ended.set()
        for thread in threads:
            thread.join()
    yield promise(
        f"the marketplace's tour through it, beside a migration past it and {answered[0]} pages, none failed",
        holds=walked.returncode == 0
        and migrator.returncode == 0
        and not failed
        and walked.stdout.splitlines()[-1] == "401",
        said=f"{walked.stdout}\n{walked.stderr}\n{said}\n{failed[:3]}",
    )
    log = (folder / "p.log").read_text()
    yield promise(
        "the admin console was told to RECONNECT", holds="RECONNECT 'shop'" in log, said=log[-2000:]
    )


@click.command(help=__doc__)
@click.option("--tour-only", is_flag=True, help="Only the marketplace's tour.")
def main(*, tour_only: bool) -> None:
    with (
        temporary_server() as server,
        tempfile.TemporaryDirectory() as folder,
        pgbouncer(server.url(), folder=Path(folder)) as pooled,
    ):
        console = pooled.rpartition("/")[0] + "/pgbouncer"
        if tour_only:
            sys.exit(0 if all(toured(pooled, server, folder=Path(folder), console=console)) else 1)
        scripts = Path(folder) / "scripts"
        scripts.mkdir()
        for name, script in SCRIPTS.items():
            if name != LAST:
                (scripts / name).write_text(script)
        first = holdfast("apply", str(scripts), "--to", "1_orders", DATABASE_URL=server.url())
        assert first.wait() == 0, first.communicate()[0]
        with psycopg.connect(server.url()) as connection:
            connection.execute("INSERT INTO orders SELECT n FROM generate_series(1, %s) n", [ROWS])
        application = Database(
            Settings(profile=Profile.TEST, url=pooled, pooler="transaction", tls="off")
        )
        holds = [
            *refused(pooled, scripts),
            *alone(pooled, application),
            *migrated(
                server.url(),
                application,
                to=str(scripts),
                column="note",
                way="past it",
                variables={
                    "DATABASE_URL": pooled,
                    "HOLDFAST_POOLER": "transaction",
                    "HOLDFAST_MIGRATION_URL": server.url(),
                },
            ),
        ]
        (scripts / LAST).write_text(SCRIPTS[LAST])
        holds += [
            *migrated(
                server.url(),
                application,
                to=str(scripts),
                column="mark",
                way="through it, by a lease",
                variables={"DATABASE_URL": pooled, "HOLDFAST_POOLER": "transaction"},
            ),
            *alone(pooled, application),
        ]
        application.stop()
        holds += toured(pooled, server, folder=Path(folder), console=console)
    sys.exit(0 if all(holds) else 1)


if __name__ == "__main__":
    main()
