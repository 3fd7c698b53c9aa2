"""TLS against a real PostgreSQL that knows it: Debian's. The embedded one of the tests has no TLS.

What must work: a CA of one's own, the system's CAs, and channel binding without a CA. What must be refused stands
beside it. One line a case; exit status 0 when all hold, 1 when one does not, 3 without a server.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import trustme
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from holdfast.engine.create_engine import create_engine, create_migration_engine
from holdfast.engine.settings import Settings

PASSWORD = secrets.token_urlsafe(16)
PATIENCE = 30
INSTALL = ["apt-get", "install", "--yes", "--no-install-recommends", "postgresql"]
PROOF = text("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
RULES = """
local   all all           trust
hostssl all app  all      scram-sha-256
hostssl all old  all      md5
hostssl all free all      trust
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Debian's PostgreSQL with the certificate of a CA of our own."""

    port: int
    ca: str
    stranger: str

    def url(self, *, user: str = "app", host: str = "localhost") -> str:
        return f"postgresql://{user}:{PASSWORD}@{host}:{self.port}/postgres?hostaddr=127.0.0.1"


def binaries() -> Path:
    """The newest PostgreSQL of the system; installed when there is none and we may."""
    if not installed() and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(INSTALL, check=False, stdout=sys.stderr)
    if not installed():
        print(
            "prove tls: no PostgreSQL in /usr/lib/postgresql; as root:", *INSTALL, file=sys.stderr
        )
        raise SystemExit(3)
    return installed()[-1]


def installed() -> list[Path]:
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return sorted((path.parent for path in found), key=lambda path: int(path.parent.name))


@contextmanager
def running_server() -> Iterator[Server]:
    programs = binaries()
    owner = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="prove-tls-") as name:
        folder, data = Path(name), Path(name) / "data"
        folder.chmod(0o755)
        make_data(data, programs, owner)
        ca, stranger = trustme.CA(), trustme.CA()
        ca.cert_pem.write_to_path(folder / "ca.pem")
        stranger.cert_pem.write_to_path(folder / "stranger.pem")
        add_certificate(data, ca.issue_cert("localhost"), owner)
        port = free_port()
        settings = {"ssl": "on", "port": str(port), "listen_addresses": "127.0.0.1"}
        settings |= {"unix_socket_directories": str(data), "fsync": "off"}
        words = [word for item in settings.items() for word in ("-c", "=".join(item))]
        command = [programs / "postgres", "-D", data, *words]
        postgres = subprocess.Popen(command, stderr=subprocess.DEVNULL, **owner)
        try:
            add_roles(f"postgresql://postgres@/postgres?host={data}&port={port}", postgres)
            yield Server(
                port=port, ca=str(folder / "ca.pem"), stranger=str(folder / "stranger.pem")
            )
        finally:
            postgres.terminate()
            postgres.wait(PATIENCE)


def make_data(data: Path, programs: Path, owner: dict[str, str]) -> None:
    data.mkdir()
    if owner:
        shutil.chown(data, **owner)
    initdb = [programs / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, **owner)
    (data / "pg_hba.conf").write_text(RULES)


def add_certificate(data: Path, certificate: trustme.LeafCert, owner: dict[str, str]) -> None:
    key = data / "server.key"
    certificate.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    if owner:
        shutil.chown(key, **owner)
    for part in certificate.cert_chain_pems:
        part.write_to_path(data / "server.crt", append=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def add_roles(url: str, postgres: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            connection = psycopg.connect(url, autocommit=True)
            break
        except psycopg.OperationalError:
            if postgres.poll() is not None or time.monotonic() > limit:
                raise
            time.sleep(0.05)
    with connection:
        print(f"PostgreSQL {connection.info.server_version // 10000}, libpq {psycopg.pq.version()}")
        connection.execute(f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'")
        connection.execute("SET password_encryption = 'md5'")
        connection.execute(f"CREATE ROLE old LOGIN PASSWORD '{PASSWORD}'")
        connection.execute("CREATE ROLE free LOGIN")


def tls_version(url: str, tls_ca: str | None = None) -> str:
    """As a production process; asks the server whether this very session is encrypted."""
    settings = Settings(url=url, tls_ca=tls_ca)
    versions = set()
    for engine in (create_engine(settings), create_migration_engine(settings)):
        with engine.connect() as connection:
            encrypted, version = connection.execute(PROOF).one()
            versions.add(version if encrypted else "in the clear")
        engine.dispose()
    return ", ".join(versions)


def with_system_ca(file: str, url: str) -> str:
    os.environ["SSL_CERT_FILE"] = file
    try:
        return tls_version(url, "system")
    finally:
        del os.environ["SSL_CERT_FILE"]


def works(name: str, attempt: Callable[[], str]) -> bool:
    try:
        found = attempt()
    except OperationalError as error:
        print(f"FAILED    {name}: {first_line(error)}")
        return False
    print(f"{'ok      ' if found.startswith('TLS') else 'FAILED  '}  {name}: {found}")
    return found.startswith("TLS")


def is_refused(name: str, attempt: Callable[[], str]) -> bool:
    try:
        found = attempt()
    except OperationalError as error:
        print(f"refused   {name}: {first_line(error)}")
        return True
    print(f"FAILED    {name}: accepted, {found}")
    return False


def first_line(error: OperationalError) -> str:
    return str(error.orig).strip().splitlines()[0].rpartition("failed: ")[2]


def main() -> int:
    with running_server() as server:
        url = server.url()
        wrong_name = server.url(host="elsewhere.example")
        held = [
            works("verify-full with a CA of one's own", lambda: tls_version(url, server.ca)),
            works("verify-full with the system's CAs", lambda: with_system_ca(server.ca, url)),
            works("channel binding, no CA", lambda: tls_version(url)),
            is_refused("unknown CA", lambda: tls_version(url, server.stranger)),
            is_refused("unknown to the system", lambda: with_system_ca(server.stranger, url)),
            is_refused("another name", lambda: tls_version(wrong_name, server.ca)),
            is_refused("MD5 password, no CA", lambda: tls_version(server.url(user="old"))),
            is_refused("no password asked, no CA", lambda: tls_version(server.url(user="free"))),
        ]
    print(f"tls: {sum(held)} of {len(held)} cases hold")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
