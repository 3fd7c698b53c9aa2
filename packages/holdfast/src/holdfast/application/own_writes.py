"""Lets an HTTP client read its own writes: a cookie holds the position of its last write for a minute.

`KeepOwnWrites` is the middleware of an ASGI application, `reading_of` gives FastAPI a dependency; nothing of either is
imported here. Only where HOLDFAST_READ_URL names standbys. A client without cookies reads what a standby has.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from holdfast.application.database import AsyncDatabase

COOKIE = "wrote"
# Longer than a standby may lag behind and still be read from.
KEPT_SECONDS = 60

# The types of ASGI.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(slots=True)
class OwnWrites:
    """What the client of one request has written."""

    before: str | None  # the position that it has brought along
    has_written: bool = False  # in this request


OF_REQUEST: ContextVar[OwnWrites | None] = ContextVar("own_writes", default=None)


def note_write() -> None:
    """Note that something was committed for the client of this request, if there is one."""
    if (own := OF_REQUEST.get()) is not None:
        own.has_written = True


def position_to_read() -> str | None:
    """Give the position that a standby must have for this client; "" where only the primary has it."""
    own = OF_REQUEST.get()
    if own is None:
        return None
    return "" if own.has_written else own.before


def reading_of(database: AsyncDatabase) -> Callable[[], AsyncIterator[AsyncSession]]:
    """Make a dependency for routes that only read: `Depends(reading_of(database))` gives them a session.

    On a standby, unless it lacks what the client of the request has written.
    """

    async def reading() -> AsyncIterator[AsyncSession]:
        async with database.reading(after=position_to_read()) as session:
            yield session

    return reading


class KeepOwnWrites:
    """Middleware: reads the cookie, and sets it when the request has written.

    `written` gives the position of all that is committed, for a request's scope; None sets no cookie.
    """

    def __init__(
        self, app: Application, *, written: Callable[[Scope], Awaitable[str | None]]
    ) -> None:
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
                    cookie = (
                        f"{COOKIE}={position}; Max-Age={KEPT_SECONDS}; Path=/; HttpOnly; Secure;"
                        " SameSite=Lax"
                    )
                    headers = [*message.get("headers", ()), (b"set-cookie", cookie.encode())]
                    message = {**message, "headers": headers}
            await send(message)

        try:
            await self.app(scope, receive, send_with_cookie)
        finally:
            OF_REQUEST.reset(token)


def _cookie(scope: Scope) -> str | None:
    said = [value for name, value in scope["headers"] if name == b"cookie"]
    if not said:
        return None
    try:
        found = SimpleCookie(b"; ".join(said).decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value
