"""Counts round trips: how often a client speaks after the server has spoken, the end of the connection left out."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pooler import socket_of

TERMINATE = b"X\x00\x00\x00\x04"


@dataclass(kw_only=True)
class RoundTrips:
    """What has passed so far."""

    host: str  # a folder with a socket, for the clients that are counted
    number: int = 0


@contextmanager
def round_trips(url: str, folder: Path) -> Iterator[RoundTrips]:
    """In front of the server of `url`, on a socket in `folder` with the usual port."""
    counted = RoundTrips(host=str(folder))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / ".s.PGSQL.5432"))
        listener.listen(50)
        arguments = (listener, socket_of(url), counted)
        threading.Thread(target=_accept, args=arguments, daemon=True).start()
        yield counted


def _accept(listener: socket.socket, server: str, counted: RoundTrips) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client, server, counted), daemon=True).start()


def _serve(client: socket.socket, path: str, counted: RoundTrips) -> None:
    # Whoever leaves first may still be sent something.
    gone = suppress(BrokenPipeError, ConnectionResetError)
    with gone, closing(client), closing(socket.socket(socket.AF_UNIX)) as server:
        server.connect(path)
        other = {client: server, server: client}
        server_spoke_last = True
        while True:
            for readable in select.select(list(other), [], [])[0]:
                data = readable.recv(65536)
                if not data:
                    return
                if readable is client and server_spoke_last and data != TERMINATE:
                    counted.number += 1
                server_spoke_last = readable is server
                other[readable].sendall(data)
