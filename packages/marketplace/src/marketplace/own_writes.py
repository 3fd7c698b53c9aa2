"""Who has just written something reads it: a cookie with the position of his last write goes along for a minute.

Only where HOLDFAST_READ_URL names standbys. A client without cookies reads what a standby has, which may be older.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "wrote"
# Longer than a standby may lag behind and still be read from.
KEPT_SECONDS = 60


@dataclass(slots=True)
class OwnWrites:
    """What the client of one request has written."""

    before: str | None  # the position that it has brought along
    has_written: bool = False  # in this request


OF_REQUEST: ContextVar[OwnWrites | None] = ContextVar("own_writes", default=None)


def note_write() -> None:
    """Something was committed for the client of this request, if there is one."""
    if (own := OF_REQUEST.get()) is not None:
        own.has_written = True


def position_to_read() -> str | None:
    """The position that a standby must have for this client; "" where only the primary has it."""
    own = OF_REQUEST.get()
    if own is None:
        return None
    return "" if own.has_written else own.before


class KeepOwnWrites:
    """Middleware: reads the cookie, and sets it when the request has written."""

    def __init__(self, app: ASGIApp, *, written: Callable[[Scope], Awaitable[str | None]]) -> None:
        self.app = app
        self.written = written

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and remember in a cookie how far its client has written."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        own = OwnWrites(_cookie(scope))
        token = OF_REQUEST.set(own)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and own.has_written:
                position = await self.written(scope)
                if position is not None:
                    MutableHeaders(scope=message).append(
                        "set-cookie",
                        f"{COOKIE}={position}; Max-Age={KEPT_SECONDS}; Path=/; HttpOnly; Secure; SameSite=Lax",
                    )
            await send(message)

        try:
            await self.app(scope, receive, send_with_cookie)
        finally:
            OF_REQUEST.reset(token)


def _cookie(scope: Scope) -> str | None:
    said = [value for name, value in scope["headers"] if name == b"cookie"]
    try:
        found = SimpleCookie(b"; ".join(said).decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value
