"""The four hot paths of the shop, through the product's own functions, beside what one would write otherwise.

`./dev bench shop [--quick]`. What is the same for all: the rows (made anew for each measurement where it matters),
16 workers in one process, 16 connections over the unix socket of one embedded server without fsync, READ COMMITTED;
and the work, which every peer does completely and checks, or its run fails:

session   the user, role, vendor and age of a session that is alive, by its id, from two tables
rotate    a refresh token is compared and replaced, the session extended, an audit record written: all or nothing
stock     one unit of a variant that is for sale is taken if there is one; its names, price and vendor are read;
          one transaction: a single statement is one, several are put into one
order     in one transaction: an Idempotency-Key is claimed, a unit of each of three variants taken, and the order,
          its lines, its event and the answer are written

pgbench and psycopg send the product's own statements; the ORMs do it as their users do, with one SELECT and its
joins instead of several, and no look-up before an INSERT. The product shares one statement among the look-ups that
wait at the same time (`session_lookup`); in the row "each by itself" it does not, and that row is what counts in the
last line. Rounds are interleaved, the best of each counts: on a shared machine only ratios are worth reading. In a
full run every way is warm when it is measured. Those with an event loop have uvloop, as the product has when it serves.
Last line: `shop: session=… rotate=… stock=… order=… (times TypeORM)`.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from pydantic import SecretStr
from sqlalchemy import Engine, make_url, text

from holdfast.scratch.server import binary, temporary_server
from marketplace.accounts import rotation, session_lookup
from marketplace.accounts.tokens import TokenKeys, first_token, seal
from marketplace.catalog import stock
from marketplace.orders import idempotency
from marketplace.orders.service import checkout

sys.path.insert(0, str(Path(__file__).parents[1] / "packages/marketplace/tests/kit"))
from environments import PEERS, NotInstalled, node_environment, python_environment
from seeded import FOR_PEERS, build, engine_on

PATHS = ("session", "rotate", "stock", "order")
ALONE = "session, alone"  # what only the product measures
OURS, OURS_ALONE, PEER = "marketplace", "marketplace, each by itself", "TypeORM"
WORKERS = 16
PRODUCTS = 10_000
# Every third session of `seeded` is revoked, and the first are past their time.
FIRST_SESSION, SESSIONS, ROTATING = 301, 3000, 20 * WORKERS
SERVER_KEY = "the key of a measurement, long enough to be one"
SQL = {
    "session": session_lookup.LOOKUP,
    "rotate": rotation.ROTATE,
    "take": stock.TAKE,
    "claim": idempotency.CLAIM,
    "place": checkout.PLACE,
}
RESET = text("""
    UPDATE sessions SET generation = 0, refresh_token_hash = known.digest
    FROM unnest(CAST(:ids AS uuid[]), CAST(:digests AS bytea[])) AS known (id, digest) WHERE sessions.id = known.id
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often, and for how many seconds, each path of each way."""

    rounds: int
    warm_up: float
    seconds: int


# The compiler of Node.js goes on making TypeORM faster for eight seconds, and more.
QUICK = Pace(rounds=1, warm_up=1, seconds=2)
FULL = Pace(rounds=2, warm_up=10, seconds=4)
HEADING = f"| operations a second | {' | '.join(PATHS)} |\n|---|{'---:|' * len(PATHS)}"


def key(kind: str, number: int) -> str:
    """As `seeded` makes keys."""
    return str(UUID(f"{kind}{number:030x}"))


def numbers() -> list[int]:
    return [FIRST_SESSION + 3 * place for place in range(SESSIONS)]


def world(url: str, *, warm_up: float) -> dict[str, Any]:
    """What the peers have to know."""
    address = make_url(url)
    keys = TokenKeys.of(SecretStr(SERVER_KEY))
    rotating = [key("a9", number) for number in numbers()[:ROTATING]]
    return {
        "socket": address.query["host"],
        "port": int(str(address.query.get("port", 5432))),
        "user": address.username,
        "database": address.database,
        "server_key": SERVER_KEY,
        "sessions": [key("a9", number) for number in numbers()],
        "variants": [key("a4", number) for number in range(1, 10_001)],
        "users": [key("a0", number) for number in range(1, 2001)],
        "tokens": {each: seal(first_token(UUID(each)), keys=keys) for each in rotating},
        "rotating": ROTATING,
        "first_session": FIRST_SESSION,
        "sql": SQL,
        "warm_up": warm_up,
    }


def python_with(peer: str) -> str:
    requirements = PEERS / peer / "requirements.txt"
    return str(python_environment(f"shop_{peer}", requirements=requirements) / "python")


def commands() -> dict[str, list[str]]:
    """Each way, as a command that takes workers and seconds; installs what is missing."""
    typeorm = node_environment("typeorm", source=PEERS / "typeorm")
    os.environ["NODE_PATH"] = str(typeorm / "node_modules")
    pgbench = [sys.executable, str(PEERS / "shop_pgbench.py"), str(binary("pgbench"))]
    return {
        "pgbench, same SQL": pgbench,
        "psycopg, same SQL": [python_with("psycopg"), str(PEERS / "shop_psycopg.py")],
        OURS: [sys.executable, str(PEERS / "shop_ours.py")],
        PEER: ["node", str(PEERS / "typeorm" / "shop.js")],
        "Django ORM": [python_with("django"), str(PEERS / "shop_django.py")],
        "SQLAlchemy ORM": [sys.executable, str(PEERS / "shop_sqlalchemy.py")],
    }


def reset(engine: Engine, tokens: dict[str, str]) -> None:
    """The sessions that are rotated have their first token again; what the last way left behind is cleared away."""
    digests = [hashlib.sha256(token.encode()).digest() for token in tokens.values()]
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(RESET, {"ids": list(tokens), "digests": digests})
        connection.exec_driver_sql("VACUUM (ANALYZE) sessions, variants, variant_stock")


def rates(command: list[str], *, seconds: int, shop: Path) -> dict[str, float]:
    arguments = [*command, str(WORKERS), str(seconds)]
    environment = os.environ | {
        "SHOP_WORLD": str(shop),
        "HOLDFAST_POOL_MAX": str(WORKERS),
        "HOLDFAST_POOL_MIN": str(WORKERS),
    }
    try:
        ended = subprocess.run(
            arguments, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        sys.exit(f"nothing was measured: {error}")
    if ended.returncode != 0:
        sys.exit(f"{' '.join(arguments)} failed:\n{ended.stderr}")
    found: dict[str, float] = json.loads(ended.stdout)
    return found


def measure(
    url: str, folder: Path, ways: dict[str, list[str]], *, pace: Pace
) -> dict[str, dict[str, float]]:
    """Operations a second of each way and path: of several rounds, the best."""
    engine, shop = engine_on(url), folder / "world.json"
    known = world(url, warm_up=pace.warm_up)
    shop.write_text(json.dumps(known))
    made_of_numbers = {key("a9", number): f"{number} 0" for number in numbers()[:ROTATING]}
    best: dict[str, dict[str, float]] = {}
    for _ in range(pace.rounds):
        for way, command in ways.items():
            reset(engine, made_of_numbers if way.startswith("pgbench") else known["tokens"])
            found, before = rates(command, seconds=pace.seconds, shop=shop), best.get(way, {})
            best[way] = {path: max(rate, before.get(path, 0)) for path, rate in found.items()}
    return best


def report(best: dict[str, dict[str, float]]) -> None:
    """The table of docs/benchmarks.md, and the last line."""
    print(HEADING)
    for way, found in best.items():
        print(f"| {way} | {' | '.join(f'{found[path]:,.0f}' for path in PATHS)} |")
        if ALONE in found:
            print(f"| {OURS_ALONE} | {found[ALONE]:,.0f} | | | |")
    counted = best[OURS] | {"session": min(best[OURS]["session"], best[OURS][ALONE])}
    ratios = (f"{path}={counted[path] / best[PEER][path]:.1f}" for path in PATHS)
    print(f"\nshop: {' '.join(ratios)} (times {PEER})")


@click.command()
@click.option("--quick", is_flag=True, help="One short round: under two minutes.")
def main(quick: bool) -> None:
    try:
        ways = commands()
    except NotInstalled as error:
        print(f"bench shop: {error}", file=sys.stderr)
        sys.exit(3)
    with temporary_server() as server, tempfile.TemporaryDirectory() as folder:
        url = server.url("postgres")
        build(url, products=PRODUCTS)
        with engine_on(url).begin() as connection:
            connection.execute(text("UPDATE variant_stock SET stock = 100000000"))
            connection.execute(text(FOR_PEERS))
        report(measure(url, Path(folder), ways, pace=QUICK if quick else FULL))


main()
