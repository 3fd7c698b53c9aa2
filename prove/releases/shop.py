"""One release of the shop: its process, the clients that use it over HTTP, and the log of what they have written."""

import json
import os
import random
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Lock, Thread

from marketplace.demo_data import PASSWORD

RATE = 100  # requests a second, of each release
CLIENTS = 8  # of each release; nobody else edits what one of them has made
VARIANTS = 400
STOCK = 1_000_000
PATIENCE = 60  # s: until it serves
# In hundredths. Each writes to what is about to change, or reads from it.
MIX = {
    "products": 25,
    "vendors": 10,
    "categories": 5,
    "new vendor": 10,
    "vendor": 20,
    "category": 10,
    "stock": 10,
    "order": 10,
}
SETTINGS = {
    "HOLDFAST_PROFILE": "test",
    "HOLDFAST_MIGRATE_ON_START": "off",
    "MARKETPLACE_LOG_LEVEL": "error",
    "MARKETPLACE_SERVER_KEY": "the key of a proof, long enough to be one",
    "MARKETPLACE_PASSWORD_MEMORY_KIB": "64",
    "MARKETPLACE_PASSWORD_PASSES": "1",
    "MARKETPLACE_SESSION_ACCESS": "1h",
    "MARKETPLACE_SESSION_MAX_PER_USER": "1000",
    "MARKETPLACE_RATE_CHECKOUT_PER_ACCOUNT": "1000000/minute",
    "MARKETPLACE_RATE_LOGIN_PER_IP": "1000000/minute",
    "MARKETPLACE_ORDER_MOST_OPEN": "1000000",
    "MARKETPLACE_ORDER_MOST_UNPAID_PER_DAY": "1000000",
    "MARKETPLACE_ORDER_UNPAID_FOR": "1h",
    "MARKETPLACE_ORDER_UNPAID_FOR_LOW_STOCK": "1h",
}


def variant(number: int) -> str:
    """The id of one that `stocked` made."""
    return str(uuid.UUID(int=(0xA4 << 120) + number))


class Failed(Exception):
    """An answer that is none."""


@dataclass(kw_only=True)
class Log:
    """What was written and answered, so that it has to be there."""

    vendors: dict[str, str] = field(default_factory=dict)
    categories: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    adjusted: int = 0  # units
    adjustments: int = 0
    ordered: int = 0  # units
    orders: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Release:
    """One release: its number, its database, and where its package is, where that is not the installed one."""

    number: int
    url: str
    package: Path | None = None
    settings: dict[str, str] = field(default_factory=dict)
    log: Log = field(default_factory=Log)
    requests: int = 0
    longest: float = 0.0
    failed: list[str] = field(default_factory=list)
    port: int = 0
    lock: Lock = field(default_factory=Lock)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Its process runs for the block."""
        self.port = _free_port()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
        environment |= SETTINGS | self.settings
        environment |= {"DATABASE_URL": self.url, "HOLDFAST_RELEASE": str(self.number)}
        if self.package is not None:
            environment["PYTHONPATH"] = str(self.package)
        command = [Path(sys.executable).parent / "marketplace", "serve", "--port", str(self.port)]
        with subprocess.Popen(command, env=environment) as process:
            try:
                self._wait(process)
                yield
            finally:
                process.terminate()
                process.wait(PATIENCE)

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        limit = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < limit:
            try:
                return Client(release=self, number=0).ready()
            except (OSError, Failed):
                time.sleep(0.1)
        raise SystemExit(f"release {self.number} does not serve")

    @contextmanager
    def used(self) -> Iterator[None]:
        """Its clients send their requests for the block."""
        ended = Event()
        clients = [Client(release=self, number=n) for n in range(CLIENTS)]
        for client in clients:
            client.prepare()
        threads = [Thread(target=client.work, args=(ended,)) for client in clients]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    def quiet(self) -> float:
        """The longest wait since the last time, in milliseconds."""
        longest, self.longest = self.longest, 0.0
        return longest * 1000


class Client:
    """One who sends a request after the other, whether they take long or not: what is late is sent at once."""

    def __init__(self, *, release: Release, number: int) -> None:
        self.release = release
        self.random = random.Random(number + 100 * release.number)
        self.connection = HTTPConnection("127.0.0.1", release.port, timeout=PATIENCE)
        self.own: dict[str, list[tuple[str, str]]] = {"vendor": [], "category": []}  # and ETags
        self.tokens: dict[str, str] = {}

    def ready(self) -> None:
        self._ask("GET", "/readyz")

    def prepare(self) -> None:
        """Who it is; and the categories that it renames."""
        for role in ("admin", "customer"):
            form = {"email": f"{role}@example.com", "password": PASSWORD}
            self.tokens[role] = self._ask("POST", "/auth/login", form)[0]["access_token"]
        for _ in range(2):
            self._make("categories", "category", self.release.log.categories)

    def work(self, ended: Event) -> None:
        kinds, weights = list(MIX), list(MIX.values())
        due = time.monotonic() + self.random.random() * CLIENTS / RATE
        while not ended.wait(max(0.0, due - time.monotonic())):
            [kind] = self.random.choices(kinds, weights)
            began = time.monotonic()
            try:
                self._send(kind)
            except (OSError, Failed) as error:
                self.release.failed.append(f"release {self.release.number}, {kind}: {error}")
                self.connection.close()
            with self.release.lock:
                self.release.longest = max(self.release.longest, time.monotonic() - began)
                self.release.requests += 1
            due += CLIENTS / RATE

    def _send(self, kind: str) -> None:
        log = self.release.log
        match kind:
            case "products" | "vendors":
                self._ask("GET", f"/{kind}?limit=10")
            case "categories":
                self._ask("GET", "/categories")
            case "new vendor":
                self._make("vendors", "vendor", log.vendors)
            case "vendor":
                self._rename("vendors", "vendor", log.vendors)
            case "category":
                self._rename("categories", "category", log.categories)
            case "stock":
                self._adjust()
            case "order":
                self._order()

    def _make(self, path: str, kind: str, log: dict[str, str]) -> None:
        name = self._name()
        made, tag = self._ask("POST", f"/{path}", {"name": name})
        self.own[kind].append((made["id"], tag))
        log[made["id"]] = name

    def _rename(self, path: str, kind: str, log: dict[str, str]) -> None:
        if not self.own[kind]:
            return self._make(path, kind, log)
        place = self.random.randrange(len(self.own[kind]))
        id_, tag = self.own[kind][place]
        name = self._name()
        made, tag = self._ask("PATCH", f"/{path}/{id_}", {"name": name}, {"If-Match": tag})
        if made["name"] != name:
            raise Failed(f"{name} was written, the answer says {made['name']}")
        self.own[kind][place] = (id_, tag)
        log[id_] = name
        return None

    def _adjust(self) -> None:
        delta, note = self.random.choice((-3, -1, 2, 5)), self._name()
        body = {"delta": delta, "reason": "counted", "note": note}
        self._ask("POST", f"/variants/{self._variant()}/stock-adjustments", body)
        with self.release.lock:
            self.release.log.notes.append(note)
            self.release.log.adjusted += delta
            self.release.log.adjustments += 1

    def _order(self) -> None:
        lines = [{"variant_id": self._variant(), "quantity": self.random.randint(1, 3)}]
        key = {"Idempotency-Key": str(uuid.uuid4())}
        made, _ = self._ask("POST", "/checkout", {"lines": lines}, key, role="customer")
        with self.release.lock:
            self.release.log.ordered += sum(line["quantity"] for line in lines)  # type: ignore[misc]  # an int
            self.release.log.orders.append(made["id"])

    def _variant(self) -> str:
        return variant(self.random.randrange(VARIANTS))

    def _name(self) -> str:
        return f"{self.release.number} {uuid.uuid4()}"

    def _ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        *,
        role: str = "admin",
    ) -> tuple[dict[str, str], str]:
        """The answer's body and its ETag. Raises Failed."""
        token = {"Authorization": f"Bearer {self.tokens[role]}"} if role in self.tokens else {}
        kind = {"Content-Type": "application/json"} if body is not None else {}
        text = json.dumps(body) if body is not None else None
        self.connection.request(method, path, text, token | kind | (headers or {}))
        answer = self.connection.getresponse()
        said = answer.read().decode()
        if answer.status >= 300:
            raise Failed(f"{method} {path}: {answer.status} {said[:300]}")
        return json.loads(said), answer.headers.get("ETag", "")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
