"""The shop over HTTP beside its peers: the first page of products, other pages, a refresh, a check-out of three lines.

`./dev bench http [--quick] [--only WAY]`. What is the same for all: the rows, one PostgreSQL without fsync over a unix
socket, one process that serves, 32 clients that keep their connections, and the work, which is checked: every
answer by its client, and what was written by a count of the rows. What is counted is answers a second, and
the processor time of the serving process for each. Of several rounds, interleaved, the best counts.
Last line: `http: products=… refresh=… checkout=… (times TypeORM)`.
"""

import sys
import tempfile
from pathlib import Path

import click
import uvloop
from sqlalchemy import text

from holdfast.scratch.server import temporary_server

sys.path.insert(0, str(Path(__file__).parents[1] / "packages/marketplace/tests/kit"))
from environments import NotInstalled
from seeded import FOR_PEERS, build, engine_on
from web.clients import Unexpected
from web.measure import FULL, PATHS, QUICK, Pace, Result, measure_way
from web.peers import OURS, PEER, Way, ways
from web.servers import DidNotServe

PRODUCTS = 10_000


def measure(
    url: str, folder: Path, chosen: list[Way], *, pace: Pace
) -> dict[str, dict[str, Result]]:
    """Of each way and path the best of all rounds."""
    best: dict[str, dict[str, Result]] = {}
    for _ in range(pace.rounds):
        for way in chosen:
            found = uvloop.run(measure_way(way, url=url, folder=folder, pace=pace))
            for path, result in found.items():
                before = best.setdefault(way.name, {}).get(path)
                best[way.name][path] = result if before is None else result.or_better(before)
    return best


def report(best: dict[str, dict[str, Result]]) -> None:
    """The table of docs/benchmarks.md, and the last line."""
    print(f"| answers a second (ms of processor for each) | {' | '.join(PATHS)} |")
    print(f"|---|{'---:|' * len(PATHS)}")
    for way, found in best.items():
        cells = (f"{found[path].rate:,.0f} ({found[path].cpu * 1000:.2f})" for path in PATHS)
        print(f"| {way} | {' | '.join(cells)} |")
    if OURS in best:
        ours = best[OURS]
        print(f"\nproducts / healthz, processor: {ours['products'].cpu / ours['healthz'].cpu:.1f}")
    if OURS in best and PEER in best:
        asked = ("products", "refresh", "checkout")
        ratios = (f"{path}={best[OURS][path].rate / best[PEER][path].rate:.1f}" for path in asked)
        print(f"http: {' '.join(ratios)} (times {PEER})")


@click.command()
@click.option("--quick", is_flag=True, help="One short round: three to four minutes.")
@click.option("--only", multiple=True, help="These ways only.")
def main(quick: bool, only: tuple[str, ...]) -> None:
    try:
        chosen = [way for way in ways() if not only or way.name in only]
    except NotInstalled as error:
        print(f"bench http: {error}", file=sys.stderr)
        sys.exit(3)
    with temporary_server() as server, tempfile.TemporaryDirectory() as folder:
        url = server.url("postgres")
        build(url, products=PRODUCTS)
        with engine_on(url).begin() as connection:
            connection.execute(text("UPDATE variant_stock SET stock = 100000000"))
            connection.execute(text(FOR_PEERS))
        try:
            report(measure(url, Path(folder), chosen, pace=QUICK if quick else FULL))
        except (Unexpected, DidNotServe, ExceptionGroup) as error:
            sys.exit(f"nothing was measured: {error!r}")


main()
