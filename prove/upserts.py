"""How often an upsert fails because a second unique index is there: while a key changes its type, and with ADD UNIQUE.

`./dev prove upserts [--seconds N]`. Eight clients only upsert the same new keys at the same moments, as bad as
it gets. PostgreSQL waits at the index that ON CONFLICT names; of two sessions that insert the same key at once,
one can meet the other index first, and gets 23505. After ADD UNIQUE that stays so, however the index was made. One line
a phase; exit status 1 when an upsert fails in another way, or while there is one unique index.
"""

import itertools
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from threading import Event, Thread
from typing import Self

import click
import psycopg
from psycopg.errors import UniqueViolation

sys.path.insert(0, str(Path(__file__).parents[1] / "packages" / "holdfast" / "tests" / "kit"))

from alembic_project import Project

from holdfast.execute.progress import Event as Progress
from holdfast.execute.progress import StepStarted
from holdfast.migrate.run import upgrade
from holdfast.scratch.databases import postgres_at
from holdfast.scratch.server import temporary_server

CLIENTS = 8
TABLE = "CREATE TABLE t (id integer PRIMARY KEY, code integer, n integer NOT NULL DEFAULT 0)"
UPSERT = (
    "INSERT INTO t (id, code) VALUES (%(key)s, %(key)s) ON CONFLICT (id) DO UPDATE SET n = t.n + 1"
)
BEFORE, TWO = "one unique index", "two unique indexes"
CHANGES = {
    "type of the key": "op.alter_column('t', 'id', type_=sa.BigInteger)",
    "ADD UNIQUE": "op.create_unique_constraint('t_code', 't', ['code'])",
}


class Clients:
    """Eight sessions; each takes the key that is the newest one at the moment."""

    def __init__(self, url: str) -> None:
        self.phase, self.ended = BEFORE, Event()
        self.upserts: Counter[str] = Counter()
        self.races: Counter[str] = Counter()
        self.others: list[str] = []
        self._keys = itertools.count(1)
        self._key = next(self._keys)
        self._threads = [Thread(target=self._use, args=(url,)) for _ in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self._threads:
            thread.join()

    def _use(self, url: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not self.ended.is_set():
                key, phase = self._key, self.phase
                try:
                    connection.execute(UPSERT, {"key": key})
                except UniqueViolation:
                    self.races[phase] += 1
                except psycopg.Error as error:
                    self.others.append(f"{error.sqlstate} {error}")
                self.upserts[phase] += 1
                if key == self._key:
                    self._key = next(self._keys)


def measured(change: str, url: str, folder: Path, *, seconds: float) -> Clients:
    """The clients, before the change and while two unique indexes are there."""
    project = Project(folder=folder, database=url)
    project.revision(f"op.execute({TABLE!r})")
    upgrade(project.config, "head")
    project.revision(CHANGES[change])
    with Clients(url) as clients:

        def wait(told: Progress) -> None:
            step = told.step if isinstance(told, StepStarted) else ""
            if step.startswith("build unique index"):
                clients.phase = TWO
                time.sleep(0.1)  # until whoever has begun in the phase before has ended
            elif clients.phase == TWO and step:
                time.sleep(seconds)

        time.sleep(seconds)
        upgrade(project.config, "head", report=wait)
        time.sleep(0.1)
        clients.phase = "afterwards"
        time.sleep(seconds)
    return clients


@click.command(help=__doc__)
@click.option("--seconds", default=10.0, show_default=True, help="Of each phase.")
def main(seconds: float) -> None:
    holds = True
    with temporary_server(major=18) as server, tempfile.TemporaryDirectory() as place:
        postgres = postgres_at(server.url())
        for change in CHANGES:
            with postgres.database() as url:
                folder = Path(place) / change.replace(" ", "_")
                clients = measured(change, url, folder, seconds=seconds)
            for phase, upserts in clients.upserts.items():
                print(f"{change}, {phase}: {clients.races[phase]} of {upserts:,} upserts got 23505")
            for other in clients.others[:5]:
                print(f"FAILED  {change}: {other}")
            holds = holds and not clients.others and not clients.races[BEFORE]
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
