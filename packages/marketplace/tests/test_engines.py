"""Every process of the marketplace reaches the database by one policy."""

import ast
import inspect
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
from everywhere import each

import marketplace

LIMIT = 60
SOURCES = Path(inspect.getfile(marketplace)).parent
MAKERS = {"create_engine", "create_async_engine", "engine_from_config", "async_engine_from_config"}
DRIVERS = {"psycopg", "psycopg2", "asyncpg", "psycopg_pool"}
SSL_REQUEST, GSS_REQUEST = 80877103, 80877104
PASSWORD = "s3cr3t-of-the-database"
COMMANDS = (
    ("marketplace", "cleanup"),
    ("marketplace", "up", "--port", "8123"),
    ("marketplace", "expire-orders"),
    ("marketplace", "create-admin", "somebody@example.com"),
    ("marketplace", "place", "--yes", "--citus", "{url}"),
    ("holdfast", "-c", "alembic.ini", "run"),
)


def test_no_engine_is_made_another_way() -> None:
    """Whatever the module: engines come from holdfast, made in `database.py` and env.py from its settings."""
    made_elsewhere = {
        f"{source.relative_to(SOURCES)}: {name}"
        for source in SOURCES.rglob("*.py")
        for name in names_that_connect(ast.parse(source.read_text()))
    }
    assert made_elsewhere == set()


def names_that_connect(module: ast.Module) -> set[str]:
    """What a module imports from SQLAlchemy, or calls of a driver, to open connections."""
    found = set()
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
            found |= {alias.name for alias in node.names} & MAKERS
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and ((node.value.id in DRIVERS and node.attr == "connect") or node.attr in MAKERS)
        ):
            found.add(f"{node.value.id}.{node.attr}")
    return found


class Middleman(Thread):
    """Somebody in between who refuses TLS and asks for the password in plain text."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("0.0.0.0", 0))  # noqa: S104  # not a loopback address
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.heard = b""

    def run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                connection.settimeout(LIMIT)
                self._listen_to(connection)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.join(LIMIT)

    def _listen_to(self, connection: socket.socket) -> None:
        while message := connection.recv(65536):
            self.heard += message
            is_request = len(message) == 8
            if is_request and struct.unpack(">II", message)[1] in {SSL_REQUEST, GSS_REQUEST}:
                connection.sendall(b"N")
            else:
                connection.sendall(b"R" + struct.pack(">II", 8, 3))


@pytest.mark.parametrize("command", each(COMMANDS, here=1), ids=" ".join)
def test_no_command_tells_a_man_in_the_middle_the_password(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    """Whichever process reaches for the database in production: without TLS it says nothing to anybody."""
    middleman = Middleman()
    middleman.start()
    url = f"postgresql://app:{PASSWORD}@0.0.0.0:{middleman.port}/shop"
    environment = os.environ | {
        "HOLDFAST_PROFILE": "production",
        "DATABASE_URL": url,
        "MARKETPLACE_SERVER_KEY": "J4pPv0mJmC2mX1aK8e0Q3hVn7yQ5sW9t",
        "MARKETPLACE_CURSOR_KEY": "kq2Zr8bYt6LwN0xD5uF3gH1jM7cV9sAe",
        "MARKETPLACE_PAYMENT_WEBHOOK_KEY": "Wd7Rk3Tz9Bn5Xq1Lp8Gs4Hf6Jm2Vc0Ya",
        "MARKETPLACE_MAIL_URL": "smtps://mail.example.com",
    }
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = marketplace:migrations\n")
    done = subprocess.run(
        [
            Path(sys.executable).with_name(command[0]),
            *(argument.format(url=url) for argument in command[1:]),
        ],
        env=environment,
        cwd=tmp_path,
        input="a password of somebody\n",
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    middleman.stop()
    assert middleman.connections > 0, done.stderr
    assert done.returncode == 3, done.stderr
    assert PASSWORD.encode() not in middleman.heard
    assert b"user\0app" not in middleman.heard
    assert PASSWORD not in done.stdout + done.stderr
