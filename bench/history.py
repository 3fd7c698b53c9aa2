"""100 small migrations on an empty database: `holdfast run` beside `alembic upgrade head` with the same files.

`./dev bench history [--quick]`. Cold processes on an embedded server that commits to a disk, interleaved, medians.
psql with the same statements is the limit; TypeORM and Django have the same history in their own words. Each peer
has an environment of its own, installed on first use (status 3 when it cannot be). `--quick`: ours, Alembic and
psql, two rounds. Status 1 when a full run finds ours slower than Alembic.
Last line: `history: ours_ms=… alembic_ms=… times_alembic=… times_limit=…`.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from environments import CACHE, NotInstalled
from hundred.files import write_all
from hundred.processes import ToolFailed, database_of, fresh_database, measure, table
from hundred.tools import alembic, django, ours, psql, typeorm
from live.database import SETTINGS

from holdfast.scratch.server import temporary_server

TARGET = 1.0  # times plain Alembic


def bench(*, quick: bool) -> bool:
    with TemporaryDirectory() as folder:
        files = Path(folder)
        write_all(files)
        few, more = [psql(files), ours(files), alembic(files)], []
        if not quick:
            more = [django(files), typeorm(files)]
        with temporary_server(settings=SETTINGS, parent=CACHE / "server") as server:
            found = measure(
                server,
                few + more,
                rounds=2 if quick else 10,
                prepare=lambda tool: fresh_database(server, database_of(tool)),
            )
    print(table(found, limit="limit"))
    ours_ms, theirs = found["ours_own_env"].wall, found["alembic"].wall
    print(
        f"history: ours_ms={ours_ms:.0f} alembic_ms={theirs:.0f} times_alembic={ours_ms / theirs:.2f}"
        f" times_limit={ours_ms / found['limit'].wall:.1f}"
    )
    return quick or ours_ms <= TARGET * theirs


@click.command()
@click.option("--quick", is_flag=True)
def main(quick: bool) -> None:
    try:
        sys.exit(not bench(quick=quick))
    except (NotInstalled, ToolFailed) as error:
        print(error, file=sys.stderr)
        sys.exit(3)


main()
