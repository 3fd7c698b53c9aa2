"""Clients that send or read too slowly, on plain sockets."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx

LIMIT = 30


@contextmanager
def connected(api: httpx.Client) -> Iterator[socket.socket]:
    """A connection with buffers as small as the system gives: they are full soon."""
    host, port = api.base_url.host, api.base_url.port
    assert port is not None
    with socket.socket() as client:
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            client.setsockopt(socket.SOL_SOCKET, buffer, 4096)
        client.settimeout(LIMIT)
        client.connect((host, port))
        yield client


def request_head(path: str, *, token: str | None = None) -> bytes:
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: shop\r\n{authorization}\r\n".encode()


def flood(clients: list[tuple[socket.socket, bytes]]) -> None:
    """Each client asks until nobody takes its requests any more, or it is cut off."""
    end = time.monotonic() + LIMIT
    waiting = dict(clients)
    unsent = dict.fromkeys(waiting, b"")
    idle_since = time.monotonic()
    for client in waiting:
        client.setblocking(False)  # noqa: FBT003  # the socket's own
    while time.monotonic() - idle_since < 0.5:  # nobody has taken anything for half a second
        assert time.monotonic() < end, "the server still takes requests"
        for client, request in waiting.items():
            unsent[client] = unsent[client] or request
            try:
                sent = client.send(unsent[client])
            except (BlockingIOError, ConnectionError):
                continue
            unsent[client] = unsent[client][sent:]
            idle_since = time.monotonic()
        time.sleep(0.001)


def until_closed(client: socket.socket) -> bytes:
    """What the server still says, until it has closed the connection."""
    client.settimeout(LIMIT)
    said = b""
    try:
        while chunk := client.recv(65536):
            said += chunk
    except ConnectionError:
        pass
    return said


@contextmanager
def never_reading(api: httpx.Client, requests: list[bytes]) -> Iterator[None]:
    """For each request a client that sends it again and again and reads no answer."""
    with ExitStack() as connections:
        clients = [(connections.enter_context(connected(api)), each) for each in requests]
        flood(clients)
        yield
