"""What every request gets at the outermost edge: an id, a line in the log, a measurement, some headers."""

import secrets
import time
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketplace.logs import REQUEST_ID, log_request
from marketplace.metrics import RequestMetrics

# A header, as ASGI has it: its name in small letters.
Header = tuple[bytes, bytes]

# An API shows nothing: whatever a browser might take an answer for, it runs, frames, sends and stores nothing of it.
ALWAYS: tuple[Header, ...] = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# The proxy in front speaks TLS; a browser that has been here once asks for nothing else.
IN_PRODUCTION: tuple[Header, ...] = (
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
)
# No cache may store an answer to somebody who is logged in.
PRIVATE, NOT_STORED = b"authorization", (b"cache-control", b"no-store")


class Edge:
    """Logs and measures each request, and completes the headers of its answer where a route has not said otherwise.

    What is logged on the way has the same `request_id`, which the answer says in X-Request-Id.
    """

    def __init__(self, app: ASGIApp, *, metrics: RequestMetrics, is_production: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._headers = ALWAYS + (IN_PRODUCTION if is_production else ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; log and measure it when the answer is complete, or if there was none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        method, scheme = scope["method"], scope["scheme"]
        status: int | None = None
        request_id = secrets.token_hex(8)
        headers = self._headers
        if any(name == PRIVATE for name, _ in scope["headers"]):
            headers = (*headers, NOT_STORED)

        async def completed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                said = _completed(message.get("headers", ()), headers)
                message["headers"] = [*said, (b"x-request-id", request_id.encode())]
            await send(message)

        token = REQUEST_ID.set(request_id)
        self._metrics.begin(method=method, scheme=scheme)
        try:
            await self._app(scope, receive, completed)
        finally:
            seconds, route = time.monotonic() - began, _route(scope)
            self._metrics.end(
                seconds,
                method=method,
                scheme=scheme,
                version=scope.get("http_version", ""),
                route=route,
                status=status,
            )
            log_request(method=method, route=route, status=status or 500, seconds=seconds)
            REQUEST_ID.reset(token)


def _completed(said: Sequence[Header], wanted: Sequence[Header]) -> list[Header]:
    """Give the headers of an answer, and those of ours that it lacks."""
    names = {name for name, _ in said}
    return [*said, *(header for header in wanted if header[0] not in names)]


def _route(scope: Scope) -> str | None:
    """Give the template of the route, not the path, which may name somebody."""
    template = getattr(scope.get("route"), "path_format", None)
    return template if isinstance(template, str) else None
