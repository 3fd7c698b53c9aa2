"""The address that the API listens on, taken before anything else is done."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from marketplace.errors import CannotListen


@contextmanager
def bound_socket(*, host: str, port: int) -> Iterator[socket.socket]:
    """Open a socket, bound but not yet listening: until the API serves, clients are refused instead of kept waiting.

    Raises `CannotListen`.
    """
    try:
        [(family, kind, _, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )
        listener = socket.socket(family, kind)
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    with listener:
        # Past connections in TIME_WAIT do not count; another listener still does.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise _cannot_listen(host, port, error) from error
        yield listener


def _cannot_listen(host: str, port: int, error: OSError) -> CannotListen:
    return CannotListen(host=host, port=port, reason=str(error.strerror), free_port=_free_port())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
