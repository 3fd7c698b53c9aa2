"""Keep-alive clients of one server, each with one request under way, which check every answer.

Written on asyncio's protocols: what a client costs is taken from the server, as they share the machine.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

HEAD_ENDS = b"\r\n\r\n"
LIMIT = 30  # seconds for one answer


@dataclass(slots=True)
class Answer:
    """The status and the body of an answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        """What the body says."""
        return json.loads(self.body)


class Unexpected(Exception):
    """A server did not do the work: the measurement is void."""


def request(method: str, path: str, *, body: Any = None, **headers: str) -> bytes:
    """The bytes of one request; a header is written with underscores."""
    text = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: shop", "Accept: application/json"]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(text)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + HEAD_ENDS + text


class Connection(asyncio.Protocol):
    """One connection: a request is sent, its answer is waited for."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: Any) -> None:
        """Ready for the first request."""
        self.transport: asyncio.Transport = transport

    def data_received(self, data: bytes) -> None:
        """An answer, or a part of one."""
        self._received += data
        end = self._received.find(HEAD_ENDS)
        if end < 0 or self._waiting is None:
            return
        head = bytes(self._received[:end]).lower()
        at = head.find(b"content-length:")
        if at < 0:
            self._waiting.set_exception(Unexpected(f"an answer without a length: {head!r}"))
            return
        length = int(head[at + 15 :].split(b"\r\n", 1)[0])
        if len(self._received) >= end + 4 + length:
            body = bytes(self._received[end + 4 : end + 4 + length])
            self._received.clear()
            waiting, self._waiting = self._waiting, None
            waiting.set_result(Answer(int(head[9:12]), body))

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits for an answer does so no longer."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Unexpected(f"the connection was closed: {exc}"))

    def ask(self, sent: bytes) -> asyncio.Future[Answer]:
        """The answer to a request, once it has come."""
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(sent)
        return self._waiting


@dataclass(slots=True)
class Client:
    """One customer with one device, whose tokens it keeps."""

    number: int
    session_id: str
    access_token: str
    refresh_token: str
    done: int = 0
    memory: dict[str, Any] = field(default_factory=dict)


# What a client asks next, and what it does with the answer; raises `Unexpected`.
Ask = Callable[[Client], bytes]
Check = Callable[[Client, Answer], None]


async def run(
    port: int, clients: list[Client], ask: Ask, check: Check, *, is_over: asyncio.Event
) -> None:
    """Every client asks again and again until the measurement is over."""

    async def one(client: Client) -> None:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
        try:
            while not is_over.is_set():
                answer = await connection.ask(ask(client))
                check(client, answer)
                client.done += 1
        finally:
            connection.transport.close()

    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(one(client))


async def measured(
    port: int,
    clients: list[Client],
    ask: Ask,
    check: Check,
    *,
    warm_up: float,
    seconds: float,
    cpu: Callable[[], float],
) -> tuple[float, float]:
    """Answers a second, and the server's seconds of processor for each."""
    is_over = asyncio.Event()
    running = asyncio.create_task(run(port, clients, ask, check, is_over=is_over))
    await _wait(running, warm_up)
    done, used, began = sum(c.done for c in clients), cpu(), time.perf_counter()
    await _wait(running, seconds)
    answers = sum(c.done for c in clients) - done
    elapsed, spent = time.perf_counter() - began, cpu() - used
    is_over.set()
    await running
    if answers == 0:
        raise Unexpected("nothing was answered")
    return answers / elapsed, spent / answers


async def _wait(running: "asyncio.Task[None]", seconds: float) -> None:
    """For so long, unless something goes wrong before."""
    done, _ = await asyncio.wait({running}, timeout=seconds)
    if done:
        running.result()
        raise Unexpected("the clients stopped")
