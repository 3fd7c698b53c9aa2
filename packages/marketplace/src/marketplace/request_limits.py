"""Requests whose body is too large or arrives too slowly, refused before anything is done for them.

Starlette has a middleware for the size too; its answer is plain text, ours a problem as any other.
"""

import asyncio
import time
from datetime import timedelta
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class RequestSizeLimit:
    """Counts what arrives, whatever Content-Length says."""

    def __init__(self, app: ASGIApp, *, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The exception is raised where the route reads its body, and answered as any other."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = _content_length(scope)
        received = 0

        async def counted() -> Message:
            nonlocal received
            if declared > self._limit:
                raise _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return message

        await self._app(scope, counted, send)


class BodyTimeLimit:
    """Gives a body so much time in all, however it trickles in."""

    def __init__(self, app: ASGIApp, *, limit: timedelta) -> None:
        self._app = app
        self._limit = limit.total_seconds()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The exception is raised where the route reads its body, and answered as any other."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        end = time.monotonic() + self._limit
        is_complete = False

        async def timed() -> Message:
            nonlocal is_complete
            if is_complete:  # what comes now is that the client has gone
                return await receive()
            try:
                async with asyncio.timeout(end - time.monotonic()):
                    message = await receive()
            except TimeoutError as error:
                raise _refused(HTTPStatus.REQUEST_TIMEOUT) from error
            is_complete = not message.get("more_body", False)
            return message

        await self._app(scope, timed, send)


def _refused(status: HTTPStatus) -> HTTPException:
    """The rest of the body is not read, so nothing that follows it on this connection is understood."""
    return HTTPException(status, headers={"Connection": "close"})


def _content_length(scope: Scope) -> int:
    """0 where it is not said: the body comes in chunks, or there is none."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
