"""20 `op.add_column` on one table beside many others: how long a user of that table waits, beside plain Alembic.

`./dev bench add_column [--quick]`. The same revision on twin databases of an embedded server; a user in a process of
its own reads a row of the table over and over, and the longest request counts. `--quick`: beside 2,000 tables, not
10,000. Status 1 when ours stalls the user for more than 50 ms longer than Alembic does.
Last line: `add_column: tables=… ours_ms=… alembic_ms=… ours_took_ms=… alembic_took_ms=…`.
"""

import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import click
import psycopg
from alembic import command
from alembic.config import Config

sys.path.insert(0, str(Path(__file__).parents[1] / "packages" / "holdfast" / "tests" / "kit"))

from alembic_project import Project

from holdfast.migrate.run import upgrade
from holdfast.scratch.databases import Postgres, postgres_at
from holdfast.scratch.server import temporary_server

SLACK = 50  # milliseconds
TABLE = """
op.execute('CREATE TABLE orders (id bigint PRIMARY KEY, total int)')
op.execute('INSERT INTO orders SELECT n, n FROM generate_series(1, 1000) AS n')
"""
# Names that begin like the table's own: as partitions, or the tables of tenants, have them.
OTHERS = """
DO $$BEGIN FOR n IN 1..%s LOOP
  EXECUTE format('CREATE TABLE orders_%%s (id int PRIMARY KEY)', n);
  IF n %% 500 = 0 THEN COMMIT; END IF;
END LOOP; END$$
"""
COLUMNS = "\n".join(f"op.add_column('orders', sa.Column('c{n}', sa.Integer))" for n in range(20))


def read(url: str, begun: Event, ended: Event, took: "Queue[float]") -> None:
    """The user; gives the longest request, in milliseconds."""
    longest = 0.0
    with psycopg.connect(url, autocommit=True) as connection:
        while not ended.is_set():
            since = perf_counter()
            connection.execute("SELECT id, total FROM orders WHERE id = 7")
            longest = max(longest, 1000 * (perf_counter() - since))
            begun.set()
    took.put(longest)


def measured(
    postgres: Postgres, folder: Path, migrate: Callable[[Config, str], None], *, tables: int
) -> tuple[float, float]:
    """The longest request and the whole change, in milliseconds."""
    with postgres.database() as url:
        project = Project(folder=folder, database=url)
        project.revision(TABLE)
        upgrade(project.config, "head")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute((OTHERS % tables).encode())
        project.revision(COLUMNS)
        context = get_context("spawn")
        begun, ended, took = context.Event(), context.Event(), context.Queue()
        user = context.Process(target=read, args=(url, begun, ended, took))
        user.start()
        begun.wait(60)
        since = perf_counter()
        migrate(project.config, "head")
        whole = 1000 * (perf_counter() - since)
        ended.set()
        longest = took.get(timeout=60)
        user.join()
        return longest, whole


@click.command(help=__doc__)
@click.option("--quick", is_flag=True)
def main(*, quick: bool) -> None:
    tables = 2_000 if quick else 10_000
    settings = {"max_locks_per_transaction": "512"}
    with (
        TemporaryDirectory() as folder,
        temporary_server(settings=settings) as server,
    ):
        postgres = postgres_at(server.url())
        alembic = measured(postgres, Path(folder) / "alembic", command.upgrade, tables=tables)
        ours = measured(postgres, Path(folder) / "ours", upgrade, tables=tables)
    print(
        f"add_column: tables={tables} ours_ms={ours[0]:.0f} alembic_ms={alembic[0]:.0f}"
        f" ours_took_ms={ours[1]:.0f} alembic_took_ms={alembic[1]:.0f}"
    )
    sys.exit(not ours[0] <= alembic[0] + SLACK)


if __name__ == "__main__":
    main()
