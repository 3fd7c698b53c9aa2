"""Serves the API with uvicorn, with limits for clients that send or read too slowly.

uvicorn itself ends only connections that are idle between two requests. The rest is here: a connection that
does not send its request, or does not take its answer, is cut off, so that it costs neither memory nor a place.
"""

import asyncio
from datetime import timedelta
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD = timedelta(seconds=10)  # for the request line and the headers, from their first byte on
READ = timedelta(seconds=30)  # for a client that takes nothing of an answer that waits for it
LINGER = timedelta(seconds=5)  # for the rest of a body that nobody reads any more
HEALTH = timedelta(
    seconds=60
)  # for a process among several to answer that it lives: a busy machine takes its time
GRACE = timedelta(seconds=10)  # for requests that still run when the server is told to stop
LARGEST_HEAD = 64 * 1024  # bytes of a request line and headers that are not complete


class PatientProtocol(HttpToolsProtocol):
    """One connection of a client, closed when the client is too slow."""

    head, read, linger = HEAD, READ, LINGER
    _head_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None
    _head_size = 0  # bytes that have come of a head that is not complete
    _is_head_due = True
    _is_body_due = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        """Start the time in which a new client must send a request."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timers."""
        self._head_timer, self._read_timer = _end(self._head_timer), _end(self._read_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Start the time of a request with its first bytes; later bytes do not prolong it."""
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._is_head_due:
            self._limit_head(len(data))
        if self._is_answering():
            self._head_timer = _end(self._head_timer)
        else:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """Note that the request is known; its body, if any, is still to come."""
        self._is_head_due, self._is_body_due, self._head_size = False, True, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the request is complete; what comes now is another one."""
        self._is_head_due, self._is_body_due = True, False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Stop waiting for an unread body, and start the time to take the answer."""
        is_unread = self.cycle.more_body
        super().on_response_complete()
        if is_unread:
            self.loop.call_later(self.linger.total_seconds(), self._cut_off_unread)
        if self.transport.is_closing():
            self._cut_off_after(self.read)

    def pause_writing(self) -> None:
        """Start the time in which the client must take what was written."""
        super().pause_writing()
        self._cut_off_after(self.read)

    def resume_writing(self) -> None:
        """Stop that time: the client is reading again."""
        super().resume_writing()
        if not self.transport.is_closing():
            self._read_timer = _end(self._read_timer)

    def send_400_response(self, msg: str) -> None:
        """Answer an unreadable request once."""
        super().send_400_response(msg)
        self._cut_off_after(self.linger)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, even if its last answer was never taken."""
        super().timeout_keep_alive_handler()
        self._cut_off_after(self.read)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head.total_seconds(), self._cut_off)

    def _cut_off_after(self, patience: timedelta) -> None:
        if self._read_timer is None:
            self._read_timer = self.loop.call_later(patience.total_seconds(), self._cut_off)

    def _limit_head(self, received: int) -> None:
        """Limit the size of a head, which the parser keeps until it is complete."""
        self._head_size += received
        if self._head_size > LARGEST_HEAD:
            self.send_400_response("The head of the request is too large.")

    def _cut_off_unread(self) -> None:
        """Close the connection unless the rest of the body has come meanwhile, and perhaps another request."""
        if self._is_body_due and not self._is_answering():
            self._cut_off()

    def _cut_off(self) -> None:
        self.transport.abort()


def _end(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """Cancel a timer and give None, for the field that held it."""
    if timer is not None:
        timer.cancel()
    return None


def server_config(app: Any, **options: Any) -> uvicorn.Config:
    """Make uvicorn's configuration: our log, our decision about proxies, no name of the server."""
    defaults: dict[str, Any] = {
        "http": PatientProtocol,
        "timeout_graceful_shutdown": int(GRACE.total_seconds()),
        "timeout_worker_healthcheck": int(HEALTH.total_seconds()),
        "log_config": None,
        "access_log": False,
        "proxy_headers": False,
        "server_header": False,
        "ws": "none",
    }
    return uvicorn.Config(app, **defaults | options)
