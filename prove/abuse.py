"""Clients that mean no good against a running marketplace: it answers everybody else throughout.

`./dev prove abuse [--seconds S] [--clients N]`: for S seconds each (default 5), with N clients (default 40): slow
readers, slow writers, half requests, lock-out, rotating addresses, hoarding, and a database that goes and comes
back. On the loopback interface, on a marketplace and a PostgreSQL of its own. A visitor looks at products and a
customer logs in all the while. Status 1 when one of them was refused, or an attack got further than is promised.
"""

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread

import click
import httpx
import psycopg

sys.path.insert(0, str(Path(__file__).parents[1] / "packages/marketplace/tests/kit"))
from shoppers import ADMIN, CUSTOMER, OTHER_CUSTOMER, log_in

from holdfast.scratch.server import temporary_server
from marketplace.demo_data import demo_id

LIMIT = 120
Others = Callable[[], AbstractContextManager[None]]
DATABASE = "marketplace"
HONEST = {"X-Forwarded-For": "203.0.113.9"}
ATTACKER = {"X-Forwarded-For": "198.51.100.66"}
LOGINS_PER_ADDRESS = 60  # a minute, by default
SETTINGS = {
    "HOLDFAST_PROFILE": "development",
    "MARKETPLACE_TRUSTED_PROXIES": "1",
    "MARKETPLACE_SESSION_ACCESS": "1h",
}


@dataclass(slots=True, kw_only=True)
class Seen:
    """What the honest ones got while somebody attacked."""

    answered: int = 0
    refused: list[str] = field(default_factory=list)
    slowest: float = 0.0

    def ask(self, request: Callable[[], httpx.Response]) -> None:
        began = time.monotonic()
        try:
            answer = request()
        except httpx.TransportError as error:
            self.refused.append(type(error).__name__)
            return
        self.slowest = max(self.slowest, time.monotonic() - began)
        if answer.status_code == 200:
            self.answered += 1
        else:
            self.refused.append(f"{answer.request.url.path} {answer.status_code}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The marketplace that is attacked, and its database."""

    address: str
    url: str  # of its database
    maintenance: str  # of another one on the same server
    seconds: float
    clients: int

    @property
    def place(self) -> tuple[str, int]:
        host, port = self.address.removeprefix("http://").split(":")
        return host, int(port)

    def api(self, headers: dict[str, str]) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=LIMIT, headers=headers)

    def until(self) -> Callable[[], bool]:
        """Whether the time of this attack still lasts."""
        end = time.monotonic() + self.seconds
        return lambda: time.monotonic() < end


@contextmanager
def marketplace(*, seconds: float, clients: int) -> Iterator[Target]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with temporary_server() as server, tempfile.TemporaryDirectory() as folder:
        maintenance = server.url("postgres")
        with psycopg.connect(maintenance, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
        url = server.url(DATABASE)
        process = subprocess.Popen(
            [Path(sys.executable).parent / "marketplace", "up", "--port", str(port)],
            env=os.environ | SETTINGS | {"DATABASE_URL": url},
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until_up(address, process)
            yield Target(
                address=address, url=url, maintenance=maintenance, seconds=seconds, clients=clients
            )
        finally:
            process.terminate()
            process.wait(LIMIT)


def wait_until_up(address: str, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + LIMIT
    while time.monotonic() < limit and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        time.sleep(0.2)
    sys.exit(f"the marketplace ended, or did not come up in {LIMIT} s")


@contextmanager
def honest(target: Target, seen: Seen) -> Iterator[None]:
    """A visitor and a customer, who ask one thing after the other for the time of the block."""
    stop = Event()
    login = {"email": CUSTOMER, "password": "marketplace-demo"}

    def visit() -> None:
        with target.api(HONEST) as api:
            count = 0
            while not stop.wait(0.05):
                seen.ask(lambda: api.get("/products"))
                count += 1
                if count % 20 == 0:
                    seen.ask(lambda: api.post("/auth/login", json=login))

    visitor = Thread(target=visit)
    visitor.start()
    try:
        yield
    finally:
        stop.set()
        visitor.join(LIMIT)


@contextmanager
def sockets(target: Target) -> Iterator[list[socket.socket]]:
    with ExitStack() as lifetime:
        opened = []
        for _ in range(target.clients):
            client = lifetime.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(target.place)
            client.setblocking(False)  # noqa: FBT003  # the socket's own
            opened.append(client)
        yield opened


def slow_readers(target: Target, others: Others) -> str:
    """Each asks for a full page again and again, until nothing more is taken, and reads nothing."""
    request = b"GET /products?limit=100 HTTP/1.1\r\nHost: shop\r\n\r\n"
    sent = 0
    with sockets(target) as clients:
        lasts = target.until()
        while lasts():
            for client in clients:
                with suppress(OSError):
                    sent += client.send(request)
            time.sleep(0.005)
        end = time.monotonic() + LIMIT  # what they asked for is worked off, and waits for them
        while held := idle_in_transaction(target):
            if time.monotonic() > end:
                raise Broken(f"{held} connections of the database wait for clients")
        with others():
            time.sleep(target.seconds)
    return f"{sent // len(request)} pages asked for, 0 connections of the database held"


def idle_in_transaction(target: Target) -> int:
    """Connections that stay in a transaction: one that is seen twice, half a second apart."""
    query = """
        SELECT pid, xact_start FROM pg_stat_activity
        WHERE datname = %s AND state = 'idle in transaction'
    """
    with psycopg.connect(target.maintenance, autocommit=True) as connection:
        first = set(connection.execute(query, [DATABASE]))
        time.sleep(0.5)
        return len(first & set(connection.execute(query, [DATABASE])))


def half_requests(target: Target, others: Others) -> str:
    """Each sends the beginning of a request, and nothing more."""
    with sockets(target) as clients, others():
        for client in clients:
            client.send(b"GET /products HTTP/1.1\r\nHost: ")
        end = time.monotonic() + 30  # the limit is 10 s
        waiting = set(clients)
        while waiting and time.monotonic() < end:
            for client in list(waiting):
                with suppress(BlockingIOError):
                    if is_closed(client):
                        waiting.discard(client)
            time.sleep(0.05)
    if waiting:
        raise Broken(f"{len(waiting)} half requests are still waited for after 30 s")
    return f"{target.clients} cut off"


def slow_writers(target: Target, others: Others) -> str:
    """Each announces a body and sends it a byte at a time."""
    head = (
        b"POST /auth/login HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100000\r\n\r\n"
    )
    sent = 0
    with sockets(target) as clients, others():
        for client in clients:
            client.send(head)
        lasts = target.until()
        while lasts():
            for client in clients:
                with suppress(OSError):
                    sent += client.send(b" ")
            time.sleep(0.05)
    return f"{sent} bytes of {target.clients} bodies, one at a time"


def lock_out(target: Target, others: Others) -> str:
    """A stranger fails to log in as a customer, and asks for letters, from another address."""
    refused = asked = 0
    with target.api(ATTACKER) as api, others():
        lasts = target.until()
        while lasts() or asked < 15:
            wrong = {"email": CUSTOMER, "password": "not the password"}
            refused += api.post("/auth/login", json=wrong).status_code == 429
            asked += 1
            api.post("/auth/verify/resend", json={"email": CUSTOMER})
            api.post("/auth/password/forgotten", json={"email": CUSTOMER})
            time.sleep(0.02)
    if not refused:
        raise Broken(f"a stranger tried {asked} passwords")
    return f"the stranger was refused {refused} times of {asked}, the customer logged in meanwhile"


def rotating_addresses(target: Target, others: Others) -> str:
    """A client takes another address of its /64 for each attempt."""
    passed = asked = 0
    with target.api({}) as api, others():
        lasts = target.until()
        while lasts() and asked < 4 * LOGINS_PER_ADDRESS:
            address = f"2001:db8:1:2:{secrets.randbits(16):x}:{secrets.randbits(16):x}::1"
            answer = api.post(
                "/auth/verify",
                json={"token": "made up", "password": "x"},
                headers={"X-Forwarded-For": address},
            )
            asked += 1
            passed += answer.status_code != 429
    if passed > 2 * LOGINS_PER_ADDRESS:  # the window may turn once
        raise Broken(f"{passed} of {asked} attempts from one /64 were let through")
    return f"{passed} of {asked} attempts from one /64 were let through"


def hoarding(target: Target, others: Others) -> str:
    """A customer wants all of a variant, again and again, and pays for nothing."""
    with psycopg.connect(target.url, autocommit=True) as connection:
        mug = demo_id("Copper Mug, one")
        connection.execute("UPDATE variant_stock SET stock = 1000 WHERE variant_id = %s", [mug])
        with target.api(ATTACKER) as api, others():
            hoarder = log_in(api, OTHER_CUSTOMER)
            lasts = target.until()
            while lasts():
                for quantity in (1000, 100, 50):
                    hoarder.buy((mug, quantity))
                time.sleep(0.05)
        [left] = connection.execute(
            "SELECT stock FROM variant_stock WHERE variant_id = %s", [mug]
        ).fetchone() or [0]
        connection.execute("UPDATE variant_stock SET stock = 1000 WHERE variant_id = %s", [mug])
    if left < 500:
        raise Broken(f"one customer holds {1000 - left} of 1000 units unpaid")
    return f"{1000 - left} of 1000 units were reserved"


def database_gone(target: Target) -> str:
    """The database takes nobody for a while; the shop says 503, and is back as soon as the database is."""
    codes: dict[int, int] = {}
    with psycopg.connect(target.maintenance, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [DATABASE]
        )
        with target.api(HONEST) as api:
            lasts = target.until()
            while lasts():
                answer = api.get("/products")
                codes[answer.status_code] = codes.get(answer.status_code, 0) + 1
                time.sleep(0.05)
        connection.execute(f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS true")
    began = time.monotonic()
    with target.api(HONEST) as api:
        while api.get("/products").status_code != 200:
            if time.monotonic() - began > LIMIT:
                raise Broken("the shop did not come back")
            time.sleep(0.05)
    if set(codes) != {503}:
        raise Broken(f"without a database it answered {codes}")
    return f"{codes[503]} answers 503 while it was gone; back {time.monotonic() - began:.1f} s after it"


class Broken(Exception):
    """A promise of docs/security.md that did not hold."""


def is_closed(client: socket.socket) -> bool:
    try:
        return client.recv(4096) == b""
    except ConnectionError:
        return True


ATTACKS = (slow_readers, half_requests, slow_writers, lock_out, rotating_addresses, hoarding)


@click.command()
@click.option("--seconds", type=click.FloatRange(1, 60), default=5, show_default=True)
@click.option("--clients", type=click.IntRange(1, 200), default=40, show_default=True)
def main(seconds: float, clients: int) -> None:
    failed = False
    with marketplace(seconds=seconds, clients=clients) as target:
        for attack in ATTACKS:
            name = attack.__name__.replace("_", " ")
            seen = Seen()
            try:
                figures, is_broken = attack(target, partial(honest, target, seen)), False
            except Broken as broken:
                figures, is_broken = str(broken), True
            is_broken = is_broken or bool(seen.refused) or not seen.answered
            failed = failed or is_broken
            others = f"{seen.answered} answered, slowest {seen.slowest:.2f} s"
            if seen.refused:
                others += f", refused: {', '.join(sorted(set(seen.refused)))}"
            print(
                f"{'FAILED' if is_broken else 'ok':<8}{name:<20}{figures}; others: {others}",
                flush=True,
            )
        try:
            print(f"{'ok':<8}{'database gone':<20}{database_gone(target)}", flush=True)
        except Broken as broken:
            failed = True
            print(f"{'FAILED':<8}{'database gone':<20}{broken}", flush=True)
        with target.api(HONEST) as api:
            log_in(api, ADMIN)
    sys.exit(failed)


if __name__ == "__main__":
    main()
