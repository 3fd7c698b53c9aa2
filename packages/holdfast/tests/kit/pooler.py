"""A pooler in between, as far as a client can tell: it announces a process id of its own."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

BACKEND_KEY_DATA = b"K\x00\x00\x00\x0c"


def socket_of(url: str) -> str:
    """The socket file of a server that listens on one."""
    sockets = Path(str(conninfo_to_dict(url)["host"]))
    (path,) = (file for file in sockets.glob(".s.PGSQL.*") if not file.name.endswith(".lock"))
    return str(path)


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
    # A client that is killed resets its connection.
    with closing(client), closing(socket.socket(socket.AF_UNIX)) as server, suppress(OSError):
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
