"""Which servers production refuses, through TLS endpoints of the tests' own; `./dev prove tls` has real ones."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trustme
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from tls_proxy import tls_proxy

from holdfast.engine.create_engine import create_async_engine, create_engine
from holdfast.engine.settings import Settings
from holdfast.scratch.server import temporary_server

CA = trustme.CA()
STRANGER = trustme.CA()
PASSWORD = "hunter2"
PROOF = text("SELECT current_user")


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    """A server with a role that gives a password (app) and one that need not (trusted)."""
    with temporary_server() as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'")
            connection.execute("CREATE ROLE trusted LOGIN")
            [rules] = connection.execute("SHOW hba_file").fetchone() or [""]
            Path(rules).write_text("local all app scram-sha-256\nlocal all all trust\n")
            connection.execute("SELECT pg_reload_conf()")
            [folder] = connection.execute("SHOW unix_socket_directories").fetchone() or [""]
        yield f"{folder}/.s.PGSQL.5432"


@pytest.fixture
def server(socket: str) -> Iterator[Callable[..., str]]:
    """The URL of a server with this certificate, or without TLS."""
    with ExitStack() as proxies:

        def with_certificate(certificate: trustme.LeafCert | None, *, user: str = "app") -> str:
            port = proxies.enter_context(tls_proxy(socket, certificate))
            return f"postgresql://{user}:{PASSWORD}@localhost:{port}/postgres?hostaddr=127.0.0.1"

        yield with_certificate


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


def connect(url: str, **values: Any) -> str:
    """Who one is, as a production process."""
    engine = create_engine(Settings(url=url, **values))
    with engine.connect() as connection:
        found = str(connection.scalar(PROOF))
    engine.dispose()
    return found


def test_a_server_with_a_certificate_of_the_ca_is_accepted(
    server: Callable[..., str], ca_file: str
) -> None:
    """The counterpart of the refusals below; in an event loop too."""
    url = server(CA.issue_cert("localhost"))
    assert connect(url, tls_ca=ca_file) == "app"

    async def connect_in_loop() -> str:
        engine = create_async_engine(Settings(url=url, tls_ca=ca_file))
        async with engine.connect() as connection:
            found = str(await connection.scalar(PROOF))
        await engine.dispose()
        return found

    assert asyncio.run(connect_in_loop()) == "app"


@pytest.mark.parametrize("has_ca", [True, False])
def test_a_server_without_tls_is_refused(
    server: Callable[..., str], ca_file: str, has_ca: bool
) -> None:
    """With a CA and without; nothing is sent in the clear."""
    with pytest.raises(OperationalError, match="server does not support SSL, but SSL was required"):
        connect(server(None), tls_ca=ca_file if has_ca else None)


def test_another_name_is_refused(server: Callable[..., str], ca_file: str) -> None:
    """A certificate of the right CA for another host."""
    url = server(CA.issue_cert("elsewhere.example"))
    message = 'server certificate for "elsewhere.example" does not match host name "localhost"'
    with pytest.raises(OperationalError, match=message):
        connect(url, tls_ca=ca_file)


def test_an_unknown_ca_is_refused(server: Callable[..., str], ca_file: str) -> None:
    """The right name, certified by somebody else."""
    with pytest.raises(OperationalError, match="certificate verify failed"):
        connect(server(STRANGER.issue_cert("localhost")), tls_ca=ca_file)


def test_the_system_s_ca_is_asked(
    server: Callable[..., str], ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`system` refuses whom the system does not know, and accepts whom it knows."""
    url = server(CA.issue_cert("localhost"))
    with pytest.raises(OperationalError, match="certificate verify failed"):
        connect(url, tls_ca="system")
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    assert connect(url, tls_ca="system") == "app"


def test_a_man_in_the_middle_is_refused_without_a_ca(server: Callable[..., str]) -> None:
    """He has a certificate, passes the password exchange on, and cannot bind it to his own TLS."""
    with pytest.raises(OperationalError, match="channel binding is required"):
        connect(server(STRANGER.issue_cert("localhost")))


def test_a_server_that_asks_for_no_password_is_refused_without_a_ca(
    server: Callable[..., str],
) -> None:
    """It proves nothing: it could be anybody."""
    url = server(STRANGER.issue_cert("localhost"), user="trusted")
    with pytest.raises(
        OperationalError, match=r"channel binding|authentication method requirement"
    ):
        connect(url)


def test_encrypt_only_lets_the_man_in_the_middle_through(
    server: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    """Which is why it has to be named, and warns."""
    assert connect(server(STRANGER.issue_cert("localhost")), tls="encrypt-only") == "app"
    assert "the server is not authenticated" in caplog.text


@pytest.mark.parametrize("profile", ["development", "test"])
def test_loopback_needs_no_tls_outside_production(server: Callable[..., str], profile: str) -> None:
    """Off in development and in tests."""
    assert connect(server(None), profile=profile) == "app"


def test_a_socket_needs_no_tls_in_production(socket: str) -> None:
    """There is none to have, and nobody on the way."""
    folder = socket.rpartition("/")[0]
    assert connect(f"postgresql://app:{PASSWORD}@/postgres?host={folder}") == "app"
