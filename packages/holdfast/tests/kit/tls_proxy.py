"""A TLS endpoint in front of the embedded server, whose binaries know no TLS.

It answers PostgreSQL's SSLRequest and passes on what is inside: a server with a certificate, or, seen from a
client that expects another, a man in the middle. Without a certificate it is a server without TLS.
"""

import asyncio
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import trustme

SSL_REQUEST = struct.pack("!II", 8, 80877103)


@contextmanager
def tls_proxy(socket: str, certificate: trustme.LeafCert | None) -> Iterator[int]:
    """In front of a server's unix socket; gives the port on 127.0.0.1."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="tls-proxy")
    thread.start()
    proxy = _Proxy(socket, None if certificate is None else _context(certificate))
    try:
        yield asyncio.run_coroutine_threadsafe(proxy.start(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(proxy.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


class _Proxy:
    def __init__(self, socket: str, context: ssl.SSLContext | None) -> None:
        self.socket, self.context = socket, context
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        self.server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self.server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _accept(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await self._serve(client, answer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client refused us, which is what the tests are about
        finally:
            answer.close()
            self.tasks.discard(task)

    async def _serve(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        first = await client.readexactly(8)
        while first == SSL_REQUEST:
            answer.write(b"N" if self.context is None else b"S")
            if self.context is not None:
                await answer.start_tls(self.context)
            first = await client.readexactly(8)
        server, question = await asyncio.open_unix_connection(self.socket)
        question.write(first)
        try:
            await asyncio.gather(_pump(client, question), _pump(server, answer))
        finally:
            question.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.close()
