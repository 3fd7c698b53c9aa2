"""What every answer says to a browser, and answers to HEAD (RFC 9110 §9.3.2)."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# An API shows nothing: whatever a browser might take an answer for, it runs, frames, sends and stores nothing of it.
ALWAYS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# The proxy in front speaks TLS; a browser that has been here once asks for nothing else.
IN_PRODUCTION = {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}
PRIVATE = b"authorization"


class SecurityHeaders:
    """Adds them, where a route has not said something else."""

    def __init__(self, app: ASGIApp, *, is_production: bool) -> None:
        self._app = app
        self._headers = ALWAYS | (IN_PRODUCTION if is_production else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is answered to somebody who has logged in is in no cache."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_private = any(name == PRIVATE for name, _ in scope["headers"])

        async def extended(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                if is_private:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, extended)


class HeadRequests:
    """Answers HEAD as GET, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The headers are those of GET, the length of its body too."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, without_body)
