"""The address is taken first, and a taken one is a clear error."""

import socket

import pytest

from marketplace.errors import CannotListen
from marketplace.listener import bound_socket


def test_a_taken_port() -> None:
    """With the way out: a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotListen) as error, bound_socket(host="127.0.0.1", port=port):
            pass
    free_port = error.value.free_port
    assert error.value.parts() == (
        f"Cannot listen on 127.0.0.1 port {port}: Address already in use.",
        "That is tried before anything else: nothing was started or changed.",
        f"Take another port: ./dev up --port {free_port}",
    )
    with bound_socket(host="127.0.0.1", port=free_port):
        pass


def test_an_unknown_host() -> None:
    """What the resolver says."""
    with (
        pytest.raises(CannotListen, match=r"^Cannot listen on host\.invalid port 8000: "),
        bound_socket(host="host.invalid", port=8000),
    ):
        pass


def test_nobody_is_kept_waiting() -> None:
    """Bound, but refused until the API listens."""
    with bound_socket(host="127.0.0.1", port=0) as listener, pytest.raises(ConnectionRefusedError):
        socket.create_connection(listener.getsockname(), timeout=5)
