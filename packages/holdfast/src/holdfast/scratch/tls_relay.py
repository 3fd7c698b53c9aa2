"""Lets the wheel's pg_dump, which knows no TLS, read a server over TLS: through a socket of ours.

Password and answers pass through unread. The certificate is checked as libpq's sslmode says.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL
"""

import asyncio
import ssl
import struct
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import certifi

SSL_REQUEST = struct.pack("!II", 8, 80877103)
PORT = 5432
CHUNK = 1 << 16
PATIENCE = 10  # seconds, for beginning and for ending


@contextmanager
def tls_relay(parameters: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Open a socket that leads to the server of these libpq parameters; give the parameters to use it."""
    relay = _Relay(parameters)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="holdfast-tls-relay", daemon=True)
    thread.start()
    with tempfile.TemporaryDirectory(prefix="hf") as folder:
        try:
            asyncio.run_coroutine_threadsafe(relay.start(folder), loop).result(PATIENCE)
            yield {**_without_tls(parameters), "host": folder, "port": str(PORT)}
        finally:
            asyncio.run_coroutine_threadsafe(relay.stop(), loop).result(PATIENCE)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def _without_tls(parameters: Mapping[str, str]) -> dict[str, str]:
    """Leave out what names the server, and what a client without TLS would refuse."""
    gone = ("hostaddr", "channel_binding", "gssencmode")
    return {
        name: value
        for name, value in parameters.items()
        if name not in gone and not name.startswith("ssl")
    }


def context_for(parameters: Mapping[str, str]) -> ssl.SSLContext:
    """Make the TLS context: how the server's certificate is checked, and who we are, as libpq would do it."""
    mode, root = parameters.get("sslmode", "prefer"), parameters.get("sslrootcert")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["postgresql"])
    is_checked = mode in ("verify-ca", "verify-full") or (root is not None and mode == "require")
    context.check_hostname = mode == "verify-full"
    context.verify_mode = ssl.CERT_REQUIRED if is_checked else ssl.CERT_NONE
    if root == "system":
        context.load_default_certs()
        context.load_verify_locations(certifi.where())
    elif root is not None and Path(root).is_file():
        context.load_verify_locations(root)
    if (ours := parameters.get("sslcert")) and Path(ours).is_file():
        context.load_cert_chain(ours, parameters.get("sslkey"))
    return context


class _Relay:
    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._host = parameters.get("host", "localhost")
        self._address = parameters.get("hostaddr") or self._host
        self._port = int(parameters.get("port", PORT))
        self._is_direct = parameters.get("sslnegotiation") == "direct"
        self._context = context_for(parameters)
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, folder: str) -> None:
        self._server = await asyncio.start_unix_server(
            self._accept, str(Path(folder, f".s.PGSQL.{PORT}"))
        )

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # asyncio calls this in one
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # pg_dump reports the end of a connection; nobody needs to know of the relay's.
        with suppress(OSError, EOFError, asyncio.CancelledError):
            server, send = await self._connect()
            try:
                await asyncio.gather(_pass_on(client, send), _pass_on(server, answer))
            finally:
                send.close()
        answer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        receive, send = await asyncio.open_connection(self._address, self._port)
        if not self._is_direct:
            send.write(SSL_REQUEST)
            if await receive.readexactly(1) != b"S":
                raise ConnectionRefusedError
        await send.start_tls(self._context, server_hostname=self._host)
        return receive, send


async def _pass_on(receive: asyncio.StreamReader, send: asyncio.StreamWriter) -> None:
    while chunk := await receive.read(CHUNK):
        send.write(chunk)
        await send.drain()
    send.close()
