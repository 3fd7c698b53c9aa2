"""`./dev record`: docs/recording.svg, `holdfast plan` and `holdfast run` on a table that is read and written meanwhile.

A database of its own with a million orders, one revision with three changes, and two clients that insert and read all
the time. What the commands print is kept with the moment at which it came, each request with its duration; `picture`
draws both.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from picture import Line, Recording, Request, picture

from holdfast.scratch.databases import postgres_at
from holdfast.scratch.server import temporary_server

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "recording.svg"
ROWS = 1_000_000
CLIENTS = 2
PAUSE = 0.01  # seconds between two requests of a client
FILLED = f"""
INSERT INTO customers SELECT n, 'customer' || n || '@example.org' FROM generate_series(1, 10000) AS n;
INSERT INTO orders (customer_id, status)
SELECT 1 + n % 10000, (ARRAY['new', 'paid', 'sent'])[1 + n % 3] FROM generate_series(1, {ROWS}) AS n;
"""
ENV = """
from alembic import context
from sqlalchemy import create_engine

engine = create_engine(context.config.get_main_option("sqlalchemy.url"))
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
FIRST = '''"""the shop so far"""

from alembic import op

revision = "7d31a0"
down_revision = None


def upgrade():
    op.execute("CREATE TABLE customers (id integer PRIMARY KEY, email text NOT NULL)")
    op.execute("""
        CREATE TABLE orders (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            customer_id integer NOT NULL,
            status text,
            placed_at timestamptz NOT NULL DEFAULT now()
        )
    """)
'''
SECOND = '''"""orders: look-ups, and no order without a customer"""

from alembic import op

revision = "c4e9b2"
down_revision = "7d31a0"


def upgrade():
    op.create_index("orders_status", "orders", ["status", "placed_at"])
    op.create_foreign_key("orders_customer", "orders", "customers", ["customer_id"], ["id"])
    op.alter_column("orders", "status", nullable=False)
'''


@dataclass(kw_only=True)
class Traffic:
    """Clients that insert and read until they are told to stop; every request is kept."""

    url: str
    begun: float
    stop: threading.Event = field(default_factory=threading.Event)
    requests: list[Request] = field(default_factory=list)

    def client(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not self.stop.wait(PAUSE):
                began = time.monotonic()
                connection.execute("INSERT INTO orders (customer_id, status) VALUES (7, 'new')")
                connection.execute(
                    "SELECT count(*) FROM (SELECT FROM orders ORDER BY id DESC LIMIT 20) AS newest"
                )
                took = time.monotonic() - began
                self.requests.append(Request(at=began - self.begun, took=took))


@contextmanager
def running(traffic: Traffic) -> Iterator[None]:
    clients = [threading.Thread(target=traffic.client) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield
    finally:
        traffic.stop.set()
        for client in clients:
            client.join()


def project(folder: Path, url: str) -> None:
    (folder / "migrations" / "versions").mkdir(parents=True)
    (folder / "migrations" / "env.py").write_text(ENV)
    (folder / "migrations" / "versions" / "first.py").write_text(FIRST)
    (folder / "migrations" / "versions" / "second.py").write_text(SECOND)
    address = url.replace("postgresql://", "postgresql+psycopg://").replace("%", "%%")
    (folder / "alembic.ini").write_text(
        f"[alembic]\nscript_location = migrations\nsqlalchemy.url = {address}\n"
    )


def typed(command: str, *, folder: Path, begun: float) -> Iterator[Line]:
    """The command, and each line that it prints, with their moments."""
    yield Line(at=time.monotonic() - begun, text=f"$ {command}")
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", *command.split()],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    printed = []
    for text in process.stdout:
        printed.append(text)
        yield Line(at=time.monotonic() - begun, text=text.rstrip())
    if process.wait():
        sys.exit(
            f"./dev record: {command} ended with status {process.returncode}\n{''.join(printed)}"
        )


def record() -> Recording:
    with tempfile.TemporaryDirectory() as name, temporary_server(major=18) as server:
        folder = Path(name)
        with postgres_at(server.url()).database() as url:
            project(folder, url)
            prepare = [sys.executable, "-m", "holdfast", "run", "--to", "7d31a0"]
            subprocess.run(prepare, cwd=folder, check=True, capture_output=True)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(FILLED.encode())
                connection.execute("VACUUM ANALYZE")
            begun = time.monotonic()
            traffic = Traffic(url=url, begun=begun)
            with running(traffic):
                time.sleep(0.5)
                lines = list(typed("holdfast plan", folder=folder, begun=begun))
                time.sleep(1)
                lines += typed("holdfast run", folder=folder, begun=begun)
                time.sleep(0.5)
            return Recording(lines=tuple(lines), requests=tuple(traffic.requests))


def main() -> None:
    recording = record()
    PICTURE.write_text(picture(recording))
    slowest = max(request.took for request in recording.requests)
    print(
        f"{PICTURE.relative_to(ROOT)}: {len(recording.requests)} requests, the slowest took {slowest * 1000:.0f} ms"
    )


if __name__ == "__main__":
    main()
