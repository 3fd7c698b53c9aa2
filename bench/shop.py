"""The four hot paths of the shop, through the product's own functions, beside the SQLAlchemy ORM and TypeORM.

`./dev bench shop [--quick]`. The same tables, rows and work for all, 16 workers, one process each, on an
embedded server. Rounds are interleaved, the best of each counts: on a shared machine only ratios are worth
reading. TypeORM is installed by npm into a folder of its own; without npm it is left out.
Last line: `shop: session=… rotate=… stock=… order=… (times TypeORM)`.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from sqlalchemy import make_url, text

from holdfast.scratch.server import temporary_server

sys.path.insert(0, str(Path(__file__).parents[1] / "packages/marketplace/tests/kit"))
from seeded import build, engine_on

HERE = Path(__file__).parent

PATHS = ("session", "rotate", "stock", "order")
WORKERS = 16
PRODUCTS = 10_000
ALIVE = "SELECT id::text FROM sessions WHERE NOT is_revoked AND expires_at > now() + interval '1 hour' LIMIT 3000"
QUERIES = {
    "sessions": ALIVE,
    "variants": "SELECT id::text FROM variants LIMIT 10000",
    "users": "SELECT id::text FROM users LIMIT 2000",
}


def world(url: str) -> str:
    """What the peers have to know."""
    address = make_url(url)
    with engine_on(url).begin() as connection:
        connection.execute(text("UPDATE variants SET stock = 100000000"))
        keys = {kind: list(connection.scalars(text(query))) for kind, query in QUERIES.items()}
    return json.dumps(
        keys
        | {
            "socket": address.query["host"],
            "port": int(str(address.query.get("port", 5432))),
            "user": address.username,
            "database": address.database,
        }
    )


def install_typeorm(folder: Path) -> bool:
    if shutil.which("npm") is None:
        return False
    for name in ("package.json", "shop.js"):
        shutil.copy(HERE / "peers" / "typeorm" / name, folder)
    installed = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=False
    )
    return installed.returncode == 0


def commands(folder: Path) -> dict[str, list[str]]:
    """Each way, as a command to which path, workers and seconds are added."""
    python = [sys.executable, str(HERE / "peers" / "shop_python.py")]
    found = {"ours": [*python, "ours"], "SQLAlchemy ORM": [*python, "orm"]}
    if install_typeorm(folder):
        found["TypeORM"] = ["node", str(folder / "shop.js")]
    return found


def rate(command: list[str], path: str, *, seconds: float, shop: Path) -> float:
    arguments = [*command, path, str(WORKERS), str(seconds)]
    ended = subprocess.run(
        arguments,
        env=os.environ | {"SHOP_WORLD": str(shop)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if ended.returncode != 0:
        sys.exit(f"{' '.join(arguments)} failed:\n{ended.stderr}")
    return float(ended.stdout)


def measure(url: str, folder: Path, *, seconds: float, rounds: int) -> None:
    shop, ways = folder / "world.json", commands(folder)
    shop.write_text(world(url))
    print(f"{'operations a second':<22}" + "".join(f"{path:>10}" for path in PATHS))
    best = {way: dict.fromkeys(PATHS, 0.0) for way in ways}
    for _ in range(rounds):
        for path in PATHS:
            for way, command in ways.items():
                found = rate(command, path, seconds=seconds, shop=shop)
                best[way][path] = max(best[way][path], found)
    for way, rates in best.items():
        print(f"{way:<22}" + "".join(f"{rates[path]:>10.0f}" for path in PATHS))
    peer = "TypeORM" if "TypeORM" in best else "SQLAlchemy ORM"
    ratios = (f"{path}={best['ours'][path] / best[peer][path]:.1f}" for path in PATHS)
    print(f"shop: {' '.join(ratios)} (times {peer})")


@click.command()
@click.option("--quick", is_flag=True, help="One short round: under two minutes.")
def main(quick: bool) -> None:
    with temporary_server() as server, tempfile.TemporaryDirectory() as folder:
        url = server.url("postgres")
        build(url, products=PRODUCTS)
        seconds, rounds = (1.5, 1) if quick else (3, 3)
        measure(url, Path(folder), seconds=seconds, rounds=rounds)


main()
