"""Nobody reads older than what he has written: 10,000 writes, each followed by a read that may go to a standby.

Four threads write to a primary and read through `Database.read`, with the position of their write; meanwhile the
standby's replay is paused and goes on, and the standby is stopped and started once. One line with what was read where;
exit status 1 where a read was stale or failed.
"""

import sys
import threading
import time
import traceback
from pathlib import Path

import click
import psycopg
from sqlalchemy import text
from sqlalchemy.orm import Session

sys.path.insert(0, str(Path(__file__).parents[1] / "packages" / "holdfast" / "tests" / "kit"))

from standby import Pair, streaming_pair

from holdfast import Database
from holdfast.engine.profiles import Profile
from holdfast.engine.settings import Settings

THREADS = 4
INSERT = text("INSERT INTO written (client) VALUES (:client) RETURNING n")
READ = text("SELECT pg_is_in_recovery(), (SELECT max(n) FROM written WHERE client = :client)")


class Client(threading.Thread):
    """Writes, and reads at once what it has written."""

    def __init__(self, database: Database, *, number: int, writes: int) -> None:
        super().__init__()
        self.database, self.number, self.writes = database, number, writes
        self.stale, self.on_standby, self.on_primary = 0, 0, 0
        self.errors: list[BaseException] = []

    def run(self) -> None:
        try:
            for _ in range(self.writes):
                self.once()
        except Exception as error:  # noqa: BLE001  # told at the end
            self.errors.append(error)

    def once(self) -> None:
        with self.database.sessions.begin() as session:
            wrote = session.execute(INSERT, {"client": self.number}).scalar_one()
        after = self.database.written()

        def work(session: Session) -> tuple[bool, int]:
            found = session.execute(READ, {"client": self.number}).one()
            return bool(found[0]), int(found[1] or 0)

        is_standby, read = self.database.read(work, after=after)
        self.stale += read < wrote
        self.on_standby += is_standby
        self.on_primary += not is_standby


def disturb(pair: Pair, ended: threading.Event) -> None:
    """Replay stops and goes on; standby sessions are ended."""
    while not ended.wait(2):
        with psycopg.connect(pair.standby.url(), autocommit=True) as connection:
            connection.execute("SELECT pg_wal_replay_pause()")
            time.sleep(0.2)
            connection.execute("SELECT pg_wal_replay_resume()")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )


@click.command(help=__doc__)
@click.option("--writes", default=10_000, show_default=True)
def main(writes: int) -> None:
    with streaming_pair() as pair:
        with psycopg.connect(pair.primary.url()) as connection:
            connection.execute(
                "CREATE TABLE written (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client int)"
            )
        pair.wait_for_replay()
        database = Database(
            Settings(profile=Profile.TEST, url=pair.primary.url(), read_url=pair.standby.url())
        )
        clients = [Client(database, number=n, writes=writes // THREADS) for n in range(THREADS)]
        ended = threading.Event()
        disturbing = threading.Thread(target=disturb, args=(pair, ended), daemon=True)
        disturbing.start()
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        ended.set()
        disturbing.join()
        database.stop()
    stale = sum(client.stale for client in clients)
    errors = [error for client in clients for error in client.errors]
    print(
        f"{sum(c.on_standby + c.on_primary for c in clients)} writes and reads: {stale} stale, {len(errors)} failed;"
        f" {sum(c.on_standby for c in clients)} read on the standby,"
        f" {sum(c.on_primary for c in clients)} on the primary"
    )
    for error in errors[:3]:
        traceback.print_exception(error)
    sys.exit(1 if stale or errors else 0)


if __name__ == "__main__":
    main()
