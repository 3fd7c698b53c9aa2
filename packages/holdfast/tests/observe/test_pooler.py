"""A pooler in between is found by its process id."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from alembic_project import ASYNC_ENV, SYNC_ENV, Project
from psycopg.conninfo import conninfo_to_dict

from holdfast import migrate
from holdfast.errors.migration import BehindPooler

BACKEND_KEY_DATA = b"K\x00\x00\x00\x0c"


@contextmanager
def pooler(server: str) -> Iterator[int]:
    """Listens on a port and announces a process id of its own, as PgBouncer does; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, server), daemon=True).start()
        yield listener.getsockname()[1]


def _accept(listener: socket.socket, server: str) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client, server), daemon=True).start()


def _serve(client: socket.socket, path: str) -> None:
    with closing(client), closing(socket.socket(socket.AF_UNIX)) as server:
        server.connect(path)
        other = {client: server, server: client}
        while True:
            for readable in select.select(list(other), [], [])[0]:
                data = readable.recv(65536)
                if not data:
                    return
                if readable is server and BACKEND_KEY_DATA in data:
                    at = data.index(BACKEND_KEY_DATA) + len(BACKEND_KEY_DATA)
                    data = data[:at] + (4242).to_bytes(4) + data[at + 4 :]
                other[readable].sendall(data)


@pytest.mark.parametrize(
    ("env", "driver"),
    [(SYNC_ENV, "psycopg"), (SYNC_ENV, "psycopg2"), (ASYNC_ENV, "asyncpg")],
    ids=["psycopg", "psycopg2", "asyncpg"],
)
def test_refused_with_a_way_out(project: Project, env: str, driver: str) -> None:
    """Nothing is migrated, nothing is created."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    direct = project.database
    parts = conninfo_to_dict(direct)
    sockets = Path(str(parts["host"]))
    (path,) = (file for file in sockets.glob(".s.PGSQL.*") if not file.name.endswith(".lock"))
    with pooler(str(path)) as port:
        project.database = f"postgresql://postgres@127.0.0.1:{port}/{parts['dbname']}"
        project.env(env, driver=driver)
        with pytest.raises(BehindPooler):
            migrate.upgrade(project.config, "head")
    with psycopg.connect(direct) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert tables.fetchall() == [(0,)]
